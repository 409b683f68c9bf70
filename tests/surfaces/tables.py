"""A daemon between real clients and one scripted upstream, which plays an inferencer of each dialect."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.daemon import daemon
from tests.upstream import Answer, ScriptedUpstream, sse
from woollama.server import ServeOptions

EXAMPLES = Path(__file__).parents[2] / "examples"
GOLDEN = Path(__file__).parents[1] / "golden"
PATIENCE_S = 60.0
KEYS = {"CLAUDE_KEY": "key-of-claude", "MOCK_KEY": "key-of-mock", "LLAMA_KEY": "key-of-llama"}
RECIPES = """
[aliases]
"claude-sonnet-4-5" = "claude/opus"

[recipes.plain]
inferencer = "mock/m"
system = "Be brief."

[recipes.thinker]
inferencer = "claude/opus"
system = "Think."

[recipes.clerk]
inferencer = "mock/m"
tools = ["textops.*"]

[recipes.shepherd]
inferencer = "llama/qwen3"
"""


@dataclass
class Table:
    url: str
    client: httpx2.AsyncClient
    upstream: ScriptedUpstream

    @property
    def asked(self) -> list[Any]:
        """The bodies that reached the upstream."""
        return [request.json for request in self.upstream.requests if request.method == "POST"]


@asynccontextmanager
async def table(directory: Path, options: ServeOptions | None = None, *, tools: bool = False) -> AsyncIterator[Table]:
    """`claude` speaks Messages, `mock` chat completions, `llama` Ollama's API; all of them are the one upstream."""
    async with ScriptedUpstream() as upstream:
        apis = {"claude": "anthropic", "mock": "openai", "llama": "ollama"}
        entries = [
            f'[inferencers.{name}]\napi = "{api}"\nbase_url = "{upstream.base_url}"\n'
            f'api_key_env = "{name.upper()}_KEY"\nretries = 0\ndiscover = false\nmodels = ["m"]\n'
            for name, api in apis.items()
        ]
        (directory / "inferencers.toml").write_text("".join(entries))
        (directory / "recipes.toml").write_text(RECIPES)
        servers: dict[str, Any] = {name: {"disabled": True} for name in ("hello", "clock", "textops")}
        if tools:
            del servers["textops"]
        (directory / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
        environ = {**KEYS, "HOME": str(directory), "XDG_STATE_HOME": str(directory)}
        async with (
            daemon(directory, environ, options) as running,
            httpx2.AsyncClient(base_url=running.url, timeout=PATIENCE_S, trust_env=False) as client,
        ):
            yield Table(running.url, client, upstream)


def recorded(dialect: str, name: str, cut_after: int | None = None) -> Answer:
    """A recorded stream of events, one frame a chunk."""
    raw = (GOLDEN / dialect / f"{name}.sse").read_bytes()
    return sse([frame + b"\n\n" for frame in raw.split(b"\n\n") if frame.strip()], cut_after=cut_after)
