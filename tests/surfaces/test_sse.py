"""Outbound frames are whole, whatever is in them."""

from __future__ import annotations

import json

from woollama.domain.frames import data_of
from woollama.surfaces import sse


def test_a_data_frame_is_one_line_and_a_blank_one():
    frame = sse.data_frame({"text": "two\nlines \u2028 🦙", "half": "\ud83e"})
    assert frame.count(b"\n") == 2
    assert frame.endswith(b"\n\n")
    assert json.loads(data_of(frame) or b"") == {"text": "two\nlines \u2028 🦙", "half": "\ud83e"}


def test_an_event_frame_names_its_event():
    assert sse.event_frame("response.created", {"n": 1}) == b'event: response.created\ndata: {"n":1}\n\n'


def test_a_heartbeat_is_a_comment_and_done_is_no_json():
    assert data_of(sse.HEARTBEAT) is None
    assert data_of(sse.DONE) == b"[DONE]"
