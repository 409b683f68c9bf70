"""How a problem is told to people and to programs."""

from __future__ import annotations

from pathlib import Path

from woollama.config.problems import Problem, did_you_mean, dotted, worst


def test_a_problem_is_one_line_for_people() -> None:
    problem = Problem(
        Path("recipes.toml"), 3, "recipes.a.tols", "is no known key", 'did you mean "tools"?', left_out="recipes.a"
    )
    assert str(problem) == (
        'recipes.toml:3: recipes.a.tols: is no known key (did you mean "tools"?); recipes.a is left out'
    )


def test_a_problem_without_a_place_names_its_variable() -> None:
    assert (
        str(Problem(None, None, "WOOLLAMA_HEARTBEAT", "must be a duration")) == "WOOLLAMA_HEARTBEAT: must be a duration"
    )


def test_a_problem_is_an_object_for_programs() -> None:
    assert Problem(Path("x.toml"), 1, "k", "m").as_json() == {
        "severity": "error",
        "file": "x.toml",
        "line": 1,
        "key": "k",
        "message": "m",
        "suggestion": "",
        "left_out": None,
    }


def test_a_key_with_a_dot_in_it_is_quoted() -> None:
    assert dotted(("aliases", "gpt-4.1")) == 'aliases."gpt-4.1"'
    assert dotted(("recipes", "r", "tools", 0)) == "recipes.r.tools[0]"


def test_only_near_words_are_suggested() -> None:
    assert did_you_mean("tols", ["tools", "system"]) == 'did you mean "tools"?'
    assert did_you_mean("zzz", ["tools"]) == ""


def test_the_worst_decides() -> None:
    warning = Problem(None, None, "a", "m", severity="warning")
    assert worst([]) is None
    assert worst([warning, Problem(None, None, "b", "m", severity="note")]) == "warning"
    assert worst([warning, Problem(None, None, "b", "m")]) == "error"
