"""Inferencers with a command, on a whole daemon: real processes that start when they are asked, and stop again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.daemon import daemon
from tests.processes.living import is_alive

SERVER = Path(__file__).with_name("model_server.py")
PATIENCE_S = 60.0


class Room:
    """A daemon with managed inferencers, and a client of it. Each `name` logs its starts in `name.starts`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.client: httpx2.AsyncClient
        self.recipes = ""
        self._entries: dict[str, dict[str, Any]] = {}

    def has(self, name: str, *behaviour: str, argv: list[str] | None = None, **keys: Any) -> None:
        log = str(self.directory / f"{name}.starts")
        command = argv or [sys.executable, str(SERVER), "--port", "{port}", "--log", log, *behaviour]
        keys = {"command": command, "models": ["m"], "retries": 0, **keys}
        self._entries[name] = keys

    @asynccontextmanager
    async def open(self, **environ: str) -> AsyncIterator[Room]:
        self._write()
        (self.directory / "recipes.toml").write_text(self.recipes)
        (self.directory / "mcp.json").write_text("{}")
        ours = {**os.environ, "HOME": str(self.directory), **environ}
        async with (
            daemon(self.directory, ours) as running,
            httpx2.AsyncClient(base_url=running.url, timeout=PATIENCE_S, trust_env=False) as self.client,
        ):
            self._unix_path = running.unix_path
            yield self

    async def reload(self) -> None:
        """As the owner, who comes over the unix socket."""
        transport = httpx2.AsyncHTTPTransport(uds=str(self._unix_path))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=PATIENCE_S) as owner:
            assert (await owner.post("/w1/reload", json={})).status_code == 200

    def changes(self, name: str, **keys: Any) -> None:
        self._entries[name] |= keys
        self._write()

    def drops(self, name: str) -> None:
        del self._entries[name]
        self._write()

    def _write(self) -> None:
        lines = []
        for name, keys in self._entries.items():
            lines += [f"[inferencers.{name}]", *(f"{key} = {_toml(value)}" for key, value in keys.items())]
        (self.directory / "inferencers.toml").write_text("\n".join(lines))

    def starts(self, name: str) -> list[int]:
        """The process ids of all that were started for an inferencer."""
        log = self.directory / f"{name}.starts"
        return [int(line) for line in log.read_text().splitlines()] if log.exists() else []

    async def ask(self, model: str, **body: Any) -> httpx2.Response:
        asked = {"model": model, "messages": [{"role": "user", "content": "hi"}], **body}
        return await self.client.post("/v1/chat/completions", json=asked)

    async def said(self, model: str, **body: Any) -> dict[str, Any]:
        answer = await self.ask(model, **body)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = json.loads(answer.json()["choices"][0]["message"]["content"])
        return said

    async def until(self, name: str, state: str) -> dict[str, Any]:
        """Asks how a process is until it is as wanted."""
        async with asyncio.timeout(PATIENCE_S):
            while (found := (await self.processes())[name])["state"] != state:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return found

    async def processes(self) -> dict[str, dict[str, Any]]:
        listing = (await self.client.get("/w1/processes")).json()
        return {each["name"]: each for each in listing["data"]}

    def pipe(self, name: str) -> Path:
        pipe = self.directory / name
        os.mkfifo(pipe)
        return pipe


def _toml(value: Any) -> str:
    if not isinstance(value, dict):
        return json.dumps(value)
    return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what another process does has no event here
            await asyncio.sleep(0.01)


async def opened(pipe: Path) -> None:
    """Lets go whoever reads from the pipe, or will."""
    await asyncio.to_thread(pipe.write_bytes, b"")


async def test_one_process_serves_the_relay_recipes_embeddings_and_streams(room: Room) -> None:
    room.has("big")
    room.recipes = '[recipes.plain]\ninferencer = "big/m"\n'
    async with room.open():
        assert room.starts("big") == []
        relayed, ran = await room.said("big/m"), await room.said("woollama/plain")
        embedded = (await room.client.post("/v1/embeddings", json={"model": "big/m", "input": "x"})).json()
        streamed = (await room.ask("big/m", stream=True)).text
        responded = await room.client.post("/v1/responses", json={"model": "big/m", "input": "hi", "store": False})
        (pid,) = room.starts("big")
        assert relayed["pid"] == ran["pid"] == embedded["pid"] == pid
        assert streamed.endswith("data: [DONE]\n\n")
        assert responded.json()["output"][0]["content"][0]["text"] == json.dumps({"pid": pid})
    assert not is_alive(pid)


@pytest.mark.parametrize("api", ["openai", "ollama"])
async def test_every_api_can_be_started(room: Room, api: str) -> None:
    room.has("big", api=api)
    room.recipes = '[recipes.plain]\ninferencer = "big/m"\n'
    async with room.open():
        assert (await room.said("woollama/plain"))["pid"] == room.starts("big")[0]


