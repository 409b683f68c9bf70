"""SearchCompressor: what grep, ripgrep and find print: matches under their paths, and paths alone.

Lossless, a path is said once for the lines that follow it. Selective, the matches and paths that answer the question
come first, then an even sample; how many each file has and how many of them are shown is said for every file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from woollama.compression.block import Block, Crushed
from woollama.compression.kept_rows import gapped
from woollama.compression.notation import Writer
from woollama.compression.paths import common_beginnings, share_of_matches, share_of_paths
from woollama.compression.relevance import answers
from woollama.compression.selection import Reasons, choose
from woollama.compression.severity import errors_and_warnings

FEWEST_LINES = 6
ENOUGH = 0.8
MOST_FILES = 60
_DEFINITIONS = ("class ", "def ", "fn ", "func ", "function ", "interface ", "struct ", "type ")


class SearchCompressor:
    name = "search_compressor"

    def priority(self, block: Block) -> float:
        lines = block.text.rstrip("\n").split("\n")
        if len(lines) < FEWEST_LINES:
            return -1.0
        return 0.7 if max(share_of_matches(lines), share_of_paths(lines)) >= ENOUGH else -1.0

    def crush(self, block: Block) -> Crushed | None:
        lines = block.text.split("\n")
        matches = share_of_matches(lines) >= share_of_paths(lines)
        cut = common_beginnings(lines, matches=matches)
        if block.budget_tokens is None:
            writer = Writer(block.text)
            whole = frozenset(answers(block.scorer, block.query, lines))
            writer.paths(
                [("", line) if n in whole else each for n, (line, each) in enumerate(zip(lines, cut, strict=True))]
            )
            return Crushed(writer.finish())
        while lines and not lines[-1].strip():
            lines.pop()
            cut.pop()
        return _selected(block, lines, cut)


def _selected(block: Block, lines: Sequence[str], cut: Sequence[tuple[str, str]]) -> Crushed:
    assert block.budget_tokens is not None
    reasons = Reasons()
    errors, _ = errors_and_warnings([rest for _, rest in cut])
    # That a program handles errors is no error: many such lines are code, not news.
    if len(errors) <= max(2, len(lines) // 100):
        reasons.add("error", errors)
    found = answers(block.scorer, block.query, lines, most=40)
    defined = [number for number in found if any(word in lines[number] for word in _DEFINITIONS)]
    reasons.add("answer", [*defined, *found])
    for hint in block.hints:
        reasons.add("looked up", answers(block.scorer, hint, lines, most=4))
    chosen = choose(lines, reasons, block.budget_tokens, block.tokens_per_char)
    kept = frozenset(chosen.numbers)
    missing = Counter(beginning for number, (beginning, _) in enumerate(cut) if number not in kept)
    body = gapped(lines, chosen.numbers, block.gap) + "\n" + _summary(missing)
    return Crushed(body, len(lines) - len(kept), len(lines), "lines", chosen.counts)


def _summary(missing: Counter[str]) -> str:
    said = [f"{path.rstrip(':') or '(elsewhere)'} {count}" for path, count in missing.most_common(MOST_FILES)]
    rest = sum(missing.values()) - sum(count for _, count in missing.most_common(MOST_FILES))
    more = [f"{rest} in {len(missing) - MOST_FILES} more"] if rest else []
    return f"[left out: {'; '.join(said + more)}]"
