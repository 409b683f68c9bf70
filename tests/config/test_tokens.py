"""`[tokens.NAME]` and `[prices]` of woollama.toml."""

from __future__ import annotations

import pytest

from tests.config.conftest import Files
from woollama.config.model import Price, Token
from woollama.config.tokens import value_of

LONG = "a-value-that-is-long-enough"


@pytest.mark.parametrize(
    ("name", "variable"),
    [("aider", "WOOLLAMA_TOKEN_AIDER"), ("open-webui.2", "WOOLLAMA_TOKEN_OPEN_WEBUI_2"), ("é", "WOOLLAMA_TOKEN__")],
)
def test_the_value_is_in_a_variable_of_the_tokens_name(name: str, variable: str) -> None:
    assert Token(name).variable == variable


def test_a_token_is_everything_that_it_does_not_say(files: Files) -> None:
    files.write("woollama.toml", '[tokens.a]\n[tokens.b]\nmodels = ["ollama/*"]\ntools = []\ntoken_env = "B_KEY"\n')
    loaded = files.load({"WOOLLAMA_TOKEN_A": LONG, "B_KEY": LONG[::-1]})
    assert loaded.problems == ()
    assert loaded.config.tokens == {"a": Token("a"), "b": Token("b", ("ollama/*",), (), "B_KEY")}
    assert LONG not in repr(loaded)


def test_a_token_without_a_value_is_told_and_still_there(files: Files) -> None:
    files.write("woollama.toml", "[tokens.a]\n[tokens.b]\n[tokens.off]\ndisabled = true\n")
    environ = {"WOOLLAMA_TOKEN_B": "short"}
    assert files.told(environ) == [
        f"woollama.toml:{line}: tokens.{name}: {why}; tokens.{name} is left out"
        for line, name, why in (
            (1, "a", "needs WOOLLAMA_TOKEN_A, which is not set: nobody can present it"),
            (2, "b", "WOOLLAMA_TOKEN_B is shorter than 8 characters, which is no secret"),
        )
    ]
    assert [value_of(token, environ) for token in files.load(environ).config.tokens.values()] == [None, None]


def test_a_token_that_cannot_be_read_opens_nothing_and_shuts_the_door(files: Files) -> None:
    files.write("woollama.toml", '[tokens.a]\nmodel = ["x/*"]\n')
    loaded = files.load({"WOOLLAMA_TOKEN_A": LONG})
    (problem,) = loaded.errors
    assert (problem.key, problem.suggestion) == ("tokens.a.model", 'did you mean "models"?')
    assert loaded.config.tokens == {"a": Token("a", (), ())}
    for text in ("[tokens.woollama]\n", '[tokens."a/b"]\n', "[tokens]\na = 1\n"):
        files.write("woollama.toml", text)
        assert len(files.load().errors) == 1
        assert len(files.load().config.tokens) == 1


def test_one_value_is_not_two_tokens(files: Files) -> None:
    files.write("woollama.toml", "[tokens.a]\n[tokens.b]\n")
    (told,) = files.told({"WOOLLAMA_TOKEN_A": LONG, "WOOLLAMA_TOKEN_B": LONG})
    assert "tokens.b: has the same value as the token 'a'" in told
    assert LONG not in told


def test_prices_are_read_by_globs(files: Files) -> None:
    files.write(
        "woollama.toml",
        '[prices]\n"openai/gpt-4o*" = { input = 2.5, output = 10, cache_read = 1.25 }\n'
        '"x/*" = { input = 0, output = 0 }\n',
    )
    assert files.load().problems == ()
    assert files.load().config.prices == {"openai/gpt-4o*": Price(2.5, 10, 1.25), "x/*": Price(0, 0)}


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('"a/*" = { input = 1 }', '"a/*": needs "output"'),
        ('"a/*" = { input = -1, output = 1 }', '"a/*".input: must be a number from 0'),
        ('"a/*" = { inputs = 1, output = 1, input = 1 }', 'did you mean "input"?'),
        ('"a/*" = 3', '"a/*": must be a table'),
        ("input = 5", "input: must be a table"),
    ],
)
def test_a_bad_price_is_told_and_leaves_its_neighbour(files: Files, written: str, told: str) -> None:
    files.write("woollama.toml", f'[prices]\n{written}\n"b/*" = {{ input = 1, output = 1 }}\n')
    (problem,) = files.told()
    assert told.replace('"a/*"', "a/*") in problem.replace('"a/*"', "a/*"), problem
    assert problem.startswith("woollama.toml:2: ")
    assert list(files.load().config.prices) == ["b/*"]


def test_prices_that_are_no_table_are_told(files: Files) -> None:
    files.write("woollama.toml", "prices = 3\ntokens = 4\n")
    assert len(files.told()) == 2
