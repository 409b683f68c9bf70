"""The data of a frame, whatever its line ends and other lines."""

from __future__ import annotations

import pytest

from woollama.domain.frames import data_of, with_data


@pytest.mark.parametrize(
    ("frame", "data"),
    [
        (b"data: {}\n\n", b"{}"),
        (b"data:{}\n\n", b"{}"),
        (b"data:  two spaces\n\n", b" two spaces"),
        (b"data: {}\r\n\r\n", b"{}"),
        (b"data: {}\r\r", b"{}"),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"event: x\nid: 1\ndata: a\n\n", b"a"),
        (b": comment\ndata: a\n\n", b"a"),
        (b"\ndata: a\n\n", b"a"),
        (b"data\n\n", b""),
        (b"data:\n\n", b""),
        (b": keep-alive\n\n", None),
        (b"event: ping\n\n", None),
        (b"database: x\n\n", None),
        (b"\n\n", None),
    ],
)
def test_the_data_of_a_frame(frame: bytes, data: bytes | None):
    assert data_of(frame) == data


def test_new_data_keeps_the_other_lines():
    assert with_data(b"event: x\r\ndata: a\r\ndata: b\r\n\r\n", b"new") == b"event: x\ndata: new\n\n"
