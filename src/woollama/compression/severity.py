"""Words that say that something went wrong, in the languages that logs are written in.

One signal among several, and the only one that knows languages: what is rare, odd or out of range is found by counting.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

_ERRORS = (
    "error err! fail fatal panic exception traceback critical crash segfault segmentation core dumped denied refused"
    " timeout timed out cannot unable abort oom killed corrupt not found no such assert undefined unhandled exceeded"
    " unauthorized forbidden conflict broken unreachable emerg alert severe rejected rolled back backoff evicted"
    " deadlock overflow violation mismatch does not exist missing"
    " fehler fehlgeschlagen gescheitert kritisch schwerwiegend abgebrochen verweigert abgelehnt ausnahme abbruch"
    " erreur échec echec erreurs fatale refusé impossible introuvable"
    " fallo fallido excepción denegado falló errore errori fallito erro falha"
    " ошибка ошибки сбой отказ отказано исключение критическ"
    " 错误 失败 异常 致命 严重 拒绝 超时 无法 崩溃 エラー 失敗 例外 致命的 拒否 오류 실패 예외"
)
_PHRASES = ("core dumped", "timed out", "not found", "no such", "rolled back", "does not exist")
_WARNINGS = ("warn", "deprecat", "warnung", "avertissement", "advertencia", "предупрежд", "警告", "경고")
_INSIDE_WORDS = frozenset({"fehler", "ausnahme", "критическ", "deprecat", "warn", "предупрежд"})
"""Beginnings and parts of compounds: what follows or goes before does not matter."""
_AFTERWARDS = frozenset({"fail", "abort", "crash", "assert", "reject", "refus", "panic", "corrupt", "error", "timeout"})
_ENDINGS = re.compile(r"(?:s|ed|es|ure|ures|ing|ion|ions|ted|ic|ked|'s)?(?![a-z])")
_NONE_BEFORE = re.compile(r"(?:\b0|\bno|\bzero|\bwithout|\b0 \w{1,12}|keine?|sans|без)[ _-]?$")
_NONE_AFTER = re.compile(r'[a-z_]{0,8}"?\s{0,2}[=:]\s{0,2}"?(?:0(?![\d.])|null|none|false|nil|no\b|""|\[\])')


_NO_LETTERS = bytes(code if code > 127 or chr(code).isalpha() else ord(" ") for code in range(256))


def _words() -> tuple[str, ...]:
    text = _ERRORS
    for phrase in _PHRASES:
        text = text.replace(f" {phrase}", "")
    return (*text.split(), *_PHRASES)


def _in_letters(words: Iterable[str]) -> _Words:
    """Each word with the longest run of letters in it."""
    return tuple((word, max(word.encode().translate(_NO_LETTERS).split(), key=len)) for word in words)


_Words = Sequence[tuple[str, bytes]]
_ERRORS_IN = _in_letters(_words())
_WARNINGS_IN = _in_letters(_WARNINGS)


def errors_and_warnings(units: Sequence[str]) -> tuple[list[int], list[int]]:
    """The numbers of the units that tell of an error, and of those that only warn."""
    lowered = [_lower(unit) for unit in units]
    joined = "\x00".join(lowered)
    starts = list(accumulate((len(unit) + 1 for unit in lowered), initial=0))
    original = "\x00".join(units)
    there = _letters_of(joined)
    wrong = _units_with(_ERRORS_IN, there, joined, original, starts)
    warned = _units_with(_WARNINGS_IN, there, joined, original, starts) - wrong
    return sorted(wrong), sorted(warned)


def tells_of_error(text: str) -> bool:
    return bool(errors_and_warnings([text])[0])


def _letters_of(text: str) -> bytes:
    """Each run of letters in `text` once. Most words of the lists are in none of them: a text is not read for those."""
    return b" ".join(set(text.encode("utf-8", "surrogatepass").translate(_NO_LETTERS).split()))


def _units_with(words: _Words, there: bytes, joined: str, original: str, starts: Sequence[int]) -> set[int]:
    found: set[int] = set()
    for word, letters in words:
        at = joined.find(word) if letters in there else -1
        while at >= 0:
            number = bisect_right(starts, at) - 1
            if number not in found and _is_meant(joined, original, at, word):
                found.add(number)
            # The rest of a unit that is known to count need not be read.
            at = joined.find(word, starts[number + 1] if number in found else at + len(word))
    return found


def _is_meant(text: str, original: str, at: int, word: str) -> bool:
    """Whether the word stands there as a word, and is not said to be absent (`0 errors`, `error: null`)."""
    end = at + len(word)
    if word.isascii() or word in _INSIDE_WORDS:
        if word not in _INSIDE_WORDS:
            before = text[at - 1 : at]
            if before.isalpha() and not (original[at].isupper() and original[at - 1].islower()):
                return False
            if word in _AFTERWARDS:
                ending = _ENDINGS.match(text, end)
                if ending is None:
                    return False
                end = ending.end()
            elif text[end : end + 1].isalpha() and text[end : end + 2].rstrip("s").isalpha():
                return False
            if original[end : end + 1].isupper():
                return False
        if _NONE_AFTER.match(text, end):
            return False
    return _NONE_BEFORE.search(text[max(0, at - 16) : at].rpartition("\x00")[2]) is None


def _lower(text: str) -> str:
    """In lower case, of the same length: some letters become two."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else "".join(c if len(c.lower()) != 1 else c.lower() for c in text)
