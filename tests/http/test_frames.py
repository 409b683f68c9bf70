"""An event stream is cut into the same frames wherever the network cuts it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import chat_wire
from woollama.domain.errors import UpstreamBroke
from woollama.http.frames import Frames, FrameSplitter


def cut(*reads: bytes) -> list[bytes]:
    splitter = FrameSplitter()
    return [frame for read in reads for frame in splitter.feed(read)] + [splitter.rest()]


@pytest.mark.parametrize("kind", [*chat_wire.MALFORMED, "proper"])
def test_a_stream_cut_at_any_byte_gives_the_same_frames(kind: str):
    frames = chat_wire.frames("Hello, wörld 🦙") if kind == "proper" else chat_wire.malformed(kind)
    stream = b"".join(frames)
    whole = cut(stream)
    for at in range(len(stream) + 1):
        assert cut(stream[:at], stream[at:]) == whole
    assert cut(*(stream[at : at + 1] for at in range(len(stream)))) == whole


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_blank_lines_end_frames_whatever_the_line_ends(end: bytes):
    one, two = b"event: a" + end + b"data: 1" + end * 2, b": note" + end + b"data: 2" + end * 2
    assert cut(one + two + b"data: stump") == [one, two, b"data: stump"]


pieces = st.sampled_from([b"\n", b"\r", b"\r\n", b"data: x", b":", b"\xef\xbb\xbf", b"\xc3\xa9", b" "])


@given(st.lists(pieces, max_size=30).map(b"".join), st.lists(st.integers(0, 60), max_size=8))
def test_frames_do_not_depend_on_reads_and_nothing_is_lost(stream: bytes, cuts: list[int]):
    edges = sorted({0, len(stream), *(at for at in cuts if at < len(stream))})
    reads = [stream[begin:end] for begin, end in itertools.pairwise(edges)]
    frames = cut(*reads)
    assert frames == cut(stream)
    assert b"".join(frames) == stream.removeprefix(b"\xef\xbb\xbf")


def test_a_frame_without_end_is_refused_at_a_bound():
    splitter = FrameSplitter(limit_bytes=100)
    splitter.feed(b"data: " + b"x" * 90)
    with pytest.raises(UpstreamBroke, match="100 bytes"):
        splitter.feed(b"x" * 10)


def test_large_frames_within_the_bound_pass():
    frame = b"data: " + b"x" * 200_000 + b"\n\n"
    reads = [frame[at : at + 1000] for at in range(0, len(frame), 1000)]
    assert cut(*reads) == [frame, b""]


async def body(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@pytest.mark.parametrize(
    ("rest", "last"),
    [
        (b"data: [DONE]", [b"data: [DONE]\n\n"]),
        (b"data: [DONE]\r\n", [b"data: [DONE]\n\n"]),
        (b'data: {"a": 1}\n', [b'data: {"a": 1}\n\n']),
        (b'data: {"a": ', []),
        (b"", []),
    ],
)
async def test_a_last_frame_without_its_blank_line_counts_if_it_is_whole(rest: bytes, last: list[bytes]):
    assert [frame async for frame in Frames(body(b"data: 1\n\n", rest))] == [b"data: 1\n\n", *last]


async def test_frames_come_as_soon_as_they_are_whole():
    frames = Frames(body(b"data: 1\n\ndata: 2", b"\n\n"))
    assert await anext(frames) == b"data: 1\n\n"
    assert await anext(frames) == b"data: 2\n\n"
    with pytest.raises(StopAsyncIteration):
        await anext(frames)
    with pytest.raises(StopAsyncIteration):
        await anext(frames)
