"""Which of many tools are meant by a few words: BM25 over their names, descriptions and parameters."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from woollama.domain.tools import Function

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_NAME_COUNTS = 3
"""How much more a word in a name says than one in a description."""
_SATURATION, _LENGTH = 1.2, 0.75


def ranked(functions: Sequence[Function], query: str) -> list[Function]:
    """Those of `functions` that share a word with `query`, the best first; all of them for a query without words."""
    wanted = set(_words(query))
    if not wanted:
        return list(functions)
    texts = [Counter(_text_of(function)) for function in functions]
    lengths = [text.total() for text in texts]
    average = sum(lengths) / max(1, len(lengths))
    weights = {word: _rarity(sum(word in text for text in texts), len(texts)) for word in wanted}
    scores = [
        sum(
            weight
            * text[word]
            * (_SATURATION + 1)
            / (text[word] + _SATURATION * (1 - _LENGTH + _LENGTH * length / average))
            for word, weight in weights.items()
            if text[word]
        )
        for text, length in zip(texts, lengths, strict=True)
    ]
    order = sorted(range(len(functions)), key=lambda index: (-scores[index], index))
    return [functions[index] for index in order if scores[index] > 0]


def _rarity(having: int, of: int) -> float:
    return math.log(1 + (of - having + 0.5) / (having + 0.5))


def _text_of(function: Function) -> list[str]:
    properties = (function.parameters or {}).get("properties")
    parameters = " ".join(properties) if isinstance(properties, dict) else ""
    name = function.tool.qualified if function.tool else function.name
    return [*_words(name) * _NAME_COUNTS, *_words(function.description), *_words(parameters)]


def _words(text: str) -> list[str]:
    """Lower case and without the commonest endings, so that `files` finds `file`; `readFile` is two words."""
    return [_stem(word.lower()) for word in _WORD.findall(text)]


def _stem(word: str) -> str:
    for ending in ("ing", "es", "s", "e"):
        if len(word) > len(ending) + 2 and word.endswith(ending) and not word.endswith("ss"):
            return word[: -len(ending)]
    return word
