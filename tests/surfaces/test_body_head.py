"""A body's head is read and its model replaced, and nothing else changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from woollama.domain.errors import BadRequest
from woollama.surfaces.body_head import ScannedHead, scan, splice


def head_of(raw: bytes) -> ScannedHead:
    return scan(raw, "chat", "application/json")


def spliced(raw: bytes) -> bytes:
    return splice(raw, head_of(raw), "new", {})


def test_the_head_shows_the_model_the_keys_and_whether_to_stream():
    head = head_of(b'{"model": "a/b", "stream": true, "messages": []}')
    assert (head.model, head.stream, head.keys) == ("a/b", True, {"model", "stream", "messages"})
    assert (head.dialect, head.content_type) == ("chat", "application/json")
    assert head_of(b'{"stream": "true"}').stream is False
    assert head_of(b"{}").model is None
    assert head_of(b'{"model": 7}').model == 7


def test_only_the_model_changes():
    raw = b'{ "messages" : [ {"role":"user"} ],\n "model" :\t"old", "top_k": 1e400, "big": 123456789012345678901 }'
    assert spliced(raw) == raw.replace(b'"old"', b'"new"')


def test_absent_members_of_the_extra_body_are_added_and_present_ones_left():
    raw = b'{"model":"old","temperature":1}'
    changed = json.loads(
        splice(raw, head_of(raw), "new", {"temperature": 0, "provider": {"order": ["x"]}, "model": "no"})
    )
    assert changed == {"model": "new", "temperature": 1, "provider": {"order": ["x"]}}


def test_a_model_in_deeper_levels_and_in_text_is_left_alone():
    raw = json.dumps(
        {
            "tools": [{"parameters": {"properties": {"model": {"type": "string"}}}}],
            "metadata": {"model": "old"},
            "messages": [{"content": 'the "model": "old" of it', "model": "old"}, "model"],
            "model": "old",
        }
    ).encode()
    assert json.loads(spliced(raw)) == {**json.loads(raw), "model": "new"}
    assert spliced(raw).count(b'"new"') == 1


@pytest.mark.parametrize(
    "raw",
    [
        b'{"model": "a", "model": "b"}',
        b'{"model": "a", "mod\\u0065l": "b"}',
        b'{"mod\\u0065l": "b", "model": "a"}',
        b'{"model": {"x": 1}, "model": "b"}',
        b'{"model": "a", "deep": {"model": "c"}, "model": "b"}',
    ],
)
def test_a_doubled_model_is_refused(raw: bytes):
    with pytest.raises(BadRequest, match="twice") as refused:
        head_of(raw)
    assert refused.value.param == "model"


def test_a_model_spelt_with_escapes_is_refused():
    with pytest.raises(BadRequest, match="escapes"):
        head_of(b'{"mod\\u0065l": "b"}')
    with pytest.raises(BadRequest, match="escapes"):
        head_of(b'{"deep": {"model": "b"}, "mod\\u0065l": "b"}')


def test_escapes_elsewhere_are_no_matter():
    raw = b'{"model": "old", "messages": ["\\u0065\\ud83e \\" \\"model\\": 1", {"\\u006d": 1}]}'
    assert spliced(raw) == raw.replace(b'"old"', b'"new"')


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b'"model"', b'{"model": "a"', b"{'model': 1}", b'{"model": "a"} x', b"\xff"]
)
def test_what_is_no_object_is_refused(raw: bytes):
    with pytest.raises(BadRequest):
        head_of(raw)


def test_a_body_of_brackets_is_refused_and_nothing_overflows():
    with pytest.raises(BadRequest, match="nested"):
        head_of(b'{"model": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")


keys = st.sampled_from(["model", "mod\u00e9l", 'a"model', "stream", "\\", ""]) | st.text(max_size=5)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | keys,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


@given(
    st.dictionaries(keys, values, max_size=5), st.text(max_size=8), st.booleans(), st.sampled_from([None, 1]), st.data()
)
def test_a_spliced_body_is_the_same_but_for_its_model(
    body: dict[str, Any], model: str, ascii_only: bool, indent: Any, data: Any
):
    names = list(body)
    names.insert(data.draw(st.integers(0, len(names))), "model")
    body = {name: "old" if name == "model" else body[name] for name in names}
    raw = json.dumps(body, ensure_ascii=ascii_only, indent=indent).encode()
    extra = {"added": [1], "stream": 0}
    assert json.loads(splice(raw, head_of(raw), model, extra)) == {**extra, **body, "model": model}
