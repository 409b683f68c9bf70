"""The core without a server, as a program that embeds it uses it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

import woollama
from woollama.domain.answers import Answer
from woollama.domain.messages import Message, Text
from woollama.domain.turns import INTERNAL, Turn


async def test_a_turn_is_played_without_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    bound: list[object] = []
    monkeypatch.setattr(socket.socket, "bind", lambda self, address: bound.append(address))
    (tmp_path / "mcp.json").write_text('{"mcpServers": {"hello": {"disabled": true}, "clock": {"disabled": true}}}')
    turn = Turn("turn_1", INTERNAL, "chat", "scripted/echo", (Message("user", (Text("hello"),)),))
    async with woollama.open(tmp_path) as core, core.start(turn) as run:
        answer = Answer([event async for event in run.watch()])
    assert answer.text.endswith("You said: hello")
    assert bound == []


async def test_a_configuration_that_nothing_can_start_on_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "recipes.toml").write_text("[recipes")
    with pytest.raises(ValueError, match=r"recipes\.toml"):
        woollama.open(tmp_path)


async def test_what_cannot_be_closed_keeps_nothing_else_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mcp.json").write_text('{"mcpServers": {"hello": {"disabled": true}, "clock": {"disabled": true}}}')

    async def stuck() -> None:
        raise RuntimeError("it is stuck")

    opened = woollama.open(tmp_path)
    core = await opened.__aenter__()
    close_servers = core.tool_servers.close
    monkeypatch.setattr(core.tool_servers, "close", stuck)
    with pytest.raises(RuntimeError, match="it is stuck"):
        await opened.__aexit__(None, None, None)
    assert core.supervisor.pid is None
    await close_servers()
