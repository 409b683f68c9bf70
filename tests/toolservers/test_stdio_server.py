"""What is particular to a server behind pipes: what it is given, and what it may write."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.toolservers.fleets import (
    ENVIRONMENT,
    PATIENCE_S,
    SERVERS,
    Lost,
    call,
    fleet_of,
    health,
    over_stdio,
    said,
    script,
    tiny,
    until,
)
from woollama.domain.tools import Offline, Returned
from woollama.processes.children import Supervisor
from woollama.toolservers.dispatching import Dispatching
from woollama.toolservers.messages import Message, NotAMessage, encoded, message_of
from woollama.toolservers.stdio import over_pipes


def declare_nothing(method: str, params: dict[str, Any]) -> None: ...


async def never_asked(*_: Any) -> dict[str, Any]:
    raise AssertionError


async def never_told(*_: Any) -> None:
    raise AssertionError


async def test_a_server_gets_the_private_environment_and_its_own_and_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-for-tools")
    async with fleet_of(tiny(env={"TOKEN": "its own", "TZ": "UTC"})) as fleet:
        environment = json.loads(await said(fleet, "all__environment"))
    assert environment.pop("LC_CTYPE", "C.UTF-8") == "C.UTF-8"  # an interpreter sets it for itself
    assert environment == {**ENVIRONMENT, "TOKEN": "its own", "TZ": "UTC"}


async def test_junk_on_stdout_is_logged_and_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    async with fleet_of(over_stdio()) as fleet:
        assert await said(fleet, "all__junk") == "written"
        assert await said(fleet, "all__echo", text="well") == "well"
        assert health(fleet).attempts == 1
    assert "all wrote what is no message of the protocol: 'a line of log'" in caplog.text


async def test_vendor_members_of_tools_and_results_survive() -> None:
    async with fleet_of(tiny()) as fleet:
        assert {tool.raw["x-vendor"] for tool in fleet.tools()} == {"kept"}
        outcome = await call(fleet, "all__echo", text="hi")
        assert isinstance(outcome, Returned)
        assert outcome.content == ({"type": "text", "text": "hi", "x-vendor": "kept"},)


async def test_a_line_without_end_is_the_end_of_the_connection() -> None:
    lost = Lost()
    async with Supervisor() as supervisor:
        endless = "import sys; sys.stdout.write('x' * 5_000_000); sys.stdout.flush(); open(0).read()"
        child = await supervisor.spawn([sys.executable, "-IS", "-c", endless], env=ENVIRONMENT, pipes=True)
        async with over_pipes(child, declare_nothing, lose=lost, junk=print, max_line_bytes=4_000_000) as pipes:
            await pipes.run(never_asked, never_told)
            assert await lost.why(PATIENCE_S) == "sent a line longer than 4000000 bytes"
        assert child.closed.is_set()


@pytest.mark.parametrize(
    ("line", "result"),
    [
        (rb'{"jsonrpc": "2.0", "id": 1, "result": {"t": "half \ud83d"}}', {"t": "half ?"}),
        (b'{"jsonrpc": "2.0", "id": 1, "result": {"t": "\xff"}}', {"t": "\N{REPLACEMENT CHARACTER}"}),
        (b'{"jsonrpc": "2.0", "id": 1, "result": {"n": 123456789012345678901}}', {"n": 123456789012345678901}),
    ],
)
def test_an_answer_is_not_lost_for_a_character(line: bytes, result: object) -> None:
    assert message_of(line)["result"] == result


@pytest.mark.parametrize(
    "line",
    [
        *(b"hello", b"[]", b'{"level": "info"}', b"[" * 100_000, b"\xff", b'"' + b"x" * 999),
        b'{"jsonrpc": "1.0", "id": 1, "result": {}}',
        b'{"jsonrpc": "2.0", "id": 1, "result": []}',
        b'{"jsonrpc": "2.0", "id": null, "result": {}}',
        b'{"jsonrpc": "2.0", "id": true, "method": "ping"}',
        b'{"jsonrpc": "2.0", "method": "notifications/message", "params": [1]}',
        b'{"jsonrpc": "2.0", "id": 1, "error": {"code": "odd", "message": "no"}}',
    ],
)
def test_what_is_no_message_is_shown_short(line: bytes) -> None:
    with pytest.raises(NotAMessage) as caught:
        message_of(line)
    assert len(str(caught.value)) < 300


def test_half_an_emoji_is_sent_as_what_every_server_can_read() -> None:
    line = encoded({"jsonrpc": "2.0", "id": 1, "method": "m", "params": {"t": "half \ud83d"}})
    assert json.loads(line)["params"] == {"t": "half ?"}


@pytest.fixture
def a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answer to a tool call raises inside the session, as nothing should: that ends it from within."""
    take, struck = Dispatching.take, False

    def broken(self: Dispatching, message: Message, *rest: Any) -> None:
        nonlocal struck
        if not struck and "content" in message.get("result", {}):
            struck = True
            raise RuntimeError("a defect")
        take(self, message, *rest)

    monkeypatch.setattr(Dispatching, "take", broken)


