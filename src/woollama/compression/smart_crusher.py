"""SmartCrusher: arrays of records, JSONL and tables.

Lossless, records become rows of templates, and JSON that is no records loses its indent. Selective, the records that
matter stay as they are and the others become gaps with a summary of their values: what tells of an error, what answers
the question, outliers and level changes, rare shapes and values, then what earlier conversations looked up, both ends,
and an even sample.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from woollama.compression.block import Block, Crushed
from woollama.compression.columns import columns_of, odd_ones, summary_of
from woollama.compression.json_layout import folded, indent_of
from woollama.compression.kept_rows import gapped
from woollama.compression.notation import Writer
from woollama.compression.passages import Passages, passages_of
from woollama.compression.records import Records, record_families
from woollama.compression.relevance import answers
from woollama.compression.selection import Chosen, Reasons, choose
from woollama.compression.severity import errors_and_warnings
from woollama.compression.tables import Table, table_in
from woollama.compression.text_compressor import shortened

MOST_ODD_SHARE = 0.02
LONG_TEXT_CHARS = 4000
_BREAKS_BETWEEN = re.compile(r"\n\s*")
_NUMBER = re.compile(r"\d+")


class SmartCrusher:
    name = "smart_crusher"

    def priority(self, block: Block) -> float:
        share = block.once("passages", passages_of).share
        if share >= 0.5:
            return 0.9
        if block.once("table", _table_of) is not None:
            return 0.8
        return 0.6 if share >= 0.2 or indent_of(block.text) else -1.0

    def crush(self, block: Block) -> Crushed | None:
        passages = block.once("passages", passages_of)
        if block.budget_tokens is None:
            made = [each for each in (_lossless(block, passages), _folded(block)) if each is not None]
            return min(made, key=lambda each: block.count(each.body)) if len(made) > 1 else next(iter(made), None)
        if passages.share >= 0.2:
            return _selected(block, passages)
        table = block.once("table", _table_of)
        return _of_table(block, table) if table is not None else None


def _table_of(text: str) -> Table | None:
    return table_in(text.strip("\n").split("\n"))


def _numbers_alone(passages: Passages) -> bool:
    """Whether there is nothing but numbers, which no template makes shorter."""
    return all(type(value) in (int, float) for array in passages.arrays for value in array.values)


def _lossless(block: Block, passages: Passages) -> Crushed | None:
    if passages.share < 0.2 or _numbers_alone(passages):
        return None
    writer = Writer(block.text)
    for text, array in zip(passages.texts, passages.arrays, strict=False):
        writer.text(text)
        apart = frozenset(_standing_apart(array, block))
        writer.rows(array.raw, record_families(array.raw, apart), array.joined_by, anchors=True)
    writer.text(passages.texts[-1])
    return Crushed(writer.finish())


def _folded(block: Block) -> Crushed | None:
    """What is no array of records, without its indent."""
    text = block.text.rstrip()
    if not (indent := indent_of(text)) or (lines := folded(text)) is None:
        return None
    writer = Writer(block.text)
    writer.json(lines, indent)
    writer.text(block.text[len(text) :])
    return Crushed(writer.finish())


def _standing_apart(array: Records, block: Block) -> Sequence[int]:
    """The few records that a reader looks for: they stay as they are among the rows."""
    errors, _ = errors_and_warnings(array.raw)
    few = max(3, int(MOST_ODD_SHARE * len(array.raw)))
    outliers, changes, rare = odd_ones(array.values, columns_of(array.values))
    found = answers(block.scorer, block.query, array.raw, most=few)
    return [number for group in (errors, outliers, changes, rare) if len(group) <= few for number in group] + found


def _selected(block: Block, passages: Passages) -> Crushed:
    assert block.budget_tokens is not None
    whole = sum(array.end - array.start for array in passages.arrays)
    body: list[str] = []
    left_out = total = 0
    units = "rows"
    kept: Counter[str] = Counter()
    unkept_errors = 0

    def add_text(text: str) -> None:
        nonlocal left_out, total, units
        if len(text) > LONG_TEXT_CHARS:
            text, less, of = shortened(text, block, budget_tokens=max(200.0, len(text) / 16))
            left_out, total, units = left_out + less, total + of, "rows and passages"
        if text.strip():
            body.append(text.strip("\n"))

    for text, array in zip(passages.texts, passages.arrays, strict=False):
        add_text(text)
        budget = block.budget_tokens * (array.end - array.start) / whole
        rows, chosen, summary = _rows(array, block, budget)
        body += [rows, summary] if summary else [rows]
        left_out += len(array.raw) - len(chosen.numbers)
        total += len(array.raw)
        kept.update(chosen.counts)
        unkept_errors += chosen.unkept.get("error", 0)
    add_text(passages.texts[-1])
    return Crushed("\n".join(body), left_out, total, units, kept, unkept_errors=unkept_errors)


def _rows(array: Records, block: Block, budget: float) -> tuple[str, Chosen, str]:
    raw = array.raw
    if any("\n" in record for record in raw[:8]):
        raw = [_BREAKS_BETWEEN.sub("", record) for record in raw]
    columns = columns_of(array.values)
    chosen = _choose(raw, array.values, columns, block, budget)
    summary = summary_of(columns, chosen.numbers)
    return gapped(raw, chosen.numbers, block.gap), chosen, f"[left out: {summary}]" if summary else ""


def _of_table(block: Block, table: Table) -> Crushed:
    assert block.budget_tokens is not None
    columns = columns_of(table.values)
    chosen = _choose(table.rows, table.values, columns, block, block.budget_tokens)
    summary = summary_of(columns, chosen.numbers)
    body = [
        table.heading,
        gapped(table.rows, chosen.numbers, block.gap),
        *([f"[left out: {summary}]"] if summary else []),
    ]
    return Crushed(
        "\n".join(body),
        len(table.rows) - len(chosen.numbers),
        len(table.rows),
        "rows",
        chosen.counts,
        unkept_errors=chosen.unkept.get("error", 0),
    )


def _choose(
    raw: Sequence[str], values: Sequence[Any], columns: Mapping[str, Any], block: Block, budget: float
) -> Chosen:
    reasons = Reasons()
    errors, warnings = errors_and_warnings(raw)
    outliers, changes, rare = odd_ones(values, dict(columns))
    reasons.add("error", errors)
    reasons.add("answer", answers(block.scorer, block.query, raw))
    reasons.add("outlier", outliers)
    reasons.add("level change", changes)
    reasons.add("rare", rare)
    reasons.add("warning", warnings)
    for hint in block.hints:
        reasons.add("looked up", answers(block.scorer, hint, raw, most=4))
    return choose(raw, reasons, budget, block.tokens_per_char, shape=_shape)


def _shape(record: str) -> str:
    return _NUMBER.sub("0", record)[:400]