async def test_all_who_come_while_it_starts_share_one_start(room: Room) -> None:
    gate = room.pipe("gate")
    room.has("big", "--gate", str(gate))
    async with room.open():
        questions = [asyncio.create_task(room.said("big/m")) for _ in range(4)]
        await until(lambda: room.starts("big"))
        assert (await room.processes())["big"]["state"] == "starting"
        questions[0].cancel()
        await opened(gate)
        answers = await asyncio.gather(*questions[1:])
        assert [answer["pid"] for answer in answers] == room.starts("big") * 3


async def test_looking_for_models_starts_nothing_and_finds_those_of_a_process_that_runs(room: Room) -> None:
    room.has("big", models=[])
    async with room.open():
        listed = (await room.client.get("/v1/models")).json()["data"]
        assert not any(model["id"].startswith("big/") for model in listed)
        assert (await room.processes())["big"]["state"] == "stopped"
        assert room.starts("big") == []


async def test_a_page_of_its_own_choice_or_none_tells_that_it_serves(room: Room) -> None:
    room.has("bare", "--no-health")
    room.has("own", ready_url="/v1/models")
    async with room.open():
        assert (await room.said("bare/m"))["pid"] == room.starts("bare")[0]
        assert (await room.said("own/m"))["pid"] == room.starts("own")[0]


async def test_its_port_may_come_by_its_environment_and_no_key_of_ours_does(room: Room, tmp_path: Path) -> None:
    where = tmp_path / "place"
    where.mkdir()
    argv = [sys.executable, str(SERVER), "--env"]
    room.has("big", argv=argv, env={"MODEL_PORT": "{port}", "OWN": "given"}, cwd=str(where))
    environ = {"OPENAI_API_KEY": "planted-1", "LLAMA_API_KEY": "planted-2", "CUDA_VISIBLE_DEVICES": "0"}
    async with room.open(**environ):
        env = (await room.said("big/m"))["env"]
    assert env["OWN"] == "given"
    assert env["CUDA_VISIBLE_DEVICES"] == "0"
    assert "planted" not in json.dumps(env)


async def test_an_idle_process_is_stopped_and_comes_back(room: Room) -> None:
    room.has("big", idle_s=0.05)
    async with room.open():
        first = (await room.said("big/m"))["pid"]
        await until(lambda: not is_alive(first))
        second = (await room.said("big/m"))["pid"]
        assert room.starts("big") == [first, second]


async def test_a_process_that_answers_is_not_idle(room: Room) -> None:
    hold = room.pipe("hold")
    room.has("big", "--hold", str(hold), idle_s=0.01)
    async with room.open(), asyncio.timeout(PATIENCE_S):
        asked = {"model": "big/m", "messages": [], "stream": True}
        async with room.client.stream("POST", "/v1/chat/completions", json=asked) as answer:
            frames = answer.aiter_text()
            seen = await anext(frames)
            await asyncio.sleep(0.1)  # many times `idle_s`: nothing is waited for here, something must not happen
            assert is_alive(room.starts("big")[0])
            await opened(hold)
            async for frame in frames:
                seen += frame
        assert seen.endswith("data: [DONE]\n\n")


async def test_one_that_was_killed_is_told_and_started_again(room: Room) -> None:
    room.has("big")
    async with room.open():
        first = (await room.said("big/m"))["pid"]
        os.kill(first, signal.SIGKILL)
        state = await room.until("big", "down")
        assert state["last_error"] == "was killed by signal 9"
        second = (await room.said("big/m"))["pid"]
        assert room.starts("big") == [first, second]
        assert (await room.processes())["big"]["restarts"] == 1


async def test_one_that_is_killed_in_mid_answer_is_an_error_that_says_so(room: Room) -> None:
    hold = room.pipe("hold")
    room.has("big", "--hold", str(hold))
    async with room.open(), asyncio.timeout(PATIENCE_S):
        asked = {"model": "big/m", "messages": [], "stream": True}
        async with room.client.stream("POST", "/v1/chat/completions", json=asked) as answer:
            frames = answer.aiter_text()
            seen = await anext(frames)
            os.kill(room.starts("big")[0], signal.SIGKILL)
            async for frame in frames:
                seen += frame
        assert "went away in the middle: its process was killed by signal 9" in seen
        assert "[DONE]" not in seen


@pytest.mark.parametrize("model", ["big/m", "woollama/plain"])
async def test_one_that_ends_at_its_start_says_its_last_lines(room: Room, model: str) -> None:
    room.has("big", "--dies", "error: no such file: model.gguf")
    room.recipes = '[recipes.plain]\ninferencer = "big/m"\n'
    async with room.open():
        answer = await room.ask(model)
        assert answer.status_code == 502
        message = answer.json()["error"]["message"]
        assert message.startswith("big exited with code 3 while it started; its last lines:\n")
        assert "error: no such file: model.gguf" in message
        assert (await room.processes())["big"]["state"] == "down"