@pytest.mark.usefixtures("a_defect")
async def test_a_session_that_breaks_from_within_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    async with fleet_of(tiny()) as fleet:
        assert await said(fleet, "all__echo", text="one") == "one"  # made again: it only reads
        assert health(fleet).attempts == 2
    assert "all: its session broke: a defect" in caplog.messages


@pytest.mark.usefixtures("a_defect")
async def test_a_session_that_breaks_at_the_moment_of_closing_still_closes() -> None:
    async with fleet_of(tiny()) as fleet:
        await call(fleet, "all__echo", text="one")
        await asyncio.wait_for(fleet.close(), PATIENCE_S)


async def test_the_era_that_was_found_is_remembered_for_the_next_start() -> None:
    async with fleet_of(tiny()) as fleet:
        server = fleet._servers["all"]
        assert (server.spec.era, server._era) == ("auto", "handshake")


async def test_a_disabled_server_is_not_started() -> None:
    async with fleet_of(tiny(disabled=True)) as fleet:
        assert (health(fleet).health, health(fleet).attempts) == ("disabled", 0)
        assert repr(fleet) == "<Fleet 0 up, 1 disabled>"


async def test_the_example_server_works() -> None:
    hello = SERVERS.parents[2] / "examples" / "mcp-hello"
    (script,) = hello.glob("*.py")
    async with fleet_of(tiny("hello", args=("-I", str(script)))) as fleet:
        assert await said(fleet, "hello.hello", name="Ada") == "Hello, Ada!"
        assert not isinstance(await call(fleet, "hello.count_to", n=2, delay_ms=0), Offline)


async def test_one_handshake_is_made_for_any_number_of_calls(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    source = (
        "import runpy, sys\n"
        "def seen(lines):\n"
        "    for line in lines:\n"
        f"        '\"initialize\"' in line and open({str(begun)!r}, 'a').write('.')\n"
        "        yield line\n"
        "sys.stdin = seen(sys.stdin)\n"
        f"runpy.run_path({str(SERVERS / 'tiny.py')!r}, run_name='__main__')\n"
    )
    async with fleet_of(script("all", source, era="handshake")) as fleet:
        answers = [await said(fleet, "all__echo", text=str(n)) for n in range(5)]
        answers += await asyncio.gather(*(said(fleet, "all__echo", text=str(n)) for n in range(5, 10)))
    assert answers == [str(n) for n in range(10)]
    assert begun.read_text() == "."


MODERN = """
import json, sys
meta = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
answers = {
    "server/discover": {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}, "prompts": {}}},
    "tools/list": {"tools": []},
    "prompts/list": {"prompts": [{"name": "greet"}]},
}
for line in sys.stdin:
    asked = json.loads(line)
    if asked["method"] in answers:
        said = {"jsonrpc": "2.0", "id": asked["id"], "result": {**meta, **answers[asked["method"]]}}
        print(json.dumps(said), flush=True)
"""


async def test_a_server_that_is_known_to_be_modern_is_still_asked_what_it_can() -> None:
    async with fleet_of(script("all", MODERN, era="modern")) as fleet:
        server = fleet._servers["all"]

        async def listed() -> bool:
            return bool(server.others.prompts)

        await until(listed)
        assert [prompt["name"] for prompt in server.others.prompts] == ["greet"]
