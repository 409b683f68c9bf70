"""`woollama check` on configurations that are broken in every way that it knows."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.cli.conftest import Home

KEYS = ["OPENAI", "ANTHROPIC", "GEMINI", "GROQ", "MISTRAL", "DEEPSEEK", "XAI", "OPENROUTER", "TOGETHER"]


def checked(home: Home) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and everything but the notes."""
    finished = home.woollama("check", "--json")
    found = json.loads(finished.stdout)["problems"]
    return finished.returncode, [problem for problem in found if problem["severity"] != "note"]


def test_the_shipped_configuration_has_no_problems(home: Home) -> None:
    there = {"WOOLLAMA_CLAUDE_BIN": sys.executable, **{f"{name}_API_KEY": "k" for name in KEYS}}
    finished = home.woollama("check", **there)
    assert finished.stdout == "4 recipes, 0 aliases, 17 inferencers, 3 tool servers: no problems\n"
    assert finished.returncode == 0


def test_a_claude_that_is_not_installed_is_a_note(home: Home) -> None:
    finished = home.woollama("check", WOOLLAMA_CLAUDE_BIN=str(home.directory / "nowhere"))
    assert "note: claude-code needs the claude command line, and there is no " in finished.stdout
    assert finished.returncode == 0


def test_missing_keys_are_notes_and_no_problem(home: Home) -> None:
    finished = home.woollama("check", HTTPS_PROXY="http://proxy.example:3128")
    assert finished.returncode == 0
    assert "note: openai needs OPENAI_API_KEY, which is not set\n" in finished.stdout
    assert (
        "note: HTTPS_PROXY is set, and does not count here: inferencers are connected to directly\n" in finished.stdout
    )
    assert finished.stdout.endswith("no problems\n")


def test_a_key_may_be_a_credential_of_the_service_manager(home: Home) -> None:
    (home.directory / "OPENAI_API_KEY").write_text("k")
    finished = home.woollama("check", CREDENTIALS_DIRECTORY=str(home.directory))
    assert "OPENAI_API_KEY" not in finished.stdout
    assert "GROQ_API_KEY" in finished.stdout


def test_an_error_exits_with_1_and_says_where(home: Home) -> None:
    home.write("recipes.toml", '[recipes.r]\ninferencer = "ollama/x"\ntols = []\n')
    finished = home.woollama("check")
    assert finished.returncode == 1
    assert 'recipes.toml:3: recipes.r.tols: is no known key (did you mean "tools"?); recipes.r is left out' in (
        finished.stdout
    )
    assert finished.stdout.endswith("4 recipes, 0 aliases, 17 inferencers, 3 tool servers: 1 error\n")


def test_a_file_that_does_not_parse_is_an_error(home: Home) -> None:
    home.write("mcp.json", "{]")
    finished = home.woollama("check", "--json")
    assert finished.returncode == 1
    found = json.loads(finished.stdout)
    assert found["ok"] is False
    assert found["problems"][0]["message"].startswith("is not valid JSON")


@pytest.mark.parametrize(
    ("text", "key", "severity", "message", "line"),
    [
        (
            '[aliases]\nfast = "olama/x"',
            "aliases.fast",
            "error",
            "no model 'olama/x'; the nearest are ollama/x",
            2,
        ),
        ('[aliases]\na = "b"\nb = "a"', "aliases.a", "error", "these names go round in a circle", 2),
        (
            '[recipes.a]\ninferencer = "woollama/b"\n[recipes.b]\ninferencer = "a"',
            "recipes.a.inferencer",
            "error",
            "circle: recipe a -> recipe b -> recipe a",
            2,
        ),
        (
            '[recipes.a]\ninferencer = "ollama/x"\nfallbacks = ["ollama/y",\n"gone/z"]',
            "recipes.a.fallbacks[1]",
            "error",
            "there is no model 'gone/z'",
            3,
        ),
        (
            '[recipes.a]\ninferencer = "ollama/x"\nconfirm = ["clok.now"]',
            "recipes.a.confirm[0]",
            "error",
            'there is no tool server "clok"',
            3,
        ),
        (
            '[recipes.a]\ninferencer = "ollama/x"\ntools = ["clok.now"]',
            "recipes.a.tools[0]",
            "error",
            'there is no tool server "clok"',
            3,
        ),
        (
            '[recipes.a]\ninferencer = "openai/x"\nprivate = true',
            "recipes.a.inferencer",
            "error",
            "is private and none of its inferencers is local",
            2,
        ),
        ('[aliases]\nfast = "qwen3"', "aliases.fast", "warning", "there is no model 'qwen3'", 2),
        ('[recipes.a]\ninferencer = "openai/x"', "recipes.a.inferencer", "warning", "needs OPENAI_API_KEY", 2),
    ],
)
def test_names_that_lead_nowhere_are_told(
    home: Home, text: str, key: str, severity: str, message: str, line: int
) -> None:
    home.write("recipes.toml", text)
    code, (found, *_) = checked(home)
    assert (found["key"], found["severity"], found["line"]) == (key, severity, line)
    assert message in found["message"]
    assert code == (1 if severity == "error" else 0)