async def test_a_request_in_a_long_pause_is_told_at_once_and_when_to_come_again(room: Room) -> None:
    gate = room.pipe("gate")
    room.has("big", "--gate", str(gate), start_timeout_s=0.3)
    async with room.open():
        assert (await room.ask("big/m")).status_code == 504  # after which there is a pause of 15 seconds
        refused = await room.ask("big/m")
        assert refused.status_code == 502
        assert "big is not started again for" in refused.json()["error"]["message"]
        assert 5 < int(refused.headers["retry-after"]) <= 15
        assert len(room.starts("big")) <= 1


async def test_a_program_that_is_missing_is_told_and_the_next_candidate_answers(room: Room) -> None:
    room.has("gone", argv=["no-such-program-anywhere", "{port}"])
    room.has("big")
    room.recipes = '[recipes.plain]\ninferencer = "gone/m"\nfallbacks = ["big/m"]\n'
    async with room.open():
        refused = await room.ask("gone/m")
        assert "gone cannot be started: no-such-program-anywhere: No such file" in refused.json()["error"]["message"]
        assert (await room.said("woollama/plain"))["pid"] == room.starts("big")[0]


async def test_a_start_that_takes_too_long_is_given_up(room: Room) -> None:
    room.has("big", "--gate", str(room.pipe("gate")), start_timeout_s=1)
    async with room.open():
        answer = await room.ask("big/m")
        assert answer.status_code == 504
        assert answer.json()["error"]["message"].startswith("big was not ready within 1 s")
        await until(lambda: not any(map(is_alive, room.starts("big"))))


async def test_a_port_where_something_else_listens_is_told(room: Room) -> None:
    with _listener() as port:
        room.has("big", argv=[sys.executable, str(SERVER)], base_url=f"http://127.0.0.1:{port}/v1")
        async with room.open():
            answer = await room.ask("big/m")
            assert f"something else listens at 127.0.0.1:{port} already" in answer.json()["error"]["message"]


async def test_of_a_group_one_is_up_and_the_other_request_waits_for_its_end(room: Room) -> None:
    hold = room.pipe("hold")
    room.has("a", "--hold", str(hold), swap_group="gpu0")
    room.has("b", swap_group="gpu0")
    async with room.open(), asyncio.timeout(PATIENCE_S):
        first = asyncio.create_task(room.said("a/m"))
        await until(lambda: room.starts("a"))
        embedding = asyncio.create_task(room.client.post("/v1/embeddings", json={"model": "b/m", "input": "x"}))
        await asyncio.sleep(0.2)  # it must not get through, however long it waits
        assert room.starts("b") == []
        await opened(hold)
        pid = (await first)["pid"]
        assert (await embedding).json()["pid"] == room.starts("b")[0]
        assert not is_alive(pid)
        states = await room.processes()
        assert (states["a"]["state"], states["b"]["state"]) == ("stopped", "ready")


async def test_a_reload_keeps_what_has_not_changed_and_ends_the_rest(room: Room) -> None:
    for name in ("same", "changed", "removed"):
        room.has(name)
    async with room.open():
        before = {name: (await room.said(f"{name}/m"))["pid"] for name in ("same", "changed", "removed")}
        room.changes("changed", idle_s=60)
        room.drops("removed")
        await room.reload()
        assert (await room.said("same/m"))["pid"] == before["same"]
        assert (await room.said("changed/m"))["pid"] != before["changed"]
        await until(lambda: not is_alive(before["changed"]) and not is_alive(before["removed"]))
        assert "removed" not in await room.processes()


async def test_a_request_under_way_ends_on_the_process_that_a_reload_replaces(room: Room) -> None:
    hold = room.pipe("hold")
    room.has("big", "--hold", str(hold))
    async with room.open(), asyncio.timeout(PATIENCE_S):
        question = asyncio.create_task(room.said("big/m"))
        await until(lambda: room.starts("big"))
        await room.until("big", "ready")
        room.changes("big", idle_s=60)
        await room.reload()
        await opened(hold)
        pid = (await question)["pid"]
        await until(lambda: not is_alive(pid))


async def test_who_watches_hears_of_it(room: Room) -> None:
    room.has("big", idle_s=0.05)
    async with room.open(), asyncio.timeout(PATIENCE_S), room.client.stream("GET", "/w1/events") as events:
        lines = events.aiter_lines()
        await anext(lines)
        await room.said("big/m")
        heard = []
        async for line in lines:
            if line.startswith("event: process."):
                heard.append(line.removeprefix("event: process."))
            if heard[-1:] == ["stopped"]:
                break
    assert heard == ["starting", "ready", "stopped"]


async def test_a_daemon_that_ends_while_a_model_starts_leaves_nothing(room: Room) -> None:
    room.has("big", "--gate", str(room.pipe("gate")))
    async with room.open():
        question = asyncio.create_task(room.ask("big/m"))
        await until(lambda: room.starts("big"))
        question.cancel()
    assert not is_alive(room.starts("big")[0])


@contextmanager
def _listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
