"""The sentences of a conversation that must not be lost, where no model can be asked to sum it up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n")
_WORD = re.compile(r"[^\W\d_]{3,}")
_NUMBER = re.compile(r"\d")
_NAME = re.compile(r"(?<=[\w,;:] )[A-Z][\w-]+|\b[A-Z]{2,}\b|[\w.+-]+@[\w.-]+|https?://|[/\\]\w+[/\\]")
_TELLING = re.compile(
    r"\b(my|our|name|called|remember|always|never|must|only|decided|agreed|prefer|password|code|key|deadline|because|"
    r"is|are|was|were|will)\b",
    re.IGNORECASE,
)


def extract(texts: Sequence[str], chars: int) -> list[str]:
    """The most telling sentences of `texts` that fit into `chars`, in their order; those said twice count once."""
    sentences = list(dict.fromkeys(each for text in texts for each in sentences_of(text)))
    ranked = sorted(range(len(sentences)), key=lambda number: -_weight(sentences[number]))
    chosen: list[int] = []
    for number in ranked:
        if len(sentences[number]) + 1 <= chars:
            chosen.append(number)
            chars -= len(sentences[number]) + 1
    return [sentences[number] for number in sorted(chosen)]


def sentences_of(text: str) -> Iterable[str]:
    """Every word is in one of them: a point inside a number or a name ends nothing."""
    return filter(None, (" ".join(each.split()) for each in _SENTENCE_END.split(text)))


def speaks_of(summary: str, texts: Sequence[str], least: float = 0.5) -> bool:
    """Whether most of a summary's words come from what it claims to sum up."""
    known = {word.lower() for text in texts for word in _WORD.findall(text)}
    words = [word.lower() for word in _WORD.findall(summary)]
    return bool(words) and sum(word in known for word in words) >= least * len(words)


def _weight(sentence: str) -> float:
    """Numbers, names and statements, for their length: a short fact is worth more than a long remark."""
    telling = 3 * len(_NUMBER.findall(sentence)[:3]) + 3 * len(_NAME.findall(sentence)[:3])
    telling += 2 * len(_TELLING.findall(sentence)[:4])
    return telling / (20 + len(sentence))
