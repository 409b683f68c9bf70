"""The one text of a custom tool, told while its JSON is still coming."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from woollama.domain.events import CallOpened
from woollama.surfaces.openai_responses.calls import CustomItem
from woollama.surfaces.openai_responses.custom import OneText
from woollama.surfaces.openai_responses.tools import ClientTool


@st.composite
def split(draw: st.DrawFn, ascii_only: bool) -> tuple[str, list[str]]:
    """A text, and the JSON that holds it cut anywhere."""
    text = draw(st.text(max_size=30))
    raw = json.dumps({"input": text}, ensure_ascii=ascii_only)
    cuts = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    return text, [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]


@settings(deadline=None)
@given(st.booleans().flatmap(split))
def test_a_text_cut_anywhere_is_told_whole_and_in_order(given_: tuple[str, list[str]]) -> None:
    text, pieces = given_
    one = OneText()

    assert "".join(map(one.feed, pieces)) == text


def test_each_piece_is_told_as_soon_as_it_is_certain() -> None:
    one = OneText()

    told = [one.feed(piece) for piece in ['{ "in', 'put" : "a', "b\\", "nc\\u00", "e9\\ud83d", "\\ude00d", '" }', "e"]]
    assert told == ["", "a", "b", "\nc", "é", "😀d", "", ""]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input": "x"}', "x"),
        ('{"input": "line\nbreak"}', "line\nbreak"),
        ('{"input": "cut sho', "cut sho"),
        ('{"note": "first", "input": "late"}', "late"),
        ('{"input": "half \\ud83d"}', "half \ud83d"),
        ('{"input": "bad \\x and more"}', "bad \\x and more"),
        ('{"input": "two \\\\x"}', "two \\x"),
        ('{"input": "bad \\u12 and more"}', "bad \\u12 and more"),
        ("just text", "just text"),
        ('{"input": 7}', '{"input": 7}'),
        ("", ""),
    ],
)
@pytest.mark.parametrize("in_pieces", [True, False])
def test_what_a_model_writes_is_the_input_however_it_comes(arguments: str, text: str, in_pieces: bool) -> None:
    item = CustomItem("ctc_1", 0, CallOpened(0, "call_1", "patch"), ClientTool("patch", custom=True))
    wires = [wire for letter in arguments if in_pieces for wire in item.argue(letter)]
    wires += [*item.end_arguments(arguments), *item.close()]

    assert "".join(wire["delta"] for wire in wires if wire["type"].endswith(".delta")) == text
    assert wires[-2]["type"] == "response.custom_tool_call_input.done"
    assert wires[-2]["input"] == wires[-1]["item"]["input"] == text
