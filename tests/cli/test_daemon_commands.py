"""The commands that talk to the daemon, against a socket that answers as it would."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import FakeDaemon, Home

TOOLS = {
    "tools": ["clock.now"],
    "data": [{"name": "clock.now", "server": "clock", "tool": "now"}],
    "servers": [
        {"name": "clock", "transport": "stdio", "health": "ready", "tools": 1, "attempts": 1, "last_error": None},
        {"name": "git", "transport": "stdio", "health": "down", "tools": 0, "attempts": 3, "last_error": "no \x1b[2J"},
    ],
}


@pytest.mark.parametrize("words", [["models"], ["tools"], ["status"], ["run", "demo", "hi"]])
def test_without_a_daemon_it_says_so(home: Home, words: list[str]) -> None:
    finished = home.woollama(*words)
    assert finished.returncode == 1
    assert finished.stderr == f"woollama: woollama is not running: nobody listens at {home.runtime}/woollama.sock\n"


def test_a_socket_that_nobody_listens_at_is_no_daemon(home: Home, daemon: FakeDaemon) -> None:
    (home.runtime / "woollama.sock").rename(home.runtime / "elsewhere.sock")
    assert home.woollama("models").returncode == 1


def test_models_are_listed_one_a_line(home: Home, daemon: FakeDaemon) -> None:
    daemon.answers["/v1/models"] = (200, {"data": [{"id": "woollama/demo"}, {"id": "ollama/qwen3"}]})
    assert home.woollama("models").stdout == "woollama/demo\nollama/qwen3\n"
    assert json.loads(home.woollama("models", "--json").stdout)["data"][0]["id"] == "woollama/demo"


def test_tools_are_listed_with_the_health_of_their_server(home: Home, daemon: FakeDaemon) -> None:
    daemon.answers["/v1/tools"] = (200, TOOLS)
    assert home.woollama("tools").stdout == (
        "clock (stdio): ready\n  clock.now\ngit (stdio): down after 3 attempts, because no \\x1b[2J\n"
    )


def test_status_tells_where_the_daemon_is_and_what_it_waits_for(home: Home, daemon: FakeDaemon) -> None:
    (home.runtime / "woollama.addr").write_text("127.0.0.1:11435\n")
    daemon.answers["/healthz"] = (200, {"ok": True, "version": "9.9"})
    daemon.answers["/readyz"] = (503, {"ready": False, "waiting_for": ["git"]})
    daemon.answers["/w1/servers"] = (200, {"data": TOOLS["servers"]})
    finished = home.woollama("status")
    assert finished.returncode == 0
    assert finished.stdout.splitlines() == [
        f"woollama 9.9 at http://127.0.0.1:11435 and {home.runtime}/woollama.sock",
        "waiting for: git",
        "",
        "2 tool servers: 1 ready, 1 down",
        "  clock  stdio  ready  1 tool",
        "  git    stdio  down   after 3 attempts: no \\x1b[2J",
    ]
    assert json.loads(home.woollama("status", "--json").stdout)["waiting_for"] == ["git"]


def test_an_error_of_the_daemon_is_told(home: Home, daemon: FakeDaemon) -> None:
    assert home.woollama("models").stderr == "woollama: there is no such route\n"


CALL = {
    "type": "mcp_call",
    "server_label": "clock",
    "name": "now",
    "arguments": '{"timezone": "Asia/Tokyo"}',
    "output": "12:00",
    "error": None,
}
ANSWER = [
    {"type": "response.created"},
    {"type": "response.output_item.done", "item": CALL},
    {"type": "response.output_text.delta", "delta": "It is "},
    {"type": "response.output_text.delta", "delta": "noon.\x1b[31m"},
    {"type": "response.completed"},
]


def test_run_prints_the_answer_and_shows_tool_calls_beside_it(home: Home, daemon: FakeDaemon) -> None:
    daemon.answers["/v1/responses"] = (200, ANSWER)
    finished = home.woollama("run", "demo", "What time is it?", "--var", "language=Deutsch")
    assert finished.returncode == 0
    assert finished.stdout == "It is noon.\\x1b[31m\n"
    assert finished.stderr == '[clock.now {"timezone": "Asia/Tokyo"} -> 12:00]\n'
    assert daemon.asked == [
        (
            "POST",
            "/v1/responses",
            {
                "model": "demo",
                "input": "What time is it?",
                "stream": True,
                "store": False,
                "variables": {"language": "Deutsch"},
            },
        )
    ]


def test_run_reads_the_question_from_standard_input(home: Home, daemon: FakeDaemon) -> None:
    daemon.answers["/v1/responses"] = (200, ANSWER)
    for words in (["run", "demo"], ["run", "demo", "-"]):
        assert home.woollama(*words, text="What time is it?").returncode == 0
        assert daemon.asked[-1][2]["input"] == "What time is it?"


def test_run_without_a_question_asks_nobody(home: Home, daemon: FakeDaemon) -> None:
    finished = home.woollama("run", "demo", text=" \n")
    assert (finished.returncode, finished.stderr) == (2, "woollama: there is nothing to ask\n")
    assert daemon.asked == []


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        ([{"type": "response.failed", "response": {"error": {"message": "it died"}}}], "it died"),
        ([{"type": "error", "error": {"message": "it broke"}}], "it broke"),
        (
            [{"type": "response.incomplete", "response": {"incomplete_details": {"reason": "max_output_tokens"}}}],
            "the answer is not complete: max_output_tokens",
        ),
        ([], "the answer broke off"),
    ],
)
def test_an_answer_that_did_not_end_well_exits_with_1(
    home: Home, daemon: FakeDaemon, ending: list[dict[str, object]], told: str
) -> None:
    daemon.answers["/v1/responses"] = (200, [*ANSWER[:3], *ending])
    finished = home.woollama("run", "demo", "hi")
    assert finished.returncode == 1
    assert finished.stdout == "It is \n"
    assert finished.stderr.splitlines()[-1] == f"woollama: {told}"


def test_a_refused_question_is_told(home: Home, daemon: FakeDaemon) -> None:
    daemon.answers["/v1/responses"] = (404, {"error": {"message": "there is no model 'x'"}})
    finished = home.woollama("run", "x", "hi")
    assert (finished.returncode, finished.stderr) == (1, "woollama: there is no model 'x'\n")
