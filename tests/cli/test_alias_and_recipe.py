"""`woollama alias` and `woollama recipe`: files are changed with care, and nothing wrong is written."""

from __future__ import annotations

import json
import tomllib
from typing import Any

from tests.cli.conftest import FakeDaemon, Home


def written(home: Home) -> dict[str, Any]:
    return tomllib.loads((home.directory / "config" / "recipes.toml").read_text())


def test_an_alias_is_added_listed_changed_and_removed(home: Home) -> None:
    added = home.woollama("alias", "add", "gpt-4o", "ollama/q:14b")
    assert (added.returncode, added.stdout, added.stderr) == (0, "gpt-4o stands for ollama/q:14b\n", "")
    assert written(home) == {"aliases": {"gpt-4o": "ollama/q:14b"}}
    assert home.woollama("alias", "list").stdout == "gpt-4o  ollama/q:14b\n"
    again = home.woollama("alias", "add", "gpt-4o", "ollama/x")
    assert (again.returncode, "--replace" in again.stderr) == (1, True)
    assert home.woollama("alias", "add", "gpt-4o", "ollama/x", "--replace").returncode == 0
    assert json.loads(home.woollama("alias", "list", "--json").stdout) == {"gpt-4o": "ollama/x"}
    assert home.woollama("alias", "remove", "gpt-4o").returncode == 0
    assert home.woollama("alias", "remove", "gpt-4o").returncode == 1
    assert "no aliases" in home.woollama("alias", "list").stdout


def test_an_alias_of_nothing_is_refused_with_a_hint_and_changes_nothing(home: Home) -> None:
    home.write("recipes.toml", "# mine\n")
    refused = home.woollama("alias", "add", "fast", "olama/q")
    assert refused.returncode == 1
    assert "nothing was changed: aliases.fast" in refused.stderr
    assert "ollama" in refused.stderr
    assert (home.directory / "config" / "recipes.toml").read_text() == "# mine\n"


def test_a_bare_name_that_some_inferencer_may_have_is_added_with_a_warning(home: Home) -> None:
    added = home.woollama("alias", "add", "fast", "qwen3")
    assert added.returncode == 0
    assert "warning: aliases.fast" in added.stderr
    assert written(home) == {"aliases": {"fast": "qwen3"}}


def test_a_file_that_does_not_parse_is_left_alone(home: Home) -> None:
    home.write("recipes.toml", "[aliases\n")
    for words in (["alias", "add", "a", "ollama/q"], ["recipe", "add", "a", "--inferencer", "ollama/q"]):
        finished = home.woollama(*words)
        assert (finished.returncode, finished.stderr.count("\n")) == (1, 1)
        assert "recipes.toml:1: is not valid TOML" in finished.stderr
    assert (home.directory / "config" / "recipes.toml").read_text() == "[aliases\n"


def test_an_error_that_was_there_before_keeps_nobody_from_adding(home: Home) -> None:
    home.write("recipes.toml", "[recipes.bad]\ninferencer = 3 # bad\n")
    assert home.woollama("alias", "add", "fast", "ollama/q").returncode == 0


def test_where_nothing_can_be_appended_it_says_what_to_write(home: Home) -> None:
    home.write("recipes.toml", 'aliases = { a = "ollama/q" } # closed\n')
    finished = home.woollama("alias", "add", "fast", "ollama/q")
    assert finished.returncode == 1
    assert 'by hand: [aliases]; fast = "ollama/q"' in finished.stderr


RECIPE = (
    *("recipe", "add", "clerk", "--inferencer", "ollama/q", "--fallback", "ollama/c", "--tool", "clock.*"),
    *("--tool", "hello.hello", "--description", "Knows", "--system", "Say {{what}}."),
)


def test_a_recipe_is_added_listed_shown_and_removed(home: Home) -> None:
    home.write("recipes.toml", "# mine\n")
    added = home.woollama(*RECIPE)
    assert (added.returncode, added.stderr) == (0, "")
    assert written(home)["recipes"]["clerk"] == {
        "description": "Knows",
        "inferencer": "ollama/q",
        "fallbacks": ["ollama/c"],
        "system": "Say {{what}}.",
        "tools": ["clock.*", "hello.hello"],
    }
    assert home.woollama(*RECIPE).returncode == 1
    assert home.woollama(*RECIPE, "--replace").returncode == 0
    rows = json.loads(home.woollama("recipe", "list", "--json").stdout)
    assert {"name": "clerk", "inferencer": "ollama/q", "from": "yours", "description": "Knows"} in rows
    assert {row["from"] for row in rows} == {"yours", "shipped"}
    assert "clerk " in home.woollama("recipe", "list").stdout
    shown = home.woollama("recipe", "show", "clerk").stdout
    assert tomllib.loads(shown) == {"recipes": {"clerk": written(home)["recipes"]["clerk"]}}
    assert "# ~/config/recipes.toml:" in shown
    assert home.woollama("recipe", "remove", "clerk").returncode == 0
    assert (home.directory / "config" / "recipes.toml").read_text() == "# mine\n"


def test_a_recipe_with_a_tool_that_nobody_has_is_refused(home: Home) -> None:
    refused = home.woollama("recipe", "add", "clerk", "--inferencer", "ollama/q", "--tool", "clok.now")
    assert refused.returncode == 1
    assert 'there is no tool server "clok" (did you mean "clock"?)' in refused.stderr
    assert not (home.directory / "config" / "recipes.toml").exists()


def test_a_shipped_recipe_is_switched_off_and_not_removed(home: Home) -> None:
    finished = home.woollama("recipe", "remove", "demo")
    assert finished.returncode == 1
    assert "[recipes.demo] and below that disabled = true" in finished.stderr


def test_a_running_daemon_is_mentioned(home: Home, daemon: FakeDaemon) -> None:
    daemon.answers["/healthz"] = (200, {"ok": True})
    assert "`woollama reload`" in home.woollama("alias", "add", "fast", "ollama/q").stdout
