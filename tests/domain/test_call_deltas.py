"""Pieces of tool calls find their calls, however little the upstream says."""

from __future__ import annotations

from typing import Any

import pytest

from woollama.domain.call_deltas import CallDeltas, arguments_text

Piece = tuple[int | None, str | None, str | None, str]


def placed(*pieces: Piece) -> list[tuple[str, str]]:
    deltas = CallDeltas()
    for piece in pieces:
        deltas.place(*piece)
    assert [call.index for call in deltas.calls] == list(range(len(deltas.calls)))
    assert len({call.id for call in deltas.calls}) == len(deltas.calls)
    return [(call.name, call.text) for call in deltas.calls]


EXPECTED = [("now", '{"zone": 1}'), ("count", '{"to": 2}')]


@pytest.mark.parametrize(
    "pieces",
    {
        "as it should be": [
            (0, "a", "now", '{"zone"'),
            (0, None, None, ": 1}"),
            (1, "b", "count", '{"to"'),
            (1, None, None, ": 2}"),
        ],
        "interleaved": [
            (0, "a", "now", '{"zone"'),
            (1, "b", "count", '{"to"'),
            (0, None, None, ": 1}"),
            (1, None, None, ": 2}"),
        ],
        "without index": [
            (None, "a", "now", '{"zone"'),
            (None, None, None, ": 1}"),
            (None, "b", "count", '{"to"'),
            (None, None, None, ": 2}"),
        ],
        "without index, the id in every piece": [
            (None, "a", "now", '{"zone"'),
            (None, "b", "count", '{"to"'),
            (None, "a", None, ": 1}"),
            (None, "b", None, ": 2}"),
        ],
        "without id": [(0, None, "now", '{"zone": 1}'), (1, None, "count", '{"to": 2}')],
        "without either": [(None, None, "now", '{"zone": 1}'), (None, "", "count", '{"to": 2}')],
        "all of index 0": [(0, "a", "now", '{"zone": 1}'), (0, "b", "count", '{"to"'), (0, None, None, ": 2}")],
        "all of index 0, without id": [(0, None, "now", '{"zone": 1}'), (0, None, "count", '{"to": 2}')],
        "one id for all": [(0, "a", "now", '{"zone": 1}'), (1, "a", "count", '{"to": 2}')],
        "id and name repeated": [
            (0, "a", "now", '{"zone"'),
            (0, "a", "now", ": 1}"),
            (1, "b", "count", '{"to"'),
            (1, "b", "count", ": 2}"),
        ],
        "name repeated, without index": [
            (None, "a", "now", '{"zone"'),
            (None, "a", "now", ": 1}"),
            (None, "b", "count", '{"to": 2}'),
        ],
        "the name comes late": [(0, "a", None, ""), (0, None, "now", '{"zone": 1}'), (1, "b", "count", '{"to": 2}')],
        "indexes that do not begin at 0": [(1, "a", "now", '{"zone": 1}'), (7, "b", "count", '{"to": 2}')],
    }.values(),
)
def test_two_calls_are_told_apart(pieces: list[Piece]):
    assert placed(*pieces) == EXPECTED


def test_the_same_function_called_twice_is_two_calls():
    once = (None, None, "now", '{"zone": 1}')
    assert placed(once, once) == [EXPECTED[0]] * 2


def test_an_id_is_kept_as_it_came_or_made():
    deltas = CallDeltas()
    assert deltas.place(0, "toolu_1", "now", "").id == "toolu_1"
    assert deltas.place(1, None, "now", "").id.startswith("call_")


@pytest.mark.parametrize(
    ("given", "text"), [(None, ""), ("", ""), ('{"a"', '{"a"'), ({"a": "ö"}, '{"a": "ö"}'), ([], "[]")]
)
def test_arguments_become_text(given: Any, text: str):
    assert arguments_text(given) == text
