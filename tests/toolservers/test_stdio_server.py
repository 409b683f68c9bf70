"""What is particular to a server behind pipes: what it is given, and what it may write."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

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
)
from woollama.domain.tools import Offline, Returned
from woollama.processes.children import Supervisor
from woollama.toolservers.stdio import NotAMessage, message_of, stdio_streams


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
        async with stdio_streams(child, lost, max_line_bytes=4_000_000):
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
    message = message_of(line)
    assert not isinstance(message, Exception)
    assert message.message.model_dump()["result"] == result


@pytest.mark.parametrize("line", [b"hello", b"[]", b'{"level": "info"}', b"[" * 100_000, b"\xff", b'"' + b"x" * 999])
def test_what_is_no_message_is_shown_short(line: bytes) -> None:
    message = message_of(line)
    assert isinstance(message, NotAMessage)
    assert len(str(message)) < 300


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