def test_globs_over_servers_are_references_too(home: Home) -> None:
    home.write("recipes.toml", '[recipes.a]\ninferencer = "ollama/x"\ntools = ["*", "*.now", "cl*.now", "clock.*"]\n')
    assert checked(home) == (0, [])


def test_tools_of_a_server_that_is_switched_off_are_a_warning(home: Home) -> None:
    home.write("mcp.json", '{"mcpServers": {"clock": {"disabled": true}}}')
    _, found = checked(home)
    assert [problem["key"] for problem in found] == ["recipes.demo.tools[0]", "recipes.assistant.tools[0]"]
    assert {problem["severity"] for problem in found} == {"warning"}


def test_shipped_recipes_whose_inferencer_is_switched_off_are_a_warning(home: Home) -> None:
    home.write("inferencers.toml", "[inferencers.ollama]\ndisabled = true\n")
    code, found = checked(home)
    assert {problem["severity"] for problem in found} == {"warning"}
    assert [problem["key"] for problem in found] == [
        f"recipes.{name}.inferencer" for name in ("assistant", "streamer", "textcounter")
    ]
    assert code == 0


@pytest.mark.parametrize(
    ("address", "token", "told"),
    [("0.0.0.0:1", "", 1), ("0.0.0.0:1", "t", 0), ("[::1]:1", "", 0), ("localhost", "", 0), ("box.example", "", 1)],
)
def test_an_address_for_others_needs_a_token(home: Home, address: str, token: str, told: int) -> None:
    home.write("woollama.toml", f'[server]\naddress = "{address}"\n')
    finished = home.woollama("check", WOOLLAMA_TOKEN=token)
    assert finished.stdout.count("woollama.toml:2: server.address: other machines could connect") == told
    assert finished.returncode == 0


def test_a_program_that_is_not_there_is_a_warning(home: Home) -> None:
    home.write("mcp.json", '{\n"servers": {"x": {"command": "no-such-program"}}}')
    _, (found,) = checked(home)
    assert (found["key"], found["severity"], found["line"]) == ("servers.x.command", "warning", 2)


def test_no_value_of_a_variable_is_ever_told(home: Home) -> None:
    home.write(
        "inferencers.toml", '[inferencers.x]\nbase_url = "${SECRET}"\napi = "${SECRET}"\nretries = "${SECRET}"\n'
    )
    home.write("mcp.json", '{"mcpServers": {"x": {"url": "${SECRET}", "timeout": "${SECRET}", "type": "${SECRET}"}}}')
    home.write("recipes.toml", '[aliases]\nfast = "ollama/${SECRET:-x}"\n')
    finished = home.woollama("check", SECRET="hush-hush")
    assert finished.returncode == 1
    assert "hush-hush" not in finished.stdout + finished.stderr


def test_names_that_a_terminal_would_obey_are_made_visible(home: Home) -> None:
    home.write("mcp.json", '{"mcpServers": {"x\\u001b[2J\\ud83d": {}}}')
    finished = home.woollama("check")
    assert finished.returncode == 1
    assert "x\\x1b[2J\\xd83d" in finished.stdout


