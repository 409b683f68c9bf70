"""What others send as JSON is read, and can be written again."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from woollama.domain.wire_json import dumps, loads


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
        (b'"\\ud83e"', "\ud83e"),
        (b'{"id": 123456789012345678901234567890}', {"id": 123456789012345678901234567890}),
        (b'["123456789012345678901"]', ["123456789012345678901"]),
        ('"wörld 🦙"'.encode(), "wörld 🦙"),
    ],
)
def test_what_is_read_survives_being_written(text: bytes, value: object):
    assert loads(text) == value
    assert loads(dumps(value)) == value


def test_a_number_beyond_all_floats_is_infinite_or_refused_but_never_a_crash():
    assert loads(b"[1e400]") == [float("inf")]


@pytest.mark.parametrize("text", [b"", b"{", b"<html>", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_a_value_error(text: bytes):
    with pytest.raises(ValueError):  # noqa: PT011
        loads(text)


def test_a_number_of_thousands_of_digits_is_told_without_advice_about_python():
    with pytest.raises(ValueError, match=r"^an integer with thousands of digits$"):
        loads(b"[" + b"9" * 5000 + b"]")


def test_any_mapping_can_be_written_and_nothing_foreign():
    assert dumps({"extra": MappingProxyType({"big": 2**70})}) == b'{"extra":{"big":1180591620717411303424}}'
    with pytest.raises(TypeError):
        dumps({"x": object()})
