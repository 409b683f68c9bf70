"""Texts for property tests: anything, and what tools print in kinds that crushers take hold of."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from bench.tool_output import Sample, samples

SEEDS = (1,)
SAMPLES: list[Sample] = [sample for seed in SEEDS for sample in samples(seed)]
IDS = [f"{sample.name}-{seed}" for seed in SEEDS for sample in samples(seed)]

_word = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=12)
_plain = st.sampled_from(
    ["ok", "ERROR", "warn", "alpha", "beta", "0", "17", "3.50", "-1", "x=1", "<a>", "⏎", '"', "|", "=A", "^2", "#9"]
)
_line = st.lists(st.one_of(_plain, _word), max_size=6).map(" ".join)
_scalar = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    _line,
    st.sampled_from(["", "a\nb", "\u0000", '"', "\\", "\t", "日本"]),
)
_value = st.recursive(
    _scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_plain, inner, max_size=3), max_leaves=6
)
_record = st.fixed_dictionaries({"id": st.integers(0, 9999), "name": _line, "v": _scalar}) | st.dictionaries(
    _plain, _value, max_size=4
)


@st.composite
def _lines(draw: st.DrawFn) -> str:
    few = draw(st.lists(_line, min_size=1, max_size=5))
    many = draw(st.lists(st.sampled_from(few), max_size=60))
    numbered = [f"{line} {number}" if draw(st.booleans()) else line for number, line in enumerate(many)]
    return draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n"])).join(numbered)


@st.composite
def _records(draw: st.DrawFn) -> str:
    rows = draw(st.lists(_record, max_size=8)) * draw(st.integers(1, 12))
    indent = draw(st.sampled_from([None, 1, 4]))
    text = json.dumps(rows, indent=indent, ensure_ascii=draw(st.booleans()))
    text = (
        draw(st.sampled_from(["", "Here:\n", '{"rows": ']))
        + text
        + draw(st.sampled_from(["", "\n", "}", "\n```\nDone."]))
    )
    return text[: draw(st.integers(0, len(text)))] if draw(st.booleans()) else text


@st.composite
def _laid_out(draw: st.DrawFn) -> str:
    value = draw(st.dictionaries(_plain, _value, min_size=1, max_size=6) | st.lists(_value, min_size=1, max_size=8))
    indent = draw(st.sampled_from([1, 2, 4, "\t"]))
    text = json.dumps(value, indent=indent, ensure_ascii=draw(st.booleans()))
    text = text.replace(
        draw(st.sampled_from(['": ', "}", "\n", '"'])), draw(st.sampled_from(['": ', "}", "\n", '"'])), 1
    )
    return text + draw(st.sampled_from(["", "\n", "\n\n", " x", text]))


@st.composite
def _by_line(draw: st.DrawFn) -> str:
    return "\n".join(json.dumps(row) for row in draw(st.lists(_record, max_size=20)) * draw(st.integers(1, 6)))


anything = st.one_of(
    st.text(max_size=400),
    st.text(st.sampled_from('[{",:1 \n}]a|=#^@<>«»'), max_size=300),
    _lines(),
    _records(),
    _by_line(),
    _laid_out(),
)
