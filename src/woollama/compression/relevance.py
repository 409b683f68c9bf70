"""How well texts answer a question. Every crusher asks a scorer; which one is the caller's choice."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Protocol

Embed = Callable[[Sequence[str]], Sequence[Sequence[float]]]

BEST = 12
GOOD_SHARE = 0.6
LONGEST_QUESTION = 4000
"""Of a longer one its beginning and its end are looked for: people ask before or behind what they bring along."""
COMMON_SHARE = 0.2
"""A word that more than this share of the texts has does not tell them apart."""
_WORD = re.compile(r"[\w$][\w.$/:@-]*[\w$]|\w")
_PART = re.compile(r"[^\W_]+")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{2,}")
_STOP_TEXT = """
a about all am an and any anything are as at be been but by can could did do does for from get give had has have how i
if in into is it its list me my not of on one or our out please say should show so some tell that the their them then
there these they this to us was we were what when where which who why will with would you your
der die das ein eine ist sind war und oder nicht was wer wo wann warum wie welche welcher welches mit von zu im in den
dem des auf es gibt le la les un une des est et ou que qui quoi dans pour el los las una es y o en por
"""
_STOP = frozenset(_STOP_TEXT.split())


class Scorer(Protocol):
    """`score` gives each text a number, 0 for one that does not answer at all. Only their order and ratio count."""

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]: ...


class Bm25Scorer:
    """Words of the question, weighted by how few of the texts have them. Stop words and words of nearly all are
    nothing."""

    def __repr__(self) -> str:
        return "<Bm25Scorer>"

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        scores = [0.0] * len(texts)
        terms = terms_of(query)
        if not terms or not texts:
            return scores
        lowered = [text.lower() for text in texts]
        joined = "\x00".join(lowered)
        for term in terms:
            if term not in joined:
                continue
            hits = [index for index, text in enumerate(lowered) if term in text]
            if len(hits) > max(3, COMMON_SHARE * len(texts)):
                continue
            weight = math.log(1 + len(texts) / len(hits)) * (1.0 + 0.25 * any(char.isdigit() for char in term))
            for index in hits:
                whole = _is_word(lowered[index], term)
                scores[index] += weight * (1.0 if whole else 0.5)
        return scores


class EmbeddingScorer:
    """Closeness of meaning. `embed` makes vectors of texts; without one, `fastembed` is used where it is installed."""

    def __init__(self, embed: Embed | None = None, *, least: float = 0.35) -> None:
        self._embed = embed or _fastembed()
        self._least = least

    def __repr__(self) -> str:
        return "<EmbeddingScorer>"

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        if not query.strip() or not texts:
            return [0.0] * len(texts)
        asked, *vectors = self._embed([query, *texts])
        return [max(0.0, close - self._least) for close in (_cosine(asked, vector) for vector in vectors)]


class HybridScorer:
    """Words and meaning together, each relative to its best."""

    def __init__(self, embedding: Scorer, words: Scorer | None = None, *, weight_of_words: float = 0.6) -> None:
        self._embedding = embedding
        self._words = words or Bm25Scorer()
        self._weight = weight_of_words

    def __repr__(self) -> str:
        return f"<HybridScorer {self._words!r} and {self._embedding!r}>"

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        by_words = _relative(self._words.score(query, texts))
        by_meaning = _relative(self._embedding.score(query, texts))
        return [self._weight * a + (1 - self._weight) * b for a, b in zip(by_words, by_meaning, strict=True)]


def answers(scorer: Scorer, query: str, texts: Sequence[str], *, most: int = BEST) -> list[int]:
    """The numbers of the texts that answer best, the best first. Raises `ValueError` if the scorer miscounts."""
    if not query.strip():
        return []
    scores = list(scorer.score(query, texts))
    if len(scores) != len(texts):
        raise ValueError(f"{scorer!r} gave {len(scores)} scores for {len(texts)} texts")
    best = max(scores, default=0.0)
    if best <= 0:
        return []
    good = [index for index, score in enumerate(scores) if score >= GOOD_SHARE * best]
    return sorted(good, key=lambda index: (-scores[index], index))[:most]


def terms_of(query: str) -> list[str]:
    """The words of a question that can be looked for, each once: compound ones also in their parts."""
    if len(query) > LONGEST_QUESTION:
        query = f"{query[: LONGEST_QUESTION // 2]} {query[-LONGEST_QUESTION // 2 :]}"
    terms: dict[str, None] = {}
    for word in _WORD.findall(query.lower()):
        if word in _STOP:
            continue
        if len(word) > 1 or word.isdigit():
            terms[word] = None
        for part in _PART.findall(word):
            if len(part) > 2 and part not in _STOP:
                terms[_stem(part)] = None
        for run in _CJK.findall(word):
            terms.update((run[index : index + 2], None) for index in range(len(run) - 1))
    return list(terms)


def _stem(word: str) -> str:
    """Without the endings that a question adds: `fails`, `failed` and `failing` look for `fail`."""
    for ending in ("ing", "ed", "es", "s"):
        if word.isalpha() and word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def _is_word(text: str, term: str) -> bool:
    at = text.find(term)
    while at >= 0:
        end = at + len(term)
        before, after = text[at - 1 : at], text[end : end + 1]
        if not (before.isalnum() and term[0].isalnum()) and not (after.isalnum() and term[-1].isalnum()):
            return True
        at = text.find(term, end)
    return False


def _relative(scores: Sequence[float]) -> Sequence[float]:
    best = max(scores, default=0.0)
    return [score / best for score in scores] if best > 0 else scores


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    size = math.sqrt(math.fsum(x * x for x in a)) * math.sqrt(math.fsum(y * y for y in b))
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / size if size else 0.0


def _fastembed() -> Embed:
    try:
        from fastembed import TextEmbedding  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise ValueError(
            "scoring by meaning needs `pip install fastembed`, or an `embed` function of your own"
        ) from None
    model = TextEmbedding()
    return lambda texts: [list(map(float, vector)) for vector in model.embed(list(texts))]
