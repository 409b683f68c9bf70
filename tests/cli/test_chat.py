"""`woollama chat`, talked to through a pipe and at a terminal, with a real daemon."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator

import pytest

from tests.chat_wire import frames
from tests.cli.conftest import FakeDaemon, Home
from tests.cli.living import Living, living
from tests.cli.terminal import Terminal
from tests.upstream import chat, chat_stream, chat_tool_call, error
from tests.upstream import sse as stream

RECIPES = """
[recipes.helper]
inferencer = "mock/mock-model"
system = "Speak {{language}}."
tools = ["textops.*"]
variables.language = { default = "English" }
"""
TEXTOPS = json.dumps({"mcpServers": {"hello": {"disabled": True}, "clock": {"disabled": True}}})


@pytest.fixture
def model(home: Home) -> Iterator[Living]:
    with living(home) as running:
        yield running


@pytest.fixture
def helper(home: Home) -> Iterator[Living]:
    with living(home, {"recipes.toml": RECIPES, "mcp.json": TEXTOPS}) as running:
        yield running


def said(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


# --- through a pipe


def test_each_line_of_a_pipe_is_answered_and_the_history_goes_along(home: Home, model: Living) -> None:
    model.answers(chat("One."), chat("Two."))
    finished = home.woollama("chat", "mock/mock-model", text="first\n\nsec\\\nond\n")
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "One.\nTwo.\n", "")
    assert model.asked[1] == [said("user", "first"), said("assistant", "One."), said("user", "sec\nond")]


def test_what_the_model_says_cannot_steer_a_terminal(home: Home, model: Living) -> None:
    model.answers(chat("\x1b]0;owned\x07 hi"))
    assert home.woollama("chat", "mock/mock-model", text="x").stdout == "\\x1b]0;owned\\x07 hi\n"


def test_system_text_and_variables_go_along_each_time(home: Home, helper: Living) -> None:
    helper.answers(chat("a"), chat("b"))
    words = ["chat", "--recipe", "helper", "--var", "language=Deutsch", "--system", "Be brief."]
    assert home.woollama(*words, text="1\n2\n").returncode == 0
    for asked in helper.asked:
        assert "Speak Deutsch." in str(asked)
        assert "Be brief." in str(asked)


def test_tool_calls_are_shown_and_remembered(home: Home, helper: Living) -> None:
    helper.answers(chat_tool_call("textops__uppercase", {"text": "hm" * 300}), chat("Done."), chat("Again."))
    finished = home.woollama("chat", text="shout\nand?\n")  # the only recipe of one's own answers
    assert finished.stdout == "Done.\nAgain.\n"
    line = finished.stderr.splitlines()[0]
    assert line.startswith('[textops.uppercase {"text": "hmhm')
    assert " -> HMHM" in line
    assert line.endswith("…]")
    assert len(line) < 700
    roles = [message["role"] for message in helper.asked[2] if message["role"] != "system"]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


def test_a_question_that_failed_is_taken_back_and_the_exit_code_tells(home: Home, model: Living) -> None:
    model.answers(error(400, "not like this"), chat("Better."))
    finished = home.woollama("chat", "mock/mock-model", text="first\nsecond\n")
    assert (finished.returncode, finished.stdout) == (1, "Better.\n")
    assert "not like this" in finished.stderr
    assert model.asked[1] == [said("user", "second")]


def test_an_answer_that_broke_off_is_told_and_kept(home: Home, model: Living) -> None:
    model.answers(stream(frames("Half of it"), cut_after=3), chat("Rest."))
    finished = home.woollama("chat", "mock/mock-model", text="first\ngo on\n")
    assert finished.returncode == 1
    half = model.asked[1][1]["content"]
    assert half.startswith("Half")
    assert finished.stdout == f"{half}\nRest.\n"


def test_commands_steer_the_conversation(home: Home, model: Living) -> None:
    model.answers(chat("One."), chat("Two."), chat("Three."))
    typed = "a\n/clear\nb\n/save talk.md\n/save talk.md\n/save\n/sav\n/model\n/model mock/x\n/model mock/mock-model\n"
    finished = home.woollama("chat", "mock/mock-model", text=f"{typed} /etc is what?\n/quit\nnever\n")
    assert finished.stdout == "One.\nTwo.\nThree.\n"
    assert finished.stderr.splitlines() == [
        "forgotten",
        "saved to talk.md",
        "woollama: talk.md was not written: File exists",
        "woollama: say where: /save FILE",
        "woollama: there is no command /sav; did you mean 'save'?; /help lists them",
        "mock/mock-model answers",
        "mock/x answers",
        "mock/mock-model answers",
    ]
    assert model.asked[1:] == [
        [said("user", "b")],
        [said("user", "b"), said("assistant", "Two."), said("user", "/etc is what?")],
    ]
    saved = home.directory / "talk.md"
    assert saved.read_text() == "## user\n\nb\n\n## assistant\n\nTwo.\n\n"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600


# --- who answers


def test_the_alias_default_answers_where_no_model_is_named(home: Home) -> None:
    with living(home, {"recipes.toml": f'[aliases]\ndefault = "mock/mock-model"\n{RECIPES}'}) as running:
        running.answers(chat("Me."))
        assert home.woollama("chat", text="who?").stdout == "Me.\n"


def test_where_several_could_answer_it_asks_which(home: Home, model: Living) -> None:
    finished = home.woollama("chat", text="who?")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert "woollama: say which model" in finished.stderr


def test_without_a_daemon_it_says_so_before_a_question_is_typed(home: Home) -> None:
    for words in ([], ["mock/mock-model"]):
        finished = home.woollama("chat", *words, text="hi")
        assert (finished.returncode, "woollama is not running" in finished.stderr) == (1, True)


def test_an_approval_that_waits_is_told(home: Home, daemon: FakeDaemon) -> None:
    ask = {"type": "mcp_approval_request", "server_label": "git", "name": "push", "arguments": "{}"}
    events = [{"type": "response.output_item.done", "item": ask}, {"type": "response.completed"}]
    daemon.answers |= {"/healthz": (200, {"ok": True}), "/v1/responses": (200, events)}
    assert home.woollama("chat", "x", text="push").stderr == "[git.push {} waits for a yes: `woollama approvals`]\n"


# --- at a terminal


def test_a_person_types_edits_and_recalls(home: Home, model: Living) -> None:
    model.answers(chat("One."), chat("Two."))
    with Terminal(home, "chat", "mock/mock-model") as terminal:
        assert "mock/mock-model answers" in terminal.until("> ")
        terminal.type("helo\b\b\bllo\n")
        assert terminal.until("One.\n")
        terminal.until("> ")
        terminal.type("\x1b[A\n")  # the line before, again
        terminal.until("Two.\n")
        terminal.until("> ")
        terminal.type("\x04")
        terminal.rest()
        assert terminal.process.returncode == 0
    assert model.asked[1][-1] == model.asked[0][0]
    history = home.directory / "state" / "chat_history"
    assert len(history.read_text().splitlines()) == 2
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    model.answers(chat("Three."))
    with Terminal(home, "chat", "mock/mock-model") as terminal:  # another day
        terminal.until("> ")
        terminal.type("\x1b[A\n")
        terminal.until("Three.\n")


def test_ctrl_c_ends_the_answer_and_its_request_and_not_the_program(home: Home, model: Living) -> None:
    model.answers(chat_stream("Half of it", stall_after=3), chat("Whole."))
    with Terminal(home, "chat", "mock/mock-model") as terminal:
        terminal.until("> ")
        terminal.type("first\n")
        terminal.until("Half")
        terminal.type("\x03")
        terminal.until("cancelled\n")
        model.until(lambda: any(request.left_early for request in model.upstream.requests))
        terminal.until("> ")
        terminal.type("second\n")
        terminal.until("Whole.\n")
        terminal.until("> ")
        terminal.type("\x03")
        assert "Ctrl-C again" in terminal.until("> ")
        terminal.type("\x03")
        terminal.rest()
        assert terminal.process.returncode == 0
    first, half, second = model.asked[1]
    assert (first, second) == (said("user", "first"), said("user", "second"))
    assert half["content"].startswith("Half")


def test_a_question_cancelled_before_anything_was_said_is_taken_back(home: Home, model: Living) -> None:
    model.answers(stream([], stall_after=0), chat("Whole."))
    with Terminal(home, "chat", "mock/mock-model") as terminal:
        terminal.until("> ")
        terminal.type("first\n")
        model.until(lambda: model.asked)
        terminal.type("\x03")
        terminal.until("cancelled\n")
        terminal.type("second\n")
        terminal.until("Whole.\n")
    assert model.asked[1] == [said("user", "second")]


@pytest.mark.parametrize(
    ("term", "no_color", "coloured"), [("xterm", "", True), ("xterm", "1", False), ("dumb", "", False)]
)
def test_colour_is_for_terminals_that_want_it(
    home: Home, model: Living, term: str, no_color: str, coloured: bool
) -> None:
    with Terminal(home, "chat", "mock/mock-model", TERM=term, NO_COLOR=no_color) as terminal:
        assert ("\x1b[2m" in terminal.until("to leave.")) is coloured
