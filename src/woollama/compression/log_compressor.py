"""LogCompressor: logs, build and test output, listings: anything that comes line by line.

Lossless, lines become rows of templates. Selective, the lines that matter stay as they are: errors with what belongs to
them (frames of a trace, what a test said), lines that answer the question, lines of a rare form or with a rare word in
a place where few words are usual, numbers out of range; then warnings, both ends and an even sample. What was left out
is said by its forms, with counts, ranges and the values that occur.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from woollama.compression.block import Block, Crushed
from woollama.compression.columns import numeric
from woollama.compression.kept_rows import gapped
from woollama.compression.line_forms import FEWEST_ALIKE, blotted, forms_of, summary_of
from woollama.compression.lines import line_families
from woollama.compression.notation import Writer
from woollama.compression.outliers import standing_out
from woollama.compression.relevance import answers
from woollama.compression.selection import Reasons, choose
from woollama.compression.severity import errors_and_warnings

FEWEST_LINES = 6
LONGEST_USUAL_LINE = 400
MANY_ERRORS = 60
AROUND = 2
BLOCK_LINES = 25
MANY_APART = 8
"""Up to one line in so many stays as it is for telling of an error."""
FIELDS = 7
_FRAME = re.compile(r"\s+\S|\S{0,3}\s*(?:at |File |Traceback|Caused by|E  |>  |\||\^|\.\.\. )|_{3,}|={3,}")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\w)")
_DIGITS = re.compile(r"\d+")


class LogCompressor:
    name = "log_compressor"

    def priority(self, block: Block) -> float:
        lines = block.text.count("\n") + 1
        if lines < FEWEST_LINES or len(block.text) > LONGEST_USUAL_LINE * lines:
            return -1.0
        return 0.5

    def crush(self, block: Block) -> Crushed | None:
        joined_by = "\r\n" if 2 * block.text.count("\r\n") > block.text.count("\n") else "\n"
        lines = block.text.split(joined_by)
        if block.budget_tokens is None:
            return _lossless(block, lines, joined_by)
        while lines and not lines[-1].strip():
            lines.pop()
        forms = forms_of(lines)
        reasons = _reasons(lines, forms, block)
        chosen = choose(lines, reasons, block.budget_tokens, block.tokens_per_char, shape=_shape)
        kept = frozenset(chosen.numbers)
        summary = summary_of(lines, [[number for number in form if number not in kept] for form in forms])
        body = gapped(lines, chosen.numbers, block.gap) + (f"\n[left out: {summary}]" if summary else "")
        return Crushed(
            body,
            len(lines) - len(kept),
            len(lines),
            "lines",
            chosen.counts,
            unkept_errors=chosen.unkept.get("error", 0),
        )


def _lossless(block: Block, lines: Sequence[str], joined_by: str) -> Crushed:
    writer = Writer(block.text)
    few = max(3, len(lines) // MANY_APART)
    errors, _ = errors_and_warnings(lines)
    apart = [*(errors if len(errors) <= few else ()), *answers(block.scorer, block.query, lines, most=few)]
    writer.rows(lines, line_families(lines, frozenset(apart)), joined_by, anchors=False)
    return Crushed(writer.finish())


def _reasons(lines: Sequence[str], forms: Sequence[Sequence[int]], block: Block) -> Reasons:
    errors, warnings = errors_and_warnings(lines)
    reasons = Reasons()
    reasons.add("error", errors)
    reasons.add("answer", answers(block.scorer, block.query, lines))
    reasons.add("outlier", _far_numbers(lines, forms))
    reasons.add("rare", _rare(lines, forms))
    reasons.add("context", _around(lines, errors))
    reasons.add("warning", warnings)
    for hint in block.hints:
        reasons.add("looked up", answers(block.scorer, hint, lines, most=4))
    return reasons


def _around(lines: Sequence[str], errors: Sequence[int]) -> Iterator[int]:
    """What belongs to an error: the frames and marked lines next to it; and of few errors their neighbours, too."""
    neighbours = AROUND if len(errors) <= MANY_ERRORS else 0
    for number in errors:
        for step in (-1, 1):
            for distance in range(1, BLOCK_LINES):
                place = number + step * distance
                if not 0 <= place < len(lines):
                    break
                if _FRAME.match(lines[place]) is None and distance > neighbours:
                    break
                yield place


def _rare(lines: Sequence[str], forms: Sequence[Sequence[int]]) -> list[int]:
    few = max(2, len(lines) // 20)
    odd = sorted(number for form in forms if len(form) <= max(1, len(lines) // 500) for number in form)
    odd = [number for number in odd if lines[number].strip()]
    rare = odd if len(odd) <= few else []
    for values in _usual_words(lines):
        total = sum(map(len, values.values()))
        seldom = [number for numbers in values.values() if len(numbers) <= max(1, total // 100) for number in numbers]
        rare += seldom if len(seldom) <= max(2, total // 50) else []
    return rare


def _usual_words(lines: Sequence[str]) -> Iterator[dict[str, list[int]]]:
    """For each of the first places in a line, if few words are usual there, the lines with each of them."""
    if len(lines) < 5 * FEWEST_ALIKE:
        return
    places: list[defaultdict[str, list[int]]] = [defaultdict(list) for _ in range(FIELDS)]
    for number, line in enumerate(blotted(lines, _DIGITS, "0")):
        for values, word in zip(places, line.split(None, FIELDS), strict=False):
            if len(values) <= 40:
                values[word].append(number)
    for values in places:
        if 1 < len(values) <= 40 and max(map(len, values.values())) > len(lines) // 10:
            usual = sum(len(numbers) for numbers in values.values() if len(numbers) > len(lines) // 50)
            if usual > 0.9 * sum(map(len, values.values())):
                yield values


def _far_numbers(lines: Sequence[str], forms: Sequence[Sequence[int]]) -> list[int]:
    """Lines whose numbers are far from those of the lines of their form."""
    far: list[int] = []
    for form in forms:
        if len(form) < 3 * FEWEST_ALIKE:
            continue
        rows = [_NUMBER.findall(lines[number]) for number in form]
        usual = Counter(map(len, rows)).most_common(1)[0][0]
        for place in range(min(usual, 8)):
            values = numeric({index: row[place] for index, row in enumerate(rows) if len(row) == usual})
            indices = list(values)
            outliers, _ = standing_out(list(values.values()))
            far += [form[indices[index]] for index in outliers]
    return far if len(far) <= max(8, len(lines) // 50) else []


def _shape(line: str) -> str:
    return _DIGITS.sub("0", line)[:200]
