"""TextCompressor: prose, pages and anything else that is no data. It only leaves out; it never rewords or merges.

Units are sentences, whole lines where lines are short, and pieces of lines that are very long. Headings stay, and so
does what answers the question, what tells of an error, and the first sentence of each paragraph while there is room.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from woollama.compression.block import Block, Crushed
from woollama.compression.relevance import answers
from woollama.compression.selection import Chosen, Reasons, choose, cost_of
from woollama.compression.severity import errors_and_warnings

PROSE_SHARE = {"auto": 0.4, "aggressive": 0.15}
"""Prose says little twice: more of it stays."""
LONGEST_UNIT = 600
LONGEST_RULE = 300
FEWEST_UNITS = 6
BLOB_TOKENS = 400.0
"""What stays of one long word, such as base64: nobody reads on."""
_SENTENCE = re.compile(r"(?<=[.!?。！？])[\s]+(?=\S)|(?<=[。！？])|\n+")
_HEADING = re.compile(r"\s{0,3}(?:#{1,6}\s|={3,}|-{3,}|<h[1-6]\b|\d{1,2}(?:\.\d{1,2}){0,3}\.?\s+[A-Z][^.]{0,80}$)")
_WORDS = re.compile(r"(?:[^\W\d_]{1,30}[,;]? ){4}")
_INSTRUCTIONS = ("must", "never", "always", "do not", "don't", "shall", "should not")
_INSTRUCTION = re.compile(rf"\b(?:{'|'.join(_INSTRUCTIONS)})\b", re.IGNORECASE)


class TextCompressor:
    name = "text_compressor"

    def priority(self, block: Block) -> float:
        if block.text[:200].lstrip()[:9].lower() in ("<!doctype", "<html lan", "<html>\n<h"):
            return 0.7
        lines = [line for line in block.text[:40_000].split("\n") if line.strip()]
        prose = sum(_is_prose(line) for line in lines)
        return 0.55 if lines and prose >= 0.5 * len(lines) else 0.1

    def crush(self, block: Block) -> Crushed | None:
        if block.budget_tokens is None or are_instructions(block.text):
            return None
        units = list(units_of(block.text))
        if len(units) < FEWEST_UNITS:
            return None
        budget = max(block.budget_tokens, PROSE_SHARE.get(block.level, 0.0) * block.tokens)
        if max(map(len, block.text.split())) > len(block.text) // 2:
            budget = min(budget, BLOB_TOKENS)
        chosen = _choose(units, block, budget)
        return Crushed(
            _joined(units, chosen, block.gap), len(units) - len(chosen.numbers), len(units), "passages", chosen.counts
        )


def _is_prose(line: str) -> bool:
    """Some words in a row, and a full stop at the end."""
    return len(line) > 60 and line.rstrip("\"')]} ")[-1:] in ".!?。！？" and _WORDS.search(line[:400]) is not None


def are_instructions(text: str) -> bool:
    """Whether a text tells its reader what to do: half of it would tell him something else."""
    text = text[:20000]
    lines = [line for line in text.split("\n") if line.strip()]
    lowered = text.lower()
    if sum(map(lowered.count, _INSTRUCTIONS)) < 0.25 * len(lines):
        return False
    told = sum(len(line) <= LONGEST_RULE and _INSTRUCTION.search(line) is not None for line in lines)
    return len(lines) >= 5 and told >= 0.25 * len(lines)


def shortened(text: str, block: Block, *, budget_tokens: float) -> tuple[str, int, int]:
    """The part of `text` that matters for a block that it stands in, and how many of how many passages were left
    out."""
    units = list(units_of(text))
    chosen = _choose(units, block, budget_tokens)
    return _joined(units, chosen, block.gap), len(units) - len(chosen.numbers), len(units)


def units_of(text: str) -> Iterator[str]:
    """Sentences with what stands between them at their ends: joined they are the text again."""
    start = 0
    for found in _SENTENCE.finditer(text):
        if found.end() > start:
            yield from _pieces(text[start : found.end()])
            start = found.end()
    if start < len(text):
        yield from _pieces(text[start:])


def _pieces(unit: str) -> Iterator[str]:
    """A unit that is very long in pieces, cut at white space where there is some."""
    while len(unit) > LONGEST_UNIT:
        cut = unit.rfind(" ", LONGEST_UNIT // 2, LONGEST_UNIT) + 1 or LONGEST_UNIT
        yield unit[:cut]
        unit = unit[cut:]
    if unit:
        yield unit


def _choose(units: Sequence[str], block: Block, budget: float) -> Chosen:
    reasons = Reasons()
    errors, warnings = errors_and_warnings(units)
    if len(errors) <= max(3, len(units) // 10):
        reasons.add("error", errors)
    reasons.add("answer", answers(block.scorer, block.query, units, most=24))
    reasons.add("rare", _headings(units, budget, block.tokens_per_char))
    reasons.add("warning", warnings[: max(3, len(units) // 10)])
    for hint in block.hints:
        reasons.add("looked up", answers(block.scorer, hint, units, most=4))
    reasons.add("edge", _openings(units, budget, block.tokens_per_char))
    return choose(units, reasons, budget, block.tokens_per_char)


def _headings(units: Sequence[str], budget: float, rate: float) -> list[int]:
    """Headings, while they are a small part of what may be kept."""
    found = [number for number, unit in enumerate(units) if _HEADING.match(unit)]
    return found if sum(cost_of(units[number], rate) for number in found) <= budget / 3 else []


def _openings(units: Sequence[str], budget: float, rate: float) -> list[int]:
    """The first sentence of each paragraph, if there is room for them all."""
    found = [number for number, unit in enumerate(units) if number == 0 or units[number - 1].endswith("\n\n")]
    return found if sum(cost_of(units[number], rate) + 3 for number in found) <= budget else []


def _joined(units: Sequence[str], chosen: Chosen, gap: str) -> str:
    out: list[str] = []
    following = 0
    for number in chosen.numbers:
        if number > following:
            out.append(_gap(f"{gap}{number - following}", out))
        out.append(units[number])
        following = number + 1
    if following < len(units):
        out.append(_gap(f"{gap}{len(units) - following}", out))
    return "".join(out).rstrip("\n")


def _gap(said: str, before: Sequence[str]) -> str:
    starts_line = not before or before[-1].endswith("\n")
    return f"{'' if starts_line else chr(10)}{said}\n"
