"""`woollama run` and `woollama chat` while a call of the answer waits for a yes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cli.conftest import Home
from tests.cli.living import Living, living
from tests.cli.terminal import Terminal
from tests.upstream import chat, chat_tool_call, sse

RECIPES = """
[recipes.careful]
inferencer = "mock/mock-model"
tools = ["textops.*"]
confirm = ["textops.reverse_text"]

[recipes.curious]
inferencer = "mock/mock-model"
tools = ["hello.ask_user"]
"""
SERVERS = json.dumps({"mcpServers": {"clock": {"disabled": True}}})
REVERSE = chat_tool_call("textops__reverse_text", {"text": "abc\u202e"})


@pytest.fixture
def model(home: Home) -> Iterator[Living]:
    with living(home, {"recipes.toml": RECIPES, "mcp.json": SERVERS}) as running:
        yield running


def tool_results(model: Living) -> list[str]:
    return [message["content"] for message in model.asked[-1] if message["role"] == "tool"]


@pytest.mark.parametrize(
    ("key", "line", "result"),
    [("y", "textops.reverse_text: approved", "cba"), ("n", "textops.reverse_text: denied", "denied by the user")],
)
def test_run_asks_at_the_terminal_and_goes_on(home: Home, model: Living, key: str, line: str, result: str) -> None:
    model.answers(REVERSE, chat("Done."))
    with Terminal(home, "run", "careful", "Turn it around.") as terminal:
        asked = terminal.until("(no answer is a no)")
        assert "textops.reverse_text   (recipe careful, asked by" in asked
        assert '"text": "abc\\x202e"' in asked
        assert "\u202e" not in asked
        terminal.type("x" + key)  # any other key is nothing
        terminal.until(line)
        assert "Done.\n" in terminal.rest()
        assert terminal.process.returncode == 0
    (told,) = tool_results(model)
    assert result in told


def test_chat_asks_until_it_is_told_that_it_may_always(home: Home, model: Living) -> None:
    model.answers(REVERSE, chat("One."), REVERSE, chat("Two."))
    with Terminal(home, "chat", "--recipe", "careful") as terminal:
        terminal.until("> ")
        terminal.type("first\n")
        terminal.until("(no answer is a no)")
        terminal.type("a")
        terminal.until("approved for good")
        terminal.until("One.\n")
        terminal.until("> ")
        terminal.type("second\n")  # the terminal takes whole lines again
        assert "no answer is a no" not in terminal.until("Two.\n")
        terminal.until("> ")
        terminal.type("\x04")
        terminal.rest()
    assert len(tool_results(model)) == 2


def test_a_tool_that_asks_gets_what_is_typed(home: Home, model: Living) -> None:
    model.answers(chat_tool_call("hello__ask_user", {"question": "Which colour?"}), chat("Blue it is."))
    with Terminal(home, "run", "curious", "Ask me.") as terminal:
        assert "Which colour?" in terminal.until("y fill it in")
        terminal.type("y")
        terminal.until("Answer: ")
        terminal.type("blue\n")
        terminal.until("hello.ask_user: approved")
        assert "Blue it is.\n" in terminal.rest()
    assert "blue" in tool_results(model)[0]


def test_a_question_that_is_answered_elsewhere_leaves_the_terminal(home: Home, model: Living) -> None:
    model.answers(REVERSE, sse([], stall_after=0))
    with Terminal(home, "run", "careful", "Turn it around.") as terminal:
        terminal.until("(no answer is a no)")
        (ask,) = json.loads(home.woollama("approvals", "list", "--json").stdout)["data"]
        home.woollama("approvals", "deny", ask["id"])
        terminal.until("this is over")


def test_without_a_terminal_it_is_told_what_waits_and_how_to_answer(home: Home, model: Living) -> None:
    model.answers(REVERSE, chat("Done."))
    command = [sys.executable, "-m", "woollama", "run", "careful"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with (
        subprocess.Popen(command, env=home.environ, cwd=home.directory, text=True, **pipes) as running,  # type: ignore[call-overload]
        ThreadPoolExecutor(1) as reader,
    ):
        running.stdin.write("Turn it around.")
        running.stdin.close()
        told = reader.submit(running.stderr.readline).result(60)
        assert told.startswith("[textops.reverse_text {")
        words = told.partition("`woollama ")[2].partition("`")[0].split()
        assert home.woollama(*words).returncode == 0
        assert running.wait(60) == 0
        assert running.stdout.read() == "Done.\n"
    (result,) = tool_results(model)
    assert "cba" in result
