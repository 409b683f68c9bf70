"""Another configuration while a daemon runs: what survives, what ends on the old one, what waits for the owner."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.daemon import daemon
from tests.test_published_failures import processes_with
from tests.toolservers.fleets import SERVERS
from tests.upstream import ScriptedUpstream, chat, error, raw
from woollama import reloading
from woollama.server import InProcess

PATIENCE_S = 60.0
HI = [{"role": "user", "content": "hi"}]


def tiny(directory: Path, name: str) -> dict[str, Any]:
    """An entry for a tool server whose process can be found by its program."""
    program = directory / f"{name}.py"
    program.write_text((SERVERS / "tiny.py").read_text())
    return {"command": sys.executable, "args": ["-IS", str(program)], "trusted": True}


class Scene:
    def __init__(self, directory: Path, running: InProcess) -> None:
        self.directory = directory
        self.running = running
        unix = httpx2.AsyncHTTPTransport(uds=str(running.unix_path))
        self.owner = httpx2.AsyncClient(transport=unix, base_url="http://localhost", timeout=PATIENCE_S)
        self.client = httpx2.AsyncClient(base_url=running.url, timeout=PATIENCE_S, trust_env=False)

    async def reload(self) -> dict[str, Any]:
        answer = await self.owner.post("/w1/reload", json={})
        assert answer.status_code == 200, answer.text
        outcome: dict[str, Any] = answer.json()
        return outcome

    async def state(self) -> dict[str, Any]:
        state: dict[str, Any] = (await self.client.get("/w1/config")).json()
        return state

    async def until(self, holds: Callable[[], Awaitable[object]]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not await holds():  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def is_ready(self, server: str) -> bool:
        servers = (await self.client.get("/w1/servers")).json()["data"]
        return any(each["name"] == server and each["health"] == "ready" for each in servers)

    async def ask(self, model: str) -> httpx2.Response:
        return await self.client.post("/v1/chat/completions", json={"model": model, "messages": HI})

    async def models(self) -> list[str]:
        return [each["id"] for each in (await self.client.get("/v1/models")).json()["data"]]

    def write(self, *, inferencers: str = "", recipes: str = "", servers: Mapping[str, Any] | None = None) -> None:
        write(self.directory, inferencers=inferencers, recipes=recipes, servers=servers)


def write(
    directory: Path, *, inferencers: str = "", recipes: str = "", servers: Mapping[str, Any] | None = None
) -> None:
    shipped = {name: {"disabled": True} for name in ("hello", "clock", "textops")}
    put(directory / "inferencers.toml", inferencers)
    put(directory / "recipes.toml", recipes)
    put(directory / "mcp.json", json.dumps({"mcpServers": {**shipped, **(servers or {})}}))


def put(file: Path, text: str) -> None:
    """At once: a daemon that looks at its files must not find half of one."""
    new = file.with_name(f".{file.name}.new")
    new.write_text(text)
    new.replace(file)


@asynccontextmanager
async def scene(directory: Path, **environ: str) -> AsyncIterator[Scene]:
    async with daemon(directory, {**os.environ, "HOME": str(directory), **environ}) as running:
        stage = Scene(directory, running)
        async with stage.owner, stage.client:
            yield stage


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as started:
        yield started


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloading, "LOOK_EVERY_S", 0.05)


def box(upstream: ScriptedUpstream, more: str = "") -> str:
    return f'[inferencers.box]\nbase_url = "{upstream.base_url}"\nretries = 0\n{more}\n'


async def test_a_new_recipe_is_there_after_a_reload_and_a_removed_one_is_gone(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    write(tmp_path, inferencers=box(upstream), recipes='[recipes.old]\ninferencer = "box/m"\n')
    upstream.always(chat("hello"))
    async with scene(tmp_path) as stage:
        stage.write(inferencers=box(upstream), recipes='[recipes.new]\ninferencer = "box/m"\n')
        outcome = await stage.reload()
        assert outcome == {
            "reloaded": True,
            "changed": [
                {"what": "recipe", "name": "old", "how": "removed"},
                {"what": "recipe", "name": "new", "how": "added"},
            ],
            "pending": [],
            "problems": [],
            "needs_restart": [],
        }
        assert {"woollama/new", "woollama/old"} & set(await stage.models()) == {"woollama/new"}
        assert (await stage.ask("woollama/new")).status_code == 200
        assert (await stage.ask("woollama/old")).status_code == 404
        assert (await stage.reload())["changed"] == []


async def test_a_request_in_flight_ends_on_the_configuration_that_it_began_on(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    recipe = '[recipes.clerk]\ninferencer = "box/m"\n'
    write(tmp_path, inferencers=box(upstream), recipes=recipe)
    go_on = asyncio.Event()
    held = raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n", go_on, b"{}")
    async with scene(tmp_path) as stage:
        upstream.answers(held, chat("from the recipe"))
        relayed = asyncio.create_task(stage.ask("box/m"))
        await upstream.until(lambda: upstream.active_requests == 1)
        stage.write(inferencers="[inferencers.box]\ndisabled = true\n", recipes="")
        await stage.reload()
        assert (await stage.ask("box/m")).status_code == 404
        go_on.set()
        assert (await relayed).text == "{}"


async def test_a_server_whose_entry_is_equal_is_not_disturbed_and_a_changed_one_ends_after_its_calls(
    tmp_path: Path,
) -> None:
    servers = {name: tiny(tmp_path, name) for name in ("same", "other", "gone")}
    write(tmp_path, servers=servers)
    async with scene(tmp_path) as stage, Client(streamable_http_client(f"{stage.running.url}/mcp")) as host:
        await stage.until(lambda: all_ready(stage, servers))
        pids = {name: processes_with(str(tmp_path / f"{name}.py")) for name in servers}
        hanging = asyncio.create_task(host.call_tool("other__wait", {}))
        await stage.until(lambda: is_waiting(host))
        changed = {"same": servers["same"], "other": {**servers["other"], "env": {"A": "b"}}}
        stage.write(servers=changed)
        outcome = await stage.reload()
        assert outcome["changed"] == [
            {"what": "tool server", "name": "other", "how": "changed"},
            {"what": "tool server", "name": "gone", "how": "removed"},
        ]
        await stage.until(lambda: all_ready(stage, changed))
        assert processes_with(str(tmp_path / "same.py")) == pids["same"]
        await stage.until(lambda: gone(tmp_path / "gone.py"))
        other = processes_with(str(tmp_path / "other.py"))
        assert set(pids["other"]) < set(other)
        assert "0 waiting" in text_of(await host.call_tool("other__pid", {}))
        hanging.cancel()
        await stage.until(lambda: has_left(tmp_path / "other.py", pids["other"]))


async def all_ready(stage: Scene, servers: Mapping[str, Any]) -> bool:
    return all([await stage.is_ready(name) for name in servers])


async def is_waiting(host: Client) -> bool:
    return "1 waiting" in text_of(await host.call_tool("other__pid", {}))


async def gone(program: Path) -> bool:
    return processes_with(str(program)) == []


async def has_left(program: Path, pids: list[int]) -> bool:
    return not set(pids) & set(processes_with(str(program)))


def text_of(result: Any) -> str:
    return str(result.content[0].text)


async def test_what_is_known_of_an_inferencer_survives(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    both = box(upstream) + box(upstream).replace(".box]", ".spare]")
    recipe = '[recipes.clerk]\ninferencer = "box/m"\nfallbacks = ["spare/m"]\n'
    write(tmp_path, inferencers=both, recipes=recipe)
    async with scene(tmp_path) as stage:
        for _ in range(3):
            upstream.answers(error(500, "broken"), chat("from the spare one"))
            assert (await stage.ask("woollama/clerk")).headers["x-woollama-target"] == "spare/m"
        stage.write(inferencers=both, recipes=recipe + 'system = "Be brief."\n')
        await stage.reload()
        upstream.answers(chat("at once"))
        answer = await stage.ask("woollama/clerk")
        assert (answer.headers["x-woollama-target"], answer.headers["x-woollama-attempts"]) == ("spare/m", "1")


@pytest.mark.parametrize("broken", ["[recipes", "[recipes.a]\ninferencer ="])
async def test_a_file_that_does_not_parse_leaves_the_old_configuration_in_force(
    tmp_path: Path, upstream: ScriptedUpstream, broken: str
) -> None:
    write(tmp_path, inferencers=box(upstream), recipes='[recipes.clerk]\ninferencer = "box/m"\n')
    async with scene(tmp_path) as stage:
        (tmp_path / "recipes.toml").write_text(broken)
        outcome = await stage.reload()
        assert (outcome["reloaded"], outcome["changed"]) == (False, [])
        assert outcome["problems"][0]["file"] == str(tmp_path / "recipes.toml")
        assert "woollama/clerk" in await stage.models()
        assert (await stage.state())["problems"] == outcome["problems"]


async def test_a_bad_entry_is_left_out_with_its_reason_and_its_neighbours_are_taken(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    write(tmp_path, inferencers=box(upstream))
    async with scene(tmp_path) as stage:
        stage.write(
            inferencers=box(upstream),
            recipes='[recipes.good]\ninferencer = "box/m"\n[recipes.bad]\ninferencer = 7\n',
        )
        outcome = await stage.reload()
        assert outcome["changed"] == [{"what": "recipe", "name": "good", "how": "added"}]
        assert [problem["key"] for problem in outcome["problems"]] == ["recipes.bad.inferencer"]


async def test_only_the_owner_reloads(tmp_path: Path) -> None:
    write(tmp_path)
    async with scene(tmp_path) as stage:
        refused = await stage.client.post("/w1/reload", json={})
        assert refused.status_code == 403
        assert "unix socket" in refused.json()["error"]["message"]


async def test_whom_the_door_lets_in_is_another_question_after_a_reload_and_the_address_is_not(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "woollama.toml").write_text("[server]\nallow_hosts = []\n")
    async with scene(tmp_path) as stage:
        named = {"host": "woollama.internal"}
        assert (await stage.client.get("/healthz", headers=named)).status_code == 421
        text = '[server]\nallow_hosts = ["woollama.internal"]\naddress = "127.0.0.1:1"\n[limits]\nbody = "100B"\n'
        (tmp_path / "woollama.toml").write_text(text)
        outcome = await stage.reload()
        assert outcome["needs_restart"] == ["server.address"]
        assert (await stage.client.get("/healthz", headers=named)).status_code == 200
        too_much = await stage.client.post("/v1/chat/completions", json={"model": "x" * 200})
        assert too_much.status_code == 413


async def test_how_large_a_body_may_be_is_another_question_after_a_reload_for_mcp_hosts_too(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "woollama.toml").write_text('[limits]\nbody = "1KB"\n')
    async with scene(tmp_path) as stage:
        ping = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"padding": "x" * 2000}}
        headers = {"accept": "application/json, text/event-stream"}
        assert (await stage.client.post("/mcp", json=ping, headers=headers)).status_code == 413
        (tmp_path / "woollama.toml").write_text('[limits]\nbody = "1MB"\n')
        await stage.reload()
        assert (await stage.client.post("/mcp", json=ping, headers=headers)).status_code != 413


async def test_the_last_token_is_not_taken_away_while_it_runs(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "woollama.toml").write_text("[tokens.aider]\n[tokens.panel]\n")
    tokens = {"WOOLLAMA_TOKEN_AIDER": "token-of-aider", "WOOLLAMA_TOKEN_PANEL": "token-of-panel"}
    async with scene(tmp_path, **tokens) as stage:

        async def status(token: str) -> int:
            asked = await stage.client.get("/v1/models", headers={"authorization": f"Bearer {token}"})
            return asked.status_code

        (tmp_path / "woollama.toml").write_text("[tokens.panel]\n")
        await stage.reload()
        assert [await status(token) for token in tokens.values()] == [401, 200]
        (tmp_path / "woollama.toml").write_text("")
        await stage.reload()
        assert [await status(token) for token in ("nonsense", "token-of-panel")] == [401, 200]


async def test_hosts_that_are_connected_hear_of_new_recipes(tmp_path: Path) -> None:
    write(tmp_path)
    async with scene(tmp_path) as stage, Client(streamable_http_client(f"{stage.running.url}/mcp")) as host:
        async with host.listen(prompts_list_changed=True) as news:
            recipe = '[recipes.fresh]\ninferencer = "scripted/echo"\nsystem = "Be {{mood}}."\n'
            stage.write(recipes=recipe)
            await stage.reload()
            async with asyncio.timeout(PATIENCE_S):
                assert type(await anext(aiter(news))).__name__ == "PromptsListChanged"
        listed = {prompt.name for prompt in (await host.list_prompts(cache_mode="bypass")).prompts}
        assert "fresh" in listed


# --- by a change of a file alone


@pytest.mark.usefixtures("watched")
async def test_a_changed_file_takes_effect_by_itself(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    write(tmp_path, inferencers=box(upstream))
    async with scene(tmp_path) as stage:
        stage.write(inferencers=box(upstream), recipes='[recipes.fresh]\ninferencer = "box/m"\n')

        async def is_listed() -> bool:
            return "woollama/fresh" in await stage.models()

        await stage.until(is_listed)
        assert (await stage.state())["pending"] == []


@pytest.mark.usefixtures("watched")
async def test_a_file_that_was_broken_for_a_while_is_read_when_it_is_whole(tmp_path: Path) -> None:
    write(tmp_path)
    async with scene(tmp_path) as stage:

        async def is_wrong() -> bool:
            return bool((await stage.state())["problems"])

        (tmp_path / "recipes.toml").write_text("[recip")
        await stage.until(is_wrong)
        (tmp_path / "recipes.toml").write_text('[recipes.fresh]\ninferencer = "scripted/echo"\n')

        async def is_right() -> bool:
            return "woollama/fresh" in await stage.models() and not await is_wrong()

        await stage.until(is_right)


@pytest.mark.usefixtures("watched")
async def test_a_changed_file_starts_no_command_and_sends_no_key_until_the_owner_reloads(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    write(tmp_path, inferencers=box(upstream, 'api_key_env = "BOX_KEY"'))
    upstream.always(chat("hello"))
    async with ScriptedUpstream() as thief, scene(tmp_path, BOX_KEY="a-key-of-the-owner") as stage:
        thief.always(chat("thanks"))
        evil = {"evil": tiny(tmp_path, "evil")}
        stage.write(inferencers=box(thief, 'api_key_env = "BOX_KEY"'), servers=evil)

        async def is_pending() -> bool:
            return len((await stage.state())["pending"]) == 2

        await stage.until(is_pending)
        pending = (await stage.state())["pending"]
        assert pending == [
            {"what": "inferencer", "name": "box", "why": "would send a key to another address"},
            {"what": "tool server", "name": "evil", "why": "would start another command"},
        ]
        assert (await stage.ask("box/m")).status_code == 200
        assert thief.requests == []
        assert processes_with(str(tmp_path / "evil.py")) == []
        assert len((await stage.reload())["changed"]) == 2
        assert (await stage.state())["pending"] == []
        await stage.until(lambda: stage.is_ready("evil"))
        await stage.ask("box/m")
        assert [request.headers["authorization"] for request in thief.requests if request.method == "POST"] == [
            "Bearer a-key-of-the-owner"
        ]
