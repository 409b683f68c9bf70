"""The language of the recorded cases: volatile values get names, promises are compared with answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conformance.case import Names, differences, frames_of, load

ID = "0123456789abcdef01234567"


def test_the_same_id_has_the_same_name_everywhere() -> None:
    names = Names()
    first = names.normalise({"id": f"resp_{ID}", "items": [{"id": f"msg_{ID}"}]})
    second = names.normalise({"previous_response_id": f"resp_{ID}", "id": f"resp_{ID[::-1]}"})
    assert first == {"id": "<resp_ 1>", "items": [{"id": "<msg_ 1>"}]}
    assert second == {"previous_response_id": "<resp_ 1>", "id": "<resp_ 2>"}


def test_a_name_in_a_later_request_becomes_the_id_again() -> None:
    names = Names()
    names.normalise({"id": f"resp_{ID}"})
    assert names.fill({"/v1/responses/<resp_ 1>": ["<resp_ 9>"]}) == {f"/v1/responses/resp_{ID}": ["<resp_ 9>"]}


def test_what_means_nothing_to_a_client_has_a_name_too_and_so_have_keys() -> None:
    names = Names()
    seen = {"nextCursor": "WyJ0b29scyJd", "asked": {f"ask_{ID}": 1}}
    assert names.normalise(seen) == {"nextCursor": "<nextCursor 1>", "asked": {"<ask_ 1>": 1}}
    assert names.fill({"cursor": "<nextCursor 1>", "<ask_ 1>": 2}) == {"cursor": "WyJ0b29scyJd", f"ask_{ID}": 2}


def test_only_times_are_levelled_among_numbers() -> None:
    assert Names().normalise({"created": 1700000000, "index": 3}) == {"created": "<time>", "index": 3}


def test_words_that_merely_begin_like_an_id_stay() -> None:
    assert Names().normalise({"id": "call_0", "text": "resp_onsible"}) == {"id": "call_0", "text": "resp_onsible"}


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ({"a": 1}, {"a": 1, "more": 2}),
        ({"data": {"$contains": [{"id": "b"}]}}, {"data": [{"id": "a"}, {"id": "b", "x": 1}]}),
        ({"message": {"$matches": "^no model"}}, {"message": "no model is named so"}),
        ({"error": "$absent"}, {"a": 1}),
        ([1, {"a": None}], [1, {"a": None}]),
    ],
)
def test_a_kept_promise_has_no_differences(expected: Any, actual: Any) -> None:
    assert list(differences(expected, actual)) == []


@pytest.mark.parametrize(
    ("expected", "actual", "said"),
    [
        ({"a": 1}, {"b": 1}, ".a is missing"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ".a.b is 2, not 1"),
        ([1], [1, 2], " is [1, 2], not [1]"),
        ({"a": True}, {"a": 1}, ".a is 1, not true"),
        ({"data": {"$contains": [{"id": "b"}]}}, {"data": [{"id": "a"}]}, ".data holds nothing like"),
        ({"message": {"$matches": "^no"}}, {"message": "yes"}, ".message is"),
        ({"error": "$absent"}, {"error": None}, ".error is there"),
        ({"a": {}}, {"a": None}, ".a is null, not an object"),
    ],
)
def test_a_broken_promise_says_where(expected: Any, actual: Any, said: str) -> None:
    (found,) = differences(expected, actual)
    assert found.startswith(said)


def test_a_stream_is_read_into_its_events() -> None:
    text = ': waiting\n\nevent: x\ndata: {"a": 1}\n\ndata: [DONE]\n\n'
    assert frames_of(text) == [{"event": "x", "data": {"a": 1}}, {"data": "[DONE]"}]


def test_a_misspelt_member_of_a_case_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "case.json"
    path.write_text(json.dumps({"promise": "…", "exchanges": [{"request": {"method": "GET", "pth": "/"}}]}))
    with pytest.raises(ValueError, match="pth"):
        load(path)
