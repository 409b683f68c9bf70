"""The books, the prefixes, hosts, the shell and the relay: what of compression is seen from outside of a turn."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests import upstream as answers
from tests.compression.archive_server import lines
from tests.daemon import daemon
from tests.surfaces.mcp_server.hosts import over_http
from tests.upstream import Answer, Received, ScriptedUpstream
from woollama.compression import restore
from woollama.server import InProcess

RECIPES = """
[recipes.clerk]
inferencer = "mock/mock-model"
tools = ["archive.*"]
compress = "auto"
"""
INFERENCERS = """
[inferencers.mock]
base_url = "{url}"
discover = false
models = ["mock-model"]
"""
OFF = {name: {"disabled": True} for name in ("hello", "clock", "textops")}
REF = re.compile(r"ref ([0-9a-f]{32})")
WHERE = "Where is the spare key?"
"""Its answer is in a line that looks like all others, so that it is left out unless somebody asks for its words."""


class Reader:
    """A model that calls a tool, looks up what was left out of the result, and answers with what it has read."""

    def __init__(self, tool: str = "report") -> None:
        self.tool = tool
        self.seen: list[dict[str, Any]] = []

    def __call__(self, request: Received) -> Answer:
        body = request.json
        self.seen.append(body)
        results = [message["content"] for message in body["messages"] if message["role"] == "tool"]
        offered = [tool["function"]["name"] for tool in body.get("tools", [])]
        scripted = self._next(results, offered)
        return scripted(request) if callable(scripted) else scripted

    def _next(self, results: Sequence[str], offered: Sequence[str]) -> Any:
        if not results:
            return answers.chat_tool_call(f"archive__{self.tool}", {})
        found = REF.search(results[0])
        if len(results) == 1 and found and "woollama__retrieve" in offered:
            return answers.chat_tool_call("woollama__retrieve", {"ref": found[1], "query": "12321"})
        return answers.chat(f"I have read: {results[-1][-200:]}")

    @property
    def results(self) -> list[str]:
        return [message["content"] for message in self.seen[-1]["messages"] if message["role"] == "tool"]


@asynccontextmanager
async def clerk(
    reader: Callable[[Received], Answer], *, state: Path | None = None
) -> AsyncIterator[tuple[InProcess, httpx2.AsyncClient]]:
    async with ScriptedUpstream() as model:
        model.always(reader)
        with tempfile.TemporaryDirectory(prefix="clerk-") as home:
            directory = Path(home)
            command = {"command": sys.executable, "args": ["-m", "tests.compression.archive_server"]}
            servers = {**OFF, "archive": {**command, "cwd": str(Path(__file__).parents[2])}}
            (directory / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
            (directory / "recipes.toml").write_text(RECIPES)
            (directory / "inferencers.toml").write_text(INFERENCERS.format(url=model.base_url))
            environ = {"HOME": home, "WOOLLAMA_STATE_DIR": str(state or directory / "state")}
            async with daemon(directory, environ) as running, httpx2.AsyncClient(timeout=60) as client:
                yield running, client


async def ask(running: InProcess, client: httpx2.AsyncClient, asked: str = WHERE, **how: Any) -> str:
    body = {"model": "woollama/clerk", "messages": [{"role": "user", "content": asked}], **how}
    answer = await client.post(f"{running.url}/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.text


# --- the books, the prefixes, and hosts


async def test_the_books_say_what_was_saved_and_looked_up(tmp_path: Path) -> None:
    reader = Reader()
    async with clerk(reader, state=tmp_path) as (running, client):
        assert (await client.get(f"{running.url}/w1/compression")).json()["data"] == []
        await ask(running, client)
        stats = (await client.get(f"{running.url}/w1/compression")).json()
    (account,) = stats["data"]
    assert (account["recipe"], account["tool"]) == ("clerk", "archive.report")
    assert (account["blocks"], account["left_out"], account["retrievals"]) == (1, 1, 1)
    assert account["tokens_saved"] == account["tokens_in"] - account["tokens_out"] > 30_000
    assert account["net_tokens"] == account["tokens_saved"] - account["tokens_retrieved"]
    assert account["reasons"] == {"selective": 1}
    assert stats["total"]["net_tokens"] == account["net_tokens"]
    async with clerk(reader, state=tmp_path) as (running, client):
        assert (await client.get(f"{running.url}/w1/compression")).json() == stats


async def test_a_changed_beginning_is_told_with_who_changed_it() -> None:
    reader = Reader("short")
    first = [{"role": "user", "content": "hello"}]
    then = [*first, {"role": "assistant", "content": "hi"}, {"role": "user", "content": "again"}]
    changed = [first[0], {"role": "assistant", "content": "hi!"}, *then[2:], {"role": "user", "content": "more"}]
    async with clerk(reader) as (running, client):
        for messages in (first, then):
            await ask(running, client, messages=messages)
        quiet = (await client.get(f"{running.url}/w1/compression/misses")).json()
        await ask(running, client, messages=changed)
        told = (await client.get(f"{running.url}/w1/compression/misses")).json()
        books = (await client.get(f"{running.url}/w1/compression")).json()
    assert books["total"]["cache_tokens_lost"] == (told["data"][0]["of_bytes"] - told["data"][0]["at_byte"]) // 4
    assert (quiet["prompts"], quiet["kept"], quiet["data"]) == (1, 1, [])
    (miss,) = told["data"]
    assert (miss["what"], miss["who"]) == ("item 2 (assistant)", "the client's history")
    assert 0 < miss["at_byte"] < miss["of_bytes"]


@pytest.mark.parametrize(("era", "shared"), [("legacy", False), ("auto", True)])
async def test_hosts_compress_and_retrieve(era: str, shared: bool) -> None:
    """Each in its own session; hosts of the stateless era have none, and are told apart by who they are."""
    text, reader = "\n".join(lines()), Reader()
    async with clerk(reader) as (running, client), over_http(running, era) as host, over_http(running, era) as other:
        await ask(running, client)
        of_chat = REF.search(reader.results[0])
        assert {"compress", "retrieve"} <= {tool.name for tool in (await host.list_tools()).tools}
        refused = await host.call_tool("retrieve", {"ref": of_chat[1] if of_chat else ""})
        made = await host.call_tool("compress", {"text": text, "query": WHERE, "tool": "log"})
        ref = REF.search(made.content[0].text)
        assert ref
        whole = await host.call_tool("retrieve", {"ref": ref[1]})
        part = await host.call_tool("retrieve", {"ref": ref[1], "lines": "2223"})
        unknown = await host.call_tool("retrieve", {"ref": "0" * 32})
        elsewhere = await other.call_tool("retrieve", {"ref": ref[1]})
    assert whole.content[0].text == text
    assert part.content[0].text == lines()[2222]
    assert refused.is_error
    assert unknown.is_error
    assert elsewhere.is_error is not shared


async def test_the_shell_tells_what_was_saved_and_what_changed() -> None:
    async with clerk(Reader()) as (running, client):
        await ask(running, client)
        stats, misses, processes = [
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "woollama",
                command,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "XDG_RUNTIME_DIR": str(running.unix_path.parent)},
            )
            for command in ("stats", "why-miss", "ps")
        ]
        said = [(await process.communicate())[0].decode() for process in (stats, misses, processes)]
    assert "archive.report" in said[0]
    assert "1 x selective" in said[0]
    assert said[1] == "0 of 0 prompts began as the one before them\n"
    assert re.search(r"compression +worker +ready", said[2])


# --- the relay


async def relayed(running: InProcess, client: httpx2.AsyncClient, body: str, level: str) -> httpx2.Response:
    headers = {"content-type": "application/json", "x-woollama-compress": level}
    return await client.post(f"{running.url}/v1/chat/completions", content=body.encode(), headers=headers)


async def test_the_relay_splices_new_results_and_nothing_else() -> None:
    seen: list[bytes] = []

    def note(request: Received) -> Answer:
        seen.append(request.body)
        return answers.chat_json("fine")

    result = json.dumps("\n".join(lines()), ensure_ascii=True)
    call = json.dumps(
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "log", "arguments": "{}"}}],
        }
    )
    first = (
        '{ "model": "mock/mock-model", "x_vendor" :  1.10, "messages": [{"role": "user", "content": "why?"}, '
        + call
        + ', {"role":"tool","tool_call_id":"c1","content": '
        + result
        + "}] }"
    )
    then = first.replace("}] }", '}, {"role":"assistant","content":"So."}, {"role":"user","content":"And?"}] }')
    async with clerk(note) as (running, client):
        for body in (first, then):
            answer = await relayed(running, client, body, "lossless")
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-woollama-path"].startswith("relay")
        plain = await relayed(running, client, first, "off")
        refused = await relayed(running, client, first, "auto")
    assert plain.status_code == 200
    assert (refused.status_code, "may be lossless or off here" in refused.text) == (400, True)
    before, after = first.replace("mock/mock-model", "mock-model").split(result)
    new, again, untouched = (body.decode() for body in seen)
    assert untouched == before + result + after
    assert new.startswith(before)
    assert new.endswith(after)
    middle = new[len(before) : len(new) - len(after)]
    assert len(middle) < len(result)
    assert restore(json.loads(middle)) == "\n".join(lines())
    assert again.startswith(before + middle)


async def test_a_result_that_was_sent_as_it_was_stays_as_it_was() -> None:
    seen: list[bytes] = []

    def note(request: Received) -> Answer:
        seen.append(request.body)
        return answers.chat_json("fine")

    result = {"role": "tool", "tool_call_id": "c1", "content": "\n".join(lines())}
    messages = [{"role": "user", "content": "?"}, result, {"role": "assistant", "content": "So."}]
    async with clerk(note) as (running, client):
        body = json.dumps({"model": "mock/mock-model", "messages": messages})
        assert (await relayed(running, client, body, "lossless")).status_code == 200
    assert json.loads(seen[0])["messages"] == messages
