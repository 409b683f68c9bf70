"""What users of the first woollama met and must never meet again, each on a whole daemon.

Those about the command line are in `tests/cli`, those about the door in `tests/server`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.daemon import daemon
from tests.upstream import (
    CUT,
    STALL,
    Answer,
    ScriptedUpstream,
    chat,
    chat_stream,
    chat_tool_call,
    head,
    html,
    raw,
    sse,
)

ROOT = Path(__file__).parents[1]
BOTH_PATHS = pytest.mark.parametrize("model", ["mock/m", "woollama/plain"], ids=["relay", "engine"])
EXAMPLES = ROOT / "examples"
PATIENCE_S = 60.0

RECIPES = """
[recipes.plain]
inferencer = "mock/m"

[recipes.clerk]
inferencer = "mock/m"
tools = ["textops.*"]

[recipes.counter]
inferencer = "mock/m"
tools = ["hello.count_to", "textops.*"]
"""


class Table:
    """A daemon between a client and a scripted upstream."""

    def __init__(self, client: httpx2.AsyncClient, upstream: ScriptedUpstream) -> None:
        self.client = client
        self.upstream = upstream

    async def chat(self, model: str, **body: Any) -> httpx2.Response:
        return await self.client.post("/v1/chat/completions", json=asked(model, **body))

    def streamed(self, model: str) -> AbstractAsyncContextManager[httpx2.Response]:
        """Its status line has come when the block begins."""
        return self.client.stream("POST", "/v1/chat/completions", json=asked(model, stream=True))

    async def servers(self) -> dict[str, Any]:
        listing = (await self.client.get("/v1/tools")).json()
        return {server["name"]: server for server in listing["servers"]}

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask for the health of the tool servers until it is as wanted."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition(servers := await self.servers()):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return servers


def asked(model: str, **body: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], **body}


def write_config(directory: Path, base_url: str, servers: dict[str, Any]) -> None:
    inferencers = f'[inferencers.mock]\nbase_url = "{base_url}"\nmodels = ["m"]\ndiscover = false\nretries = 0\n'
    (directory / "inferencers.toml").write_text(inferencers)
    (directory / "recipes.toml").write_text(RECIPES)
    (directory / "mcp.json").write_text(json.dumps({"mcpServers": servers}))


@asynccontextmanager
async def table(directory: Path, **servers: Any) -> AsyncIterator[Table]:
    async with ScriptedUpstream() as upstream:
        write_config(directory, upstream.base_url, servers)
        environ = {**os.environ, "HOME": str(directory)}
        async with (
            daemon(directory, environ) as running,
            httpx2.AsyncClient(base_url=running.url, timeout=PATIENCE_S, trust_env=False) as client,
        ):
            yield Table(client, upstream)


def an_example(name: str, directory: Path) -> dict[str, Any]:
    """A shipped tool server, copied so that its processes can be told from those of other tests."""
    copy = directory / f"{name}.py"
    copy.write_text((EXAMPLES / name / "server.py").read_text())
    return {"command": sys.executable, "args": [str(copy)]}


def processes_with(word: str) -> list[int]:
    """The ids of the living processes that have `word` in their arguments."""
    if Path("/proc/self/cmdline").exists():
        return [int(pid) for pid in os.listdir("/proc") if pid.isdecimal() and word.encode() in _arguments_of(pid)]
    listing = subprocess.run(["ps", "-axww", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout
    return [int(line.split(maxsplit=1)[0]) for line in listing.splitlines() if word in line]


def _arguments_of(pid: str) -> bytes:
    try:
        return Path("/proc", pid, "cmdline").read_bytes()
    except OSError:
        return b""  # it ended meanwhile


async def frames_of(response: httpx2.Response) -> list[Any]:
    frames = (await response.aread()).decode().split("\n\n")
    data = [frame.removeprefix("data: ") for frame in frames if frame.startswith("data: ")]
    return [json.loads(each) if each != "[DONE]" else each for each in data]


async def test_a_missing_tool_server_delays_nothing_and_is_told_with_its_reason(tmp_path: Path) -> None:
    async with table(
        tmp_path, gone={"command": "no-such-program-anywhere"}, textops=an_example("mcp-textops", tmp_path)
    ) as at:
        assert (await at.client.get("/healthz")).status_code == 200
        servers = await at.until(lambda now: now["gone"]["health"] == "down" and now["textops"]["health"] == "ready")
        assert "no-such-program-anywhere" in servers["gone"]["last_error"]
        await at.until(lambda now: all(server["health"] != "starting" for server in now.values()))
        assert (await at.client.get("/readyz")).json() == {"ready": True, "waiting_for": []}


@BOTH_PATHS
@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstreams_html_is_a_json_error_and_the_connection_lives(
    tmp_path: Path, model: str, stream: bool
) -> None:
    async with table(tmp_path) as at:
        at.upstream.answers(html(), chat("fine"))
        refused = await at.chat(model, stream=stream)
        assert refused.status_code == 502
        assert refused.headers["content-type"] == "application/json"
        assert set(refused.json()["error"]) >= {"message", "type", "param", "code"}
        assert refused.json()["error"]["at_fault"] == "upstream"
        assert refused.headers["x-woollama-path"] == ("relay" if model == "mock/m" else "engine; recipe")
        assert (refused.headers["x-woollama-target"], refused.headers["x-woollama-attempts"]) == ("mock/m", "1")
        # the same keep-alive connection
        assert (await at.chat(model)).json()["choices"][0]["message"]["content"] == "fine"


@BOTH_PATHS
async def test_a_web_page_with_status_200_is_no_answer(tmp_path: Path, model: str) -> None:
    async with table(tmp_path) as at:
        at.upstream.answers(html(200))
        refused = await at.chat(model)
        assert (refused.status_code, refused.json()["error"]["at_fault"]) == (502, "upstream")


@BOTH_PATHS
async def test_an_upstream_that_dies_in_mid_word_ends_as_an_error_and_not_as_stop(tmp_path: Path, model: str) -> None:
    async with table(tmp_path) as at:
        at.upstream.answers(chat_stream("one two three four", cut_after=2))
        response = await at.chat(model, stream=True)
        frames = await frames_of(response)
        assert "error" in frames[-1]
        assert "[DONE]" not in frames
        assert not any(choice["finish_reason"] for frame in frames[:-1] for choice in frame["choices"])


async def test_an_upstream_that_says_its_error_and_hangs_up_is_heard_once(tmp_path: Path) -> None:
    said = b'data: {"error": {"message": "out of memory", "type": "server_error"}}\n\n'
    async with table(tmp_path) as at:
        at.upstream.answers(sse([said, said], cut_after=1))
        frames = await frames_of(await at.chat("mock/m", stream=True))
        assert [frame["error"]["message"] for frame in frames] == ["out of memory"]


@BOTH_PATHS
async def test_a_whole_answer_that_is_cut_is_an_error(tmp_path: Path, model: str) -> None:
    half: Answer = raw(head(200, {"content-type": "application/json"}, "content-length: 1000") + b'{"id": "x"', CUT)
    async with table(tmp_path) as at:
        at.upstream.always(half)
        response = await at.chat(model)
        assert (response.status_code, response.json()["error"]["at_fault"]) == (502, "upstream")


@BOTH_PATHS
@pytest.mark.parametrize("said", [b"", b'{"id": "x", "choices": ['], ids=["nothing", "half"])
async def test_what_calls_itself_json_and_is_none_is_an_error(tmp_path: Path, model: str, said: bytes) -> None:
    async with table(tmp_path) as at:
        at.upstream.answers(raw(head(200, {"content-type": "application/json"}, f"content-length: {len(said)}") + said))
        response = await at.chat(model)
        assert (response.status_code, response.json()["error"]["at_fault"]) == (502, "upstream")


async def test_a_killed_tool_server_is_noticed_and_comes_back(tmp_path: Path) -> None:
    async with table(tmp_path, textops=an_example("mcp-textops", tmp_path)) as at:
        await at.until(lambda now: now["textops"]["health"] == "ready")
        (pid,) = processes_with(str(tmp_path / "mcp-textops.py"))
        os.kill(pid, signal.SIGKILL)
        await at.until(lambda now: now["textops"]["attempts"] > 1 and now["textops"]["health"] == "ready")
        at.upstream.answers(chat_tool_call("textops__uppercase", {"text": "abc"}), chat("done"))
        body = (await at.chat("woollama/clerk")).json()
        assert body["x_woollama"]["tool_calls"][0]["result"] == "ABC"


async def test_a_slow_call_blocks_no_other(tmp_path: Path) -> None:
    servers = {"hello": an_example("mcp-hello", tmp_path), "textops": an_example("mcp-textops", tmp_path)}
    async with table(tmp_path, **servers) as at:
        await at.until(lambda now: all(server["health"] == "ready" for server in now.values()))
        at.upstream.answers(chat_tool_call("hello__count_to", {"n": 1000, "delay_ms": 1000}))
        slow = asyncio.create_task(at.chat("woollama/counter"))
        await at.upstream.until(lambda: len(at.upstream.requests) == 1)
        at.upstream.answers(chat_tool_call("textops__uppercase", {"text": "abc"}), chat("done"))
        body = (await at.chat("woollama/counter")).json()
        assert body["x_woollama"]["tool_calls"][0]["result"] == "ABC"
        at.upstream.answers(chat_tool_call("hello__hello", {"name": "Zed"}), chat("done"))
        assert (await at.chat("woollama/counter")).status_code == 200
        assert not slow.done()
        slow.cancel()


@BOTH_PATHS
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_ends_its_upstream_call(tmp_path: Path, model: str, stream: bool) -> None:
    async with table(tmp_path) as at:
        begun = chat_stream("one two three", stall_after=2) if stream else raw(STALL)
        at.upstream.answers(begun)
        going = asyncio.create_task(at.chat(model, stream=stream))
        await at.upstream.until(lambda: at.upstream.requests)
        going.cancel()
        await at.upstream.until(lambda: at.upstream.requests[0].left_early)
        await at.upstream.until(lambda: at.upstream.open_connections == 0)


async def test_a_recipe_passes_on_what_the_client_asks_for(tmp_path: Path) -> None:
    wishes = {
        "temperature": 0.3,
        "top_p": 0.9,
        "max_tokens": 77,
        "stop": ["END"],
        "seed": 5,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "user": "zed",
        "metadata": {"a": "b"},
        "response_format": {"type": "json_object"},
        "tools": [{"type": "function", "function": {"name": "mine", "parameters": {"type": "object"}}}],
        "tool_choice": "required",
        "vendor_field": {"x": 1},
    }
    async with table(tmp_path) as at:
        at.upstream.answers(chat("{}"))
        assert (await at.chat("woollama/plain", **wishes)).status_code == 200
        sent = at.upstream.requests[0].json
        for name, value in wishes.items():
            if name != "tools":
                assert sent[name] == value, name
        assert sent["tools"][0]["function"]["name"] == "mine"


async def test_usage_counts_every_round(tmp_path: Path) -> None:
    async with table(tmp_path, textops=an_example("mcp-textops", tmp_path)) as at:
        rounds = [chat_tool_call("textops__uppercase", {"text": str(number)}) for number in range(4)]
        at.upstream.answers(*rounds, chat("done"))
        body = (await at.chat("woollama/clerk")).json()
        last = body["x_woollama"]["last_round"]
        assert body["x_woollama"]["rounds"] == 5
        assert body["usage"]["prompt_tokens"] == 5 * last["input_tokens"] > 0
        assert body["usage"]["total_tokens"] > last["input_tokens"] + last["output_tokens"]


@BOTH_PATHS
async def test_a_page_cannot_run_a_completion_with_a_plain_text_post(tmp_path: Path, model: str) -> None:
    async with table(tmp_path) as at:
        body = json.dumps(asked(model))
        response = await at.client.post("/v1/chat/completions", content=body, headers={"content-type": "text/plain"})
        assert response.status_code == 415
        foreign = await at.client.post("/v1/chat/completions", json=asked(model), headers={"host": "evil.example"})
        assert foreign.status_code == 421
        cross = await at.client.post(
            "/v1/chat/completions", json=asked(model), headers={"origin": "https://evil.example"}
        )
        assert cross.status_code == 403
        assert at.upstream.requests == []


async def test_callers_credentials_never_go_upstream(tmp_path: Path) -> None:
    planted = {"authorization": "Bearer caller-secret-1", "x-api-key": "caller-secret-2", "cookie": "a=caller-secret-3"}
    async with table(tmp_path) as at:
        for model in ("mock/m", "woollama/plain"):
            at.upstream.answers(chat("fine"))
            await at.client.post("/v1/chat/completions", json=asked(model), headers=planted)
        assert len(at.upstream.requests) == 2
        assert "caller-secret" not in repr([(request.raw_headers, request.body) for request in at.upstream.requests])


async def test_a_daemon_with_open_streams_and_children_ends_on_sigterm_and_leaves_nothing(tmp_path: Path) -> None:
    """Both paths stream, a tool call runs; files, children and sockets are gone afterwards, clients are told."""
    async with ScriptedUpstream() as upstream:
        write_config(tmp_path, upstream.base_url, {"hello": an_example("mcp-hello", tmp_path)})
        with tempfile.TemporaryDirectory(prefix="woollama-") as runtime:
            environ = {
                **os.environ,
                "HOME": str(tmp_path),
                "XDG_RUNTIME_DIR": runtime,
                "WOOLLAMA_CONFIG_DIR": str(tmp_path),
                "WOOLLAMA_ADDRESS": "127.0.0.1:0",
                "WOOLLAMA_SHUTDOWN_TIMEOUT": "300ms",
            }
            process = subprocess.Popen([sys.executable, "-m", "woollama"], env=environ)  # noqa: ASYNC220
            try:
                base_url = await address_of(Path(runtime))
                async with httpx2.AsyncClient(base_url=base_url, timeout=PATIENCE_S, trust_env=False) as client:
                    talk = Table(client, upstream)
                    await talk.until(lambda now: now["hello"]["health"] == "ready")
                    upstream.answers(*(chat_stream("half a wo rd", stall_after=2) for _ in range(2)))
                    async with AsyncExitStack() as streams:
                        begun = [
                            await streams.enter_async_context(talk.streamed(model))
                            for model in ("mock/m", "woollama/plain")
                        ]
                        upstream.answers(chat_tool_call("hello__count_to", {"n": 1000, "delay_ms": 1000}))
                        begun.append(await streams.enter_async_context(talk.streamed("woollama/counter")))
                        process.send_signal(signal.SIGTERM)
                        assert await asyncio.to_thread(process.wait, PATIENCE_S) == 0
                        for stream in begun:
                            frames = await frames_of(stream)
                            assert "error" in frames[-1]
                            assert "[DONE]" not in frames
                assert set(os.listdir(runtime)) <= {"woollama.lock"}
                assert processes_with(str(tmp_path)) == []
            finally:
                process.kill()
                process.wait()


async def address_of(runtime: Path) -> str:
    file = runtime / "woollama.addr"
    async with asyncio.timeout(PATIENCE_S):
        while not file.exists() or not file.read_text():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    host, _, port = file.read_text().strip().rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S):
        return f"http://{host}:{port}"
