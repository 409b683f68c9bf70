"""Rendering of `{{variables}}`, and recipes on top of recipes."""

from __future__ import annotations

import pytest

from woollama.core.recipes import Recipe, Variable, laid_over, render, variables_in
from woollama.domain.errors import BadRequest
from woollama.domain.tools import Example
from woollama.domain.turns import Params

LANGUAGE = Variable(default="English", choices=("English", "Deutsch"))


def test_variables_are_replaced_wherever_they_stand() -> None:
    assert render("{{a}} and {{ a }}, {{b-c}}.", {}, {"a": "x", "b-c": "y"}) == "x and x, y."


def test_a_value_is_never_itself_substituted() -> None:
    assert render("{{a}}{{b}}", {}, {"a": "{{b}}", "b": "{{a}}"}) == "{{b}}{{a}}"


def test_a_value_is_no_replacement_pattern() -> None:
    assert render("{{a}}", {}, {"a": r"\1 \g<0> $1"}) == r"\1 \g<0> $1"


def test_a_default_stands_in_for_a_missing_value() -> None:
    assert render("In {{language}}.", {"language": LANGUAGE}, {}) == "In English."


def test_a_missing_value_without_default_is_the_clients_error_and_named() -> None:
    with pytest.raises(BadRequest, match="'topic' has no default") as caught:
        render("About {{topic}}.", {}, {"other": "x"})
    assert caught.value.param == "variables.topic"


def test_choices_are_enforced() -> None:
    with pytest.raises(BadRequest, match="must be one of 'English', 'Deutsch'"):
        render("In {{language}}.", {"language": LANGUAGE}, {"language": "Klingon"})


@pytest.mark.parametrize("text", ["{{}}", "{{ 1x }}", "{a}", "{{a b}}", "{{a", "{{plugin:datetime:now}}"])
def test_what_is_no_variable_is_left_alone(text: str) -> None:
    assert render(text, {}, {"a": "x"}) == text


def test_variables_are_listed_once_in_order_of_appearance() -> None:
    assert variables_in("{{b}} {{a}} {{b}}") == ("b", "a")


INNER = Recipe(
    "inner",
    "ollama/qwen3",
    fallbacks=("openai/gpt",),
    system="You are kind.",
    variables={"tone": Variable("warm")},
    tools=("git.*",),
    tool_choice="required",
    examples={"git.log": (Example({}),)},
    params=Params(temperature=0.2, seed=7),
    locked=frozenset({"seed"}),
    max_turns=3,
    written=frozenset({"tools", "tool_choice", "max_turns", "examples"}),
)


def test_over_another_recipe_what_is_left_out_is_the_inner_ones() -> None:
    both = Recipe("outer", "woollama/inner", system="Answer in {{language}}.", variables={"language": LANGUAGE}).over(
        INNER
    )
    assert both.name == "outer"
    assert both.inferencer == "ollama/qwen3"
    assert both.system == "You are kind.\n\nAnswer in {{language}}."
    assert set(both.variables) == {"tone", "language"}
    assert (both.tools, both.tool_choice, both.max_turns) == (("git.*",), "required", 3)
    assert both.examples == INNER.examples


def test_over_another_recipe_what_is_written_wins_even_if_it_is_nothing() -> None:
    outer = Recipe("outer", "woollama/inner", tools=(), max_turns=16, written=frozenset({"tools", "max_turns"}))
    both = outer.over(INNER)
    assert both.tools == ()
    assert both.max_turns == 16
    assert both.tool_choice == "required"


def test_params_are_laid_over_one_by_one_but_for_what_the_inner_recipe_locks() -> None:
    outer = Recipe(
        "outer", "woollama/inner", params=Params(top_p=0.5, temperature=0.9, seed=1), locked=frozenset({"top_p"})
    )
    both = outer.over(INNER)
    assert both.params == Params(temperature=0.9, top_p=0.5, seed=7)
    assert both.locked == {"seed", "top_p"}


def test_options_are_laid_over_one_by_one_too() -> None:
    under, over = Params(options={"num_ctx": 16384, "num_thread": 2}), Params(seed=1, options={"num_thread": 8})
    both = Params(seed=1, options={"num_ctx": 16384, "num_thread": 8})
    assert laid_over(under, over, frozenset()) == both
    assert laid_over(under, over, frozenset({"options"})) == Params(seed=1, options=under.options)
    assert laid_over(under, Params(), frozenset()) == under
    assert laid_over(Params(), over, frozenset()) == over


def test_a_private_recipe_stays_private_under_another() -> None:
    inner = Recipe("inner", "local/m", private=True)
    assert Recipe("outer", "woollama/inner").over(inner).private
