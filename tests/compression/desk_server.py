"""An MCP server whose tools give one kind of text each.

All but the `report` are small enough to be compressed in the daemon itself, where a test can take a part away.
"""

from __future__ import annotations

import json
import random

from mcp.server import MCPServer
from mcp_types import ToolAnnotations

from tests.compression import archive_server


def log(seed: int = 1) -> str:
    r = random.Random(seed)
    lines = [f"10:{i // 60:02}:{i % 60:02} INFO stored object {r.randrange(10**6)} in {i % 41} ms" for i in range(500)]
    lines[317] = "10:05:17 ERROR cannot store object 317: the shelf is full"
    lines[403] = "10:06:43 INFO stored object 777123 in 7 ms"
    return "\n".join(lines)


def people() -> str:
    return json.dumps([{"id": i, "mail": f"user{i}@example.org", "plan": "free", "seats": i % 7} for i in range(400)])


def changes() -> str:
    out = []
    for number in range(30):
        out.append(f"diff --git a/part{number}.py b/part{number}.py\nindex 1234567..89abcde 100644")
        out.append(f"--- a/part{number}.py\n+++ b/part{number}.py\n@@ -10,13 +10,13 @@ def run():")
        around = [f"     step_{number}_{i} = prepare(step_{i}, 'a line that nobody has changed')" for i in range(6)]
        out += [*around, f"-    old({number})", f"+    new({number})", *around]
    return "\n".join(out)


def matches() -> str:
    return "\n".join(f"src/part{i // 20}/pump.py:{i}:    value = step(value, {i * 37 % 101})" for i in range(450))


def prose() -> str:
    r = random.Random(2)
    words = ["the", "gate", "and", "sluice", "were", "opened", "late", "because", "nobody", "keeps", "its", "key"]
    sentences = [" ".join(r.choices(words, k=16)).capitalize() + "." for _ in range(280)]
    return "\n\n".join(" ".join(sentences[start : start + 5]) for start in range(0, 280, 5))


def things() -> str:
    """Each has a name of its own, so that none is odd."""
    r = random.Random(6)
    names = ["".join(r.choices("abcdefghijklmnop", k=6)) for _ in range(700)]
    names[402] = "locker"
    return "\n".join(f"{name} holds {i * 7919 % 97} boxes and {i % 13} jars" for i, name in enumerate(names))


def source() -> str:
    return "\n".join(f"def step_{i}(value):\n    return value + {i}\n" for i in range(400))


TEXTS = {
    "zone": "all is well",
    "report": "\n".join(archive_server.lines()),
    "hinted": log(7),
    "log": log(),
    "counted": log(3),
    "asked": people(),
    "people": people(),
    "remembered": log(4),
    "kept": log(5),
    "changes": changes(),
    "matches": matches(),
    "prose": prose(),
    "source": source(),
    "things": things(),
    "about": "all is well",
}

server = MCPServer("desk", version="1.0", log_level="WARNING")


def offer(name: str, text: str) -> None:
    @server.tool(
        name=name, annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False), structured_output=False
    )
    def tool() -> str:
        """A text."""
        return text


for each, its in TEXTS.items():
    offer(each, its)

if __name__ == "__main__":
    server.run()
