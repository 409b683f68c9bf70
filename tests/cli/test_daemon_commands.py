"""The commands that talk to the daemon, against a socket that answers as it would."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import FakeDaemon, Home
from tests.cli.terminal import Terminal

TOOLS = {
    "tools": ["clock.now"],
    "data": [{"name": "clock.now", "server": "clock", "tool": "now", "description": "The time.\nAnywhere."}],
    "servers": [
        {"name": "clock", "transport": "stdio", "health": "ready", "tools": 1, "attempts": 1, "last_error": None},
        {"name": "git", "transport": "stdio", "health": "down", "tools": 0, "attempts": 3, "last_error": "no \x1b[2J"},
    ],
}


@pytest.mark.parametrize("words", [["models"], ["tools"], ["status"], ["ps"], ["run", "demo", "hi"]])
def test_without_a_daemon_it_says_so(home: Home, words: list[str]) -> None:
    finished = home.woollama(*words)
    assert finished.returncode == 1
    where = f"nobody listens at {home.runtime}/woollama.sock"
    assert finished.stderr == f"woollama: woollama is not running: {where}; `woollama serve` starts it\n"


def test_a_socket_that_nobody_listens_at_is_no_daemon(home: Home, daemon: FakeDaemon) -> None:
    (home.runtime / "woollama.sock").rename(home.runtime / "elsewhere.sock")
    assert home.woollama("models").returncode == 1


MODELS = {
    "object": "list",
    "data": [
        {"id": "woollama/demo", "owned_by": "woollama"},
        {"id": "gpt-4o", "owned_by": "woollama"},
        {"id": "ollama/qwen3", "owned_by": "ollama", "x_woollama": {"capabilities": ["chat", "tools"]}},
    ],
}


@pytest.mark.parametrize(
    ("words", "listed"),
    [
        ([], ["woollama/demo", "gpt-4o", "ollama/qwen3"]),
        (["QWEN"], ["ollama/qwen3"]),
        (["ollama/*", "demo"], ["woollama/demo", "ollama/qwen3"]),
        (["--kind", "alias"], ["gpt-4o"]),
        (["--kind", "recipe"], ["woollama/demo"]),
        (["--kind", "ollama", "q"], ["ollama/qwen3"]),
        (["--capability", "tools"], ["ollama/qwen3"]),
    ],
)
def test_models_are_listed_one_a_line(home: Home, daemon: FakeDaemon, words: list[str], listed: list[str]) -> None:
    daemon.answers["/v1/models"] = (200, MODELS)
    assert home.woollama("models", *words).stdout.splitlines() == listed
    found = json.loads(home.woollama("models", "--json", *words).stdout)
    assert (found["object"], [model["id"] for model in found["data"]]) == ("list", listed)


def test_a_filter_that_fits_nothing_exits_with_1(home: Home, daemon: FakeDaemon) -> None:
    daemon.answers |= {"/v1/models": (200, MODELS), "/v1/tools": (200, TOOLS)}
    finished = home.woollama("models", "zzz")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr == "woollama: no model fits; `woollama models` lists them all\n"
    finished = home.woollama("tools", "zzz")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr == "woollama: nothing fits; `woollama tools` lists everything\n"


def test_tools_are_listed_with_the_health_of_their_server(home: Home, daemon: FakeDaemon) -> None:
    daemon.answers["/v1/tools"] = (200, TOOLS)
    clock, git = (
        "clock (stdio): ready\n  clock.now  The time. Anywhere.\n",
        "git (stdio): down after 3 attempts, because no \\x1b[2J\n",
    )
    assert home.woollama("tools").stdout == clock + git
    assert home.woollama("tools", "now").stdout == clock
    assert home.woollama("tools", "--server", "git").stdout == git
    assert json.loads(home.woollama("tools", "--json", "clock.*").stdout)["tools"] == ["clock.now"]


STATUS = {
    "version": "9.9",
    "uptime_s": 7980.5,
    "ready": False,
    "waiting_for": ["git"],
    "recipes": 4,
    "aliases": 1,
    "inferencers": [
        {"name": "ollama", "models": 12, "cooling_s": 0.0, "last_error": None},
        {"name": "groq", "models": 0, "cooling_s": 24.1, "last_error": "503 from \x1b[2J"},
        {"name": "local", "models": 1, "cooling_s": 0.0, "last_error": None},
    ],
    "servers": TOOLS["servers"],
    "tools": 1,
    "tool_tokens": {"clerk": 60, "coder": 2400},
    "runs": 2,
    "problems": [
        {
            "severity": "error",
            "file": "recipes.toml",
            "line": 3,
            "key": "recipes.bad.inferencer",
            "message": "must be a text",
            "suggestion": "",
            "left_out": "recipes.bad",
        },
        {**dict.fromkeys(("file", "line", "key", "suggestion", "left_out")), "severity": "note", "message": "no key"},
    ],
}


def test_status_tells_what_a_person_wants_to_know(home: Home, daemon: FakeDaemon) -> None:
    (home.runtime / "woollama.addr").write_text("127.0.0.1:11435\n")
    daemon.answers["/w1/status"] = (200, STATUS)
    finished = home.woollama("status")
    assert finished.returncode == 0
    assert finished.stdout.splitlines() == [
        "woollama 9.9, up 2 h 13 min",
        "  http://127.0.0.1:11435",
        f"  {home.runtime}/woollama.sock",
        "",
        "recipes       4",
        "their tools   coder 2400, clerk 60 tokens a round",
        "aliases       1",
        "models        13: ollama 12, local 1",
        "running       2 turns",
        "waiting for   git",
        "tool servers  2: 1 ready, 1 down",
        "  clock  stdio  ready  1 tool",
        "  git    stdio  down   after 3 attempts: no \\x1b[2J",
        "",
        "tried last for now, after repeated failures",
        "  groq  24 s  503 from \\x1b[2J",
        "",
        "problems of the configuration; `woollama check` says more",
        "  error: recipes.toml:3: recipes.bad.inferencer: must be a text; recipes.bad is left out",
    ]
    told = json.loads(home.woollama("status", "--json").stdout)
    assert told == {**STATUS, "url": "http://127.0.0.1:11435", "socket": f"{home.runtime}/woollama.sock"}


PROCESSES = {
    "data": [
        {"name": "git", "kind": "tool_server", "state": "ready", "pid": 11, "keeper_pid": 10, "uptime_s": 8000.0}
        | {"memory_bytes": 45_000_000, "restarts": 1, "idle_stop_in_s": None, "last_error": "was killed"},
        {"name": "coder", "kind": "model", "state": "ready", "pid": 21, "keeper_pid": 20, "uptime_s": 42.5}
        | {"memory_bytes": 4_200_000_000, "restarts": 0, "idle_stop_in_s": 540.2, "last_error": None},
        {"name": "seer", "kind": "model", "state": "down", "pid": None, "keeper_pid": None, "uptime_s": None}
        | {"memory_bytes": None, "restarts": 2, "idle_stop_in_s": None, "last_error": "it ended\nno \x1b[2J"},
        {"name": "supervisor", "kind": "supervisor", "state": "ready", "pid": 9, "keeper_pid": None, "uptime_s": 8001.0}
        | {"memory_bytes": 900_000, "restarts": 0, "idle_stop_in_s": None, "last_error": None},
    ]
}


def test_ps_shows_every_process(home: Home, daemon: FakeDaemon) -> None:
    daemon.answers["/w1/processes"] = (200, PROCESSES)
    assert home.woollama("ps").stdout.splitlines() == [
        "NAME        KIND         STATE  PID  KEEPER  UP          MEMORY  RESTARTS",
        "git         tool server  ready  11   10      2 h 13 min  45 MB   1",
        "coder       model        ready  21   20      42 s        4.2 GB  0         idle, stops in 9 min",
        "seer        model        down   -    -       -           -       2         no \\x1b[2J",
        "supervisor  supervisor   ready  9    -       2 h 13 min  900 kB  0",
    ]
    assert json.loads(home.woollama("ps", "--json").stdout) == PROCESSES


def test_status_tells_what_waits_for_a_reload(home: Home, daemon: FakeDaemon) -> None:
    pending = [{"what": "tool server", "name": "git", "why": "would start another command"}]
    daemon.answers["/w1/status"] = (200, {**STATUS, "pending": pending})
    assert "  tool server git would start another command" in home.woollama("status").stdout.splitlines()


def test_on_a_terminal_models_are_shown_with_what_they_are(home: Home, daemon: FakeDaemon) -> None:
    daemon.answers["/v1/models"] = (200, MODELS)
    with Terminal(home, "models", NO_COLOR="1") as terminal:
        assert terminal.rest() == "woollama/demo  recipe\ngpt-4o         alias\nollama/qwen3   ollama: chat, tools\n"
    with Terminal(home, "models", "gpt", TERM="xterm", COLUMNS="9") as terminal:
        assert terminal.rest() == "gpt-4o  \x1b[2m…\x1b[0m\n"


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


def test_a_call_that_failed_says_why(home: Home, daemon: FakeDaemon) -> None:
    told = {
        "type": "mcp_tool_execution_error",
        "content": [{"type": "text", "text": "The call was denied by the user."}],
    }
    failed = {**CALL, "output": None, "error": told}
    daemon.answers["/v1/responses"] = (
        200,
        [{"type": "response.output_item.done", "item": failed}, {"type": "response.completed"}],
    )
    asked = home.woollama("run", "demo", "what time is it?")
    assert asked.stderr == '[clock.now {"timezone": "Asia/Tokyo"} -> The call was denied by the user.]\n'


def test_tools_tell_what_they_cost(home: Home, daemon: FakeDaemon) -> None:
    dear = {"name": "fs.read", "server": "fs", "tool": "read", "description": "", "tokens": 90}
    cheap = {**TOOLS["data"][0], "tokens": 12}  # type: ignore[dict-item]
    recipe = {"name": "r", "tools": 2, "tokens": 102, "budget_tokens": 100, "found": True}
    listing = {**TOOLS, "data": [cheap, dear], "recipes": [recipe]}
    daemon.answers["/v1/tools"] = (200, listing)
    assert home.woollama("tools", "--cost").stdout.splitlines() == [
        "tokens in each round of a model, estimated",
        "RECIPE  TOKENS",
        "r       102     2 tools; found instead of shown, the budget is 100",
        "TOOL       TOKENS",
        "fs.read    90",
        "clock.now  12",
    ]
    assert json.loads(home.woollama("tools", "--cost", "--json").stdout)["recipes"] == [recipe]
