"""Variables in values."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from woollama.config.expand import Variables
from woollama.config.problems import Wrong

DEFAULTS = Path("shipped")


def expand(value: Any, **environ: str) -> Any:
    return Variables(environ, DEFAULTS).expand(value)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("${A}", "x"),
        ("<${A}${A}>", "<xx>"),
        ("${env:A}", "x"),
        ("${A:-y}", "x"),
        ("${NONE:-y}", "y"),
        ("${NONE:-}", ""),
        ("${EMPTY:-y}", "y"),
        ("${EMPTY}", ""),
        ("${env:NONE:-y}", "y"),
        ("${NONE:-http://h:1/${A}}", "${NONE:-http://h:1/x}"),
        ("${userHome}/x", "home/x"),
        ("$A", "$A"),
        ("$${A}", "$x"),
        ("100%", "100%"),
    ],
)
def test_variables_are_replaced(written: str, expected: str) -> None:
    assert expand(written, A="x", EMPTY="", HOME="home") == expected


def test_a_value_is_not_expanded_again() -> None:
    assert expand("${A}", A="${B}", B="x") == "${B}"


def test_values_are_expanded_and_names_are_not() -> None:
    written = {"${A}": ["${A}", {"k": "${A}"}], "n": 1, "t": True}
    assert expand(written, A="x") == {"${A}": ["x", {"k": "x"}], "n": 1, "t": True}


def test_what_is_verbatim_is_left_alone() -> None:
    assert Variables({}, DEFAULTS).expand({"system": "echo ${PATH}"}, {"system"}) == {"system": "echo ${PATH}"}


def test_the_interpreter_and_the_shipped_files_have_names() -> None:
    assert expand("${woollama:python} ${woollama:defaults}/x") == f"{sys.executable} shipped/x"


def test_an_input_comes_from_its_variable() -> None:
    assert expand("${input:api-key}", WOOLLAMA_INPUT_API_KEY="s") == "s"


def test_an_input_comes_from_a_secret_file(tmp_path: Path) -> None:
    (tmp_path / "WOOLLAMA_INPUT_API_KEY").write_text("s\n")
    assert expand("${input:api-key}", CREDENTIALS_DIRECTORY=str(tmp_path)) == "s"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("${NONE}", "needs the variable NONE, which is not set"),
        ("${env:NONE}", "needs the variable NONE, which is not set"),
        ("${input:token}", "needs the input 'token', which is not there"),
        ("${woollama:nothing}", "does not exist"),
        ("${workspace:x}", "is of no known sort"),
        ("${}", "is no variable"),
        ("${a b}", "is no variable"),
    ],
)
def test_what_is_not_set_is_told(written: str, message: str) -> None:
    with pytest.raises(Wrong) as caught:
        expand({"list": ["fine", written]})
    (finding,) = caught.value.findings
    assert message in finding.message
    assert finding.at == ("list", 1)


def test_all_that_is_not_set_is_told_at_once() -> None:
    with pytest.raises(Wrong) as caught:
        expand({"a": "${ONE} ${TWO}", "b": "${THREE}"})
    assert [finding.at for finding in caught.value.findings] == [("a",), ("a",), ("b",)]
