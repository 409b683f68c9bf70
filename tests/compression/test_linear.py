"""Work grows as its input does: counted in calls, which are the same on every machine, and never in seconds."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from woollama.compression import ContentRouter, SqlOriginals
from woollama.compression.block import Level

SMALL, TIMES = 300, 4


def calls_of(work: Callable[[], object]) -> int:
    """How many functions are called, those of the interpreter included."""
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def records(count: int) -> str:
    r = random.Random(3)
    rows = [{"id": i, "name": f"u{r.randrange(10**6)}", "zone": r.choice("ab"), "ms": r.random()} for i in range(count)]
    return json.dumps(rows)


def log(count: int) -> str:
    r = random.Random(4)
    lines = [
        f"10:{i // 60 % 60:02}:{i % 60:02} INFO stored object {r.randrange(10**6)} in {i % 41} ms" for i in range(count)
    ]
    lines[count // 2 :: 50] = [
        f"10:00:00 ERROR shelf {number} is full" for number in range(len(lines[count // 2 :: 50]))
    ]
    return "\n".join(lines)


def table(count: int) -> str:
    return "id,name,score\n" + "\n".join(f"{i},name{i * 7919 % 9973},{i % 17}" for i in range(count))


def matches(count: int) -> str:
    return "\n".join(f"src/part{i // 9}/file.py:{i}:    step_{i * 31 % 977}(self)" for i in range(count))


def changes(count: int) -> str:
    hunks = [f"@@ -{9 * i},7 +{9 * i},7 @@\n a\n b\n c\n-old {i}\n+new {i}\n d\n e\n f" for i in range(count // 4)]
    return "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n" + "\n".join(hunks) + "\n"


def prose(count: int) -> str:
    r = random.Random(5)
    words = ["the", "gate", "and", "sluice", "were", "opened", "late", "because", "nobody", "keeps", "its", "key"]
    return "\n\n".join(" ".join(r.choices(words, k=18)).capitalize() + "." for _ in range(count))


def brackets(count: int) -> str:
    return "[" * 20 * count


def quotes(count: int) -> str:
    return '["' * 10 * count + "\\"


@pytest.mark.parametrize("level", ["lossless", "auto", "aggressive"])
@pytest.mark.parametrize("make", [records, log, table, matches, changes, prose, brackets, quotes])
def test_four_times_as_much_is_four_times_the_work(make: Callable[[int], str], level: Level) -> None:
    router = ContentRouter(originals=SqlOriginals())

    def work(text: str) -> int:
        return calls_of(lambda: router.compress(text, query="which shelf is full?", level=level))

    work(make(SMALL))  # what is done once is done
    small, large = work(make(SMALL)), work(make(TIMES * SMALL))
    assert large <= 1.25 * TIMES * small + 2000


def test_comparing_all_with_all_would_be_seen() -> None:
    def compare_all(count: int) -> int:
        return calls_of(lambda: [max(a, b) for a in range(count) for b in range(count)])

    assert compare_all(4 * 60) > 1.25 * TIMES * compare_all(60) + 2000
