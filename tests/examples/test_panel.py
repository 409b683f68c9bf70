"""The panel in a terminal, typed at as a person would, with a real daemon at its socket."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Home
from tests.cli.living import NO_SERVERS, Living, living
from tests.cli.terminal import PATIENCE_S, Terminal
from tests.upstream import chat, chat_stream, chat_tool_call
from woollama.platform import unix_peer

PANEL = Path(__file__).parents[2] / "examples" / "panel" / "panel.py"
RECIPES = """
[recipes.careful]
inferencer = "mock/mock-model"
tools = ["textops.*"]
confirm = ["textops.reverse_text"]

[recipes.translate]
description = "Into another language"
inferencer = "mock/mock-model"
system = "Translate into {{language}}."
variables.language = { default = "German" }
"""
SERVERS = {"mcpServers": {"hello": {"disabled": True}, "clock": {"disabled": True}}}


@pytest.fixture
def model(home: Home) -> Iterator[Living]:
    with living(home, {"recipes.toml": RECIPES, "mcp.json": json.dumps(SERVERS)}) as running:
        yield running


def panel(home: Home, *args: str, **environ: str) -> Terminal:
    return Terminal(home, str(PANEL), *args, program=(sys.executable,), **environ)


def said(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in pairs]


def test_a_session_goes_on_in_a_panel_that_is_started_again(home: Home, model: Living) -> None:
    model.answers(chat("Hello, Zed."), chat("You are Zed."), chat("Nobody told me."))
    with panel(home, "notes", "--model", "mock/mock-model") as terminal:
        assert "session notes, mock/mock-model answers" in terminal.until("> ")
        terminal.type("I am Zed.\n")
        assert "Hello, Zed." in terminal.until("\n> ")
        terminal.type("/quit\n")
        terminal.rest()
        assert terminal.process.returncode == 0
    with panel(home, "notes", "--model", "mock/mock-model") as terminal:
        assert "> I am Zed.\nHello, Zed.\n" in terminal.until("Zed.\n> ")
        terminal.type("Who am I?\n")
        terminal.until("You are Zed.\n> ")
        terminal.type("/session other\n")
        terminal.until("session other")
        terminal.type("Who am I?\n")
        terminal.until("Nobody told me.\n> ")
        terminal.type("/sessions\n")
        listed = terminal.until("\nnotes ") + terminal.until("\n> ")
        assert "mock/mock-model  store  active  I am Zed." in listed
        terminal.type("/delete notes\n")
        terminal.until("notes is deleted")
        terminal.type("/session notes\n")
        assert "Zed" not in terminal.until("\n> ")
        terminal.type("\x04")
        terminal.rest()
        assert terminal.process.returncode == 0
    assert model.asked[1] == said(("user", "I am Zed."), ("assistant", "Hello, Zed."), ("user", "Who am I?"))
    assert model.asked[2] == said(("user", "Who am I?"))


def test_an_approval_is_answered_while_the_answer_waits(home: Home, model: Living) -> None:
    reverse = chat_tool_call("textops__reverse_text", {"text": "abc"})
    model.answers(reverse, chat("It is cba."), reverse, chat("I may not."))
    with panel(home, "--model", "woollama/careful") as terminal:
        terminal.until("> ")
        terminal.type("Turn abc around.\n")
        asked = terminal.until("no answer is a no)")
        assert "[textops.reverse_text wants to run: {" in asked
        assert "abc" in asked
        terminal.type("y\n")
        terminal.until("[textops.reverse_text: yes]")
        terminal.until("It is cba.\n> ")
        terminal.type("Again.\n")
        terminal.until("no answer is a no)")
        terminal.type("n\n")
        terminal.until("[textops.reverse_text: no]")
        terminal.until("I may not.\n> ")
    results = [message["content"] for message in model.asked[-1] if message["role"] == "tool"]
    assert results[0] == "cba"
    assert "denied by the user" in results[1]


def test_patterns_settings_and_one_off_questions(home: Home, model: Living) -> None:
    model.answers(chat("Hallo."), chat("Bonjour."), chat("Four."))
    with panel(home, "--model", "mock/mock-model") as terminal:
        terminal.until("> ")
        terminal.type("/patterns\n")
        assert "language=German" in terminal.until("Into another language")
        terminal.type("/render translate language=French -- Hello.\n")
        terminal.until("Translate into French.\n\nHello.")
        terminal.type("/set temperature=0.2\n")
        terminal.until("temperature=0.2\n")
        terminal.type("/set num_ctx=8192\n")
        terminal.until("num_ctx=8192\n")
        terminal.type("/run translate -- Hello.\n")
        terminal.until("Hallo.\n> ")
        terminal.type("/run translate language=French -- Hello.\n")
        terminal.until("Bonjour.\n> ")
        terminal.type("/ask Two and two?\n")
        terminal.until("Four.\n> ")
        terminal.type("/run no/such thing -- x\n")
        terminal.until("there is no")
        terminal.type("/models\n")
        terminal.until("woollama/translate")
        terminal.type("/sessions\n/nonsense\n")
        assert "store" not in terminal.until("there is no /nonsense")
    assert [asked[0]["content"] for asked in model.asked[:2]] == ["Translate into German.", "Translate into French."]
    sent = [request.json for request in model.upstream.requests if request.method == "POST"]
    assert [each["temperature"] for each in sent] == [0.2] * 3


def test_ctrl_c_ends_an_answer_and_not_the_panel(home: Home, model: Living) -> None:
    model.answers(chat_stream("Half of it", stall_after=3), chat("Whole."))
    with panel(home, "--model", "mock/mock-model") as terminal:
        terminal.until("> ")
        terminal.type("first\n")
        terminal.until("Half")
        terminal.type("\x03")
        terminal.until("[cancelled]\n> ")
        model.until(lambda: any(request.left_early for request in model.upstream.requests))
        terminal.type("second\n")
        terminal.until("Whole.\n> ")
        terminal.type("\x03")
        terminal.rest()
        assert terminal.process.returncode == 0
    assert model.asked[1] == said(("user", "second"))


def test_without_a_store_the_panel_says_what_still_works(home: Home) -> None:
    with living(home, {"mcp.json": json.dumps({**NO_SERVERS, "conversationStore": None})}) as model:
        model.answers(chat("Four."))
        with panel(home, "--model", "mock/mock-model") as terminal:
            terminal.until("> ")
            terminal.type("hello\n")
            assert "conversationStore" in terminal.until("/ask works all the same")
            terminal.type("/ask Two and two?\n")
            terminal.until("Four.\n> ")


def test_a_panel_starts_woollama_where_none_is_running(home: Home) -> None:
    home.write("mcp.json", json.dumps(NO_SERVERS))
    home.write("woollama.toml", '[server]\naddress = "127.0.0.1:0"\n')
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    pid = None
    try:
        with panel(home, "--model", "scripted/echo", PATH=programs) as terminal:
            terminal.until("starting it")
            terminal.until("scripted/echo answers")
            pid = peer_of(home.runtime / "woollama.sock")
            terminal.until("> ")
            terminal.type("hello\n")
            terminal.until("hello")
            terminal.until("\n> ")
    finally:
        pid = pid or peer_of(home.runtime / "woollama.sock")
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_S
        while (home.runtime / "woollama.sock").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
    assert not (home.runtime / "woollama.sock").exists()


def peer_of(path: Path) -> int:
    """The process that listens there."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        pid = unix_peer(connection).pid
    assert pid is not None
    return pid
