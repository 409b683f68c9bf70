"""A daemon with tools of every kind of text and a model that does as it is told, shared by the tests of a module."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
from anyio.from_thread import start_blocking_portal

from tests import upstream as answers
from tests.daemon import daemon_in_thread
from tests.upstream import Received, ScriptedUpstream
from woollama.server import InProcess

REF = re.compile(r"ref ([0-9a-f]{32})")
RECIPES = """
[recipes.desk]
inferencer = "mock/mock-model"
tools = ["desk.*"]
compress = "auto"

[recipes.narrow]
inferencer = "mock/mock-model"
tools = ["desk.*"]
compress = "aggressive"

[recipes.exact]
inferencer = "mock/mock-model"
tools = ["desk.*"]
compress = "lossless"

[recipes.plain]
inferencer = "mock/mock-model"
tools = ["desk.*"]
"""
INFERENCERS = """
[inferencers.mock]
base_url = "{url}"
discover = false
models = ["mock-model"]
"""


class Desk:
    """`use` is one turn: the model calls a tool, has something of its result back if that is wished, and answers."""

    def __init__(self, directory: Path, upstream: ScriptedUpstream) -> None:
        self.directory = directory
        self._upstream = upstream
        self.running: InProcess | None = None
        self.prompts: list[dict[str, Any]] = []
        self.answer = ""
        self.last_ref: str | None = None

    def use(
        self,
        tool: str,
        question: str = "?",
        wish: dict[str, Any] | None = None,
        recipe: str = "desk",
        meanwhile: Callable[[], None] = lambda: None,
        path: str = "/v1/chat/completions",
        **body: Any,
    ) -> list[str]:
        """The results as the model saw them: of the tool, and of the look-up where there was one. `meanwhile` happens
        before that. The request is one of chat, or else `body` to `path`."""
        seen: list[dict[str, Any]] = []

        def play(request: Received) -> answers.Answer:
            body = request.json
            seen.append(body)
            results = _results(body)
            found = REF.search(results[0]) if results else None
            if not results:
                scripted: Any = answers.chat_tool_call(f"desk__{tool}", {})
            elif len(results) == 1 and wish is not None and found is not None:
                meanwhile()
                scripted = answers.chat_tool_call("woollama__retrieve", {"ref": found[1], **wish})
            else:
                scripted = answers.chat(f"I have read: {results[-1][-200:]}")
            made: answers.Answer = scripted(request) if callable(scripted) else scripted
            return made

        self._upstream.always(play)
        asked = body or {"messages": [{"role": "user", "content": question}]}
        answer = httpx2.post(f"{self.url}{path}", json={"model": f"woollama/{recipe}", **asked}, timeout=60)
        assert answer.status_code == 200, answer.text
        self.prompts, self.answer = seen, answer.text
        results = _results(seen[-1])
        found = REF.search(results[0]) if results else None
        self.last_ref = found[1] if found else None
        return results

    def say(self, messages: list[dict[str, str]]) -> None:
        """One turn without tools."""
        self._upstream.always(answers.chat("done"))
        body = {"model": "woollama/desk", "messages": messages}
        assert httpx2.post(f"{self.url}/v1/chat/completions", json=body, timeout=60).status_code == 200

    def settings(self, text: str) -> None:
        """Another section `compression`, and the daemon works by it."""
        (self.directory / "woollama.toml").write_text(f"[compression]\n{text}\n")
        assert self.running is not None
        with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(self.running.unix_path)), timeout=60) as owner:
            answer = owner.post("http://woollama/w1/reload")
        assert answer.status_code == 200, answer.text

    def get(self, path: str) -> Any:
        return httpx2.get(f"{self.url}{path}", timeout=60).json()

    @property
    def offered(self) -> list[str]:
        """The tools that the model had in the last turn."""
        return [tool["function"]["name"] for tool in self.prompts[0]["tools"]]

    @property
    def url(self) -> str:
        assert self.running is not None
        return self.running.url


@contextmanager
def desk() -> Iterator[Desk]:
    with (
        TemporaryDirectory(prefix="desk-") as home,
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(ScriptedUpstream()) as upstream,
    ):
        directory = Path(home)
        off = {name: {"disabled": True} for name in ("hello", "clock", "textops")}
        command = {"command": sys.executable, "args": ["-m", "tests.compression.desk_server"]}
        servers = {**off, "desk": {**command, "cwd": str(Path(__file__).parents[2])}}
        (directory / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
        (directory / "recipes.toml").write_text(RECIPES)
        (directory / "inferencers.toml").write_text(INFERENCERS.format(url=upstream.base_url))
        (directory / "woollama.toml").write_text("")
        made = Desk(directory, upstream)
        environ = {"HOME": home, "WOOLLAMA_STATE_DIR": str(directory / "state")}
        with daemon_in_thread(directory, environ) as made.running:
            yield made


def _results(body: dict[str, Any]) -> list[str]:
    return [message["content"] for message in body["messages"] if message["role"] == "tool"]
