"""Forms of lines: which lines look alike when words and numbers are blotted out, and what the lines of a form say."""

from __future__ import annotations

import re
import string
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

FEWEST_ALIKE = 4
MOST_SHOWN = 8
FEW_VALUES = 4
SHOWN_CHARS = 40
BATCH_LINES = 100
_WORD = re.compile(r"\w+")
_SPACE = re.compile(r"\s+")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_SIGNS = string.punctuation


def forms_of(lines: Sequence[str]) -> list[list[int]]:
    """The numbers of the lines of each form, the most frequent form first."""
    forms: defaultdict[str, list[int]] = defaultdict(list)
    for number, form in enumerate(blotted(lines, _WORD, "w")):
        forms[_SPACE.sub(" ", form)].append(number)
    return sorted(forms.values(), key=lambda numbers: (-len(numbers), numbers[0]))


def blotted(lines: Sequence[str], what: re.Pattern[str], by: str) -> Iterator[str]:
    """Each line with every match of `what` replaced. In batches: one call for each line is slow, and one for all of
    them would hold the interpreter from every other thread for as long as it takes."""
    for start in range(0, len(lines), BATCH_LINES):
        batch = lines[start : start + BATCH_LINES]
        done = what.sub(by, "\n".join(batch)).split("\n")
        # Where lines end in two characters, one of them may hold the second alone.
        yield from done if len(done) == len(batch) else (what.sub(by, line) for line in batch)


def summary_of(lines: Sequence[str], forms: Sequence[Sequence[int]], *, most_chars: int = 1500) -> str:
    """The most frequent forms with their counts, each as a line in which what varies is in braces; the rest as a
    number."""
    said: list[str] = []
    size = told = 0
    for numbers in forms[: 2 * MOST_SHOWN]:
        if len(numbers) < FEWEST_ALIKE or len(said) == MOST_SHOWN:
            continue
        text = f"{len(numbers)} × {_form([lines[number] for number in numbers])}"
        if size + len(text) > most_chars:
            break
        said.append(text)
        size += len(text)
        told += len(numbers)
    rest = sum(map(len, forms)) - told
    if rest and said:
        said.append(f"{rest} others")
    return "\n".join(said)


def _form(lines: Sequence[str]) -> str:
    rows = [line.split() for line in lines]
    if not any(rows):
        return "empty lines"
    width = Counter(map(len, rows)).most_common(1)[0][0]
    rows = [row for row in rows if len(row) == width]
    words = [_values(column) for column in zip(*rows, strict=True)]
    text = " ".join(words)
    return text if len(text) <= 400 else text[:400] + "…"


def _common(first: str, last: str) -> str:
    """What two texts begin with."""
    same = 0
    for a, b in zip(first, last, strict=False):
        if a != b:
            break
        same += 1
    return first[:same]


def _to_sign(text: str) -> str:
    """Up to its last sign: a word is not cut in its middle."""
    return text[: max(text.rfind(sign) for sign in _SIGNS) + 1]


def _values(column: Sequence[str]) -> str:
    """The word itself, or in braces its range, its values, or how many there are; signs that all share stay outside."""
    words = sorted(set(column))
    if len(words) == 1:
        return column[0]
    first = _to_sign(_common(words[0], words[-1]))
    turned = sorted(word[len(first) :][::-1] for word in words)
    last = _to_sign(_common(turned[0], turned[-1]))[::-1]
    inner = [word[len(first) : len(word) - len(last)] for word in words]
    if len(words) <= FEW_VALUES and sum(map(len, words)) <= SHOWN_CHARS:
        counts = Counter(column).most_common()
        said = ", ".join(f"{word[len(first) : len(word) - len(last)]} {count}" for word, count in counts)
    elif all(_NUMBER.fullmatch(word) for word in inner):
        said = f"{min(inner, key=float)} to {max(inner, key=float)}"
    elif all(_NUMBER.match(word) for word in inner) and max(map(len, inner)) <= 16:
        said = f"{min(inner)} to {max(inner)}"
    else:
        said = f"{len(words)} different"
    return f"{first}{{{said}}}{last}"