@pytest.mark.parametrize("name", ["recipes.toml", "mcp.json", "inferencers.toml", "woollama.toml"])
def test_a_schema_is_printed_for_editors(home: Home, name: str) -> None:
    finished = home.woollama("check", "--schema", name)
    assert finished.returncode == 0
    assert json.loads(finished.stdout)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_a_schema_of_no_file_is_a_usage_error_that_names_the_files(home: Home) -> None:
    finished = home.woollama("check", "--schema", "recipes")
    assert finished.returncode == 2
    assert "recipes.toml" in finished.stderr


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (
            "recipes.toml",
            "[recipes.r]\ninferencer = ollama/q",
            "recipes.toml:2: is not valid TOML ~ a text stands in quotes",
        ),
        ("woollama.toml", "[server]\nheartbeat = 15s", "woollama.toml:2: is not valid TOML ~ a text stands in quotes"),
        (
            "recipes.toml",
            '[recipes.r]\nmodel = "ollama/q"',
            'recipes.r.model: is no known key (did you mean "inferencer"?)',
        ),
        (
            "recipes.toml",
            '[recipes.r]\ninferencer = "ollama/q"\ntemperature = 0.2',
            "recipes.r.temperature: is no known key (it belongs into params: params = { temperature = … })",
        ),
        (
            "recipes.toml",
            '[recipes.r]\ninferencer = "ollama/q"\nsystem = "{{name}}"\nvariables.nme = { default = "x" }',
            'recipes.toml:4: recipes.r.variables.nme: the system text has no {{nme}} (did you mean "name"?)',
        ),
        (
            "recipes.toml",
            '[recipes.r]\ninferencer = "ollama/q"\nsystem = "{{a}}"\nvariables.a = { default = "x", choices = ["y"] }',
            "recipes.toml:4: recipes.r.variables.a.default: is none of the choices",
        ),
        (
            "recipes.toml",
            '[aliases]\nfast = "ollama"',
            "aliases.fast: is an inferencer, and no model of it (write ollama/ and the model's name)",
        ),
        (
            "inferencers.toml",
            '[inferencers.my]\nurl = "http://127.0.0.1:1"',
            'inferencers.my.url: is no known key (did you mean "base_url"?)',
        ),
        ("mcp.json", '{"mcpservers": {}}', 'mcpservers: is no key that is used here (did you mean "mcpServers"?)'),
        ("mcp.json", '{"x": {"command": "y"}}', "x: is no key that is used here (a server stands in mcpServers)"),
        (
            "mcp.json",
            '{"mcpServers": {"x": {"command": "npx -y foo"}}}',
            'names a program that is not there (the command is the program alone, its arguments stand in "args")',
        ),
        ("woollama.toml", 'address = "127.0.0.1:1"', "address: is no known section (it belongs into [server])"),
        ("recipe.toml", "", 'recipe.toml: is not read (did you mean "recipes.toml"?)'),
    ],
)
def test_what_people_get_wrong_is_told_with_what_they_meant(home: Home, name: str, text: str, told: str) -> None:
    home.write(name, text)
    printed = home.woollama("check").stdout
    assert all(part in printed for part in told.split(" ~ ")), printed


def test_tokens_and_prices_that_name_nothing_are_told(home: Home) -> None:
    home.write(
        "woollama.toml",
        """
[tokens.aider]
models = ["olama/*", "ollama/any*", "woollama/hello", "helo", "*"]
tools = ["clock.*", "clok.now"]

[tokens.absent]

[prices]
"opnai/*" = { input = 1, output = 1 }
"openai/gpt*" = { input = 1, output = 1 }
""",
    )
    home.write("recipes.toml", '[recipes.hello]\ninferencer = "scripted/echo"\n')
    finished = home.woollama("check", "--json", WOOLLAMA_TOKEN_AIDER="long-enough-1")
    found = [problem for problem in json.loads(finished.stdout)["problems"] if problem["severity"] != "note"]
    told = {problem["key"]: (problem["severity"], problem["suggestion"]) for problem in found}
    assert told == {
        "tokens.absent": ("error", ""),
        "tokens.aider.models[0]": ("warning", 'did you mean "ollama"?'),
        "tokens.aider.models[3]": ("warning", 'did you mean "hello"?'),
        "tokens.aider.tools[1]": ("warning", 'did you mean "clock"?'),
        "prices.opnai/*": ("warning", 'did you mean "openai"?'),
    }
    assert finished.returncode == 1


def test_a_clients_token_lets_other_machines_in_as_well(home: Home) -> None:
    home.write("woollama.toml", '[server]\naddress = "0.0.0.0:11435"\n[tokens.a]\n')
    assert "serving is refused" in home.woollama("check", WOOLLAMA_TOKEN_A="short").stdout
    assert "serving is refused" not in home.woollama("check", WOOLLAMA_TOKEN_A="long-enough-1").stdout
