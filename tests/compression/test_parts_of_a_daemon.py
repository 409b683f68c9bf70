"""For each part one check on a running daemon, and the proof that it is a check: without the part it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.compression.desk import Desk, desk
from tests.compression.desk_server import TEXTS
from woollama.compression import Bm25Scorer, ContentRouter, SqlOriginals
from woollama.compression.diff_compressor import DiffCompressor
from woollama.compression.ledger import Ledger
from woollama.compression.left_alone import SourceCode
from woollama.compression.log_compressor import LogCompressor
from woollama.compression.router import untouched
from woollama.compression.search_compressor import SearchCompressor
from woollama.compression.smart_crusher import SmartCrusher
from woollama.compression.text_compressor import TextCompressor
from woollama.compression.toin import Toin
from woollama.compression.tokens import Counter
from woollama.core import compressed, plan
from woollama.core.prefixes import Prefixes


@pytest.fixture(scope="module")
def running() -> Iterator[Desk]:
    with desk() as made:
        yield made


def lines_of(tool: str) -> list[str]:
    return TEXTS[tool].split("\n")


def routing(at: Desk) -> None:
    for tool in ("log", "people", "changes", "matches", "prose"):
        (result,) = at.use(tool)
        assert result.startswith("[woollama: ")
        assert len(result) < 0.7 * len(TEXTS[tool])


def records(at: Desk) -> None:
    (result,) = at.use("people")
    assert " of 400 rows left out" in result
    assert "[left out: id " in result
    assert "plan always free" in result


def diffs(at: Desk) -> None:
    (result,) = at.use("changes")
    kept = [line for line in lines_of("changes") if line[:1] in "+-@" or line.startswith("diff")]
    assert [line for line in result.split("\n") if line[:1] in ("+", "-", "@") or line.startswith("diff")] == kept


def logs(at: Desk) -> None:
    (result,) = at.use("log")
    assert " of 500 lines left out" in result
    assert "10:05:17 ERROR cannot store object 317: the shelf is full" in result
    assert "INFO stored object {" in result.split("\n")[-1]


def found_lines(at: Desk) -> None:
    (result,) = at.use("matches")
    assert "src/part3/pump.py 1" in result.split("\n")[-1]


def texts(at: Desk) -> None:
    (result,) = at.use("prose")
    assert " passages left out" in result.split("\n")[0]


def code_to_be_edited(at: Desk) -> None:
    assert at.use("source", recipe="narrow") == [TEXTS["source"]]


def relevance(at: Desk) -> None:
    (result,) = at.use("asked", "Which plan has user271@example.org?", recipe="narrow")
    assert '"mail": "user271@example.org"' in result


def looking_up(at: Desk) -> None:
    first, whole = at.use("kept", wish={"max_tokens": 1_000_000})
    assert first.startswith("[woollama: ")
    assert whole == TEXTS["kept"]


def learning(at: Desk) -> None:
    wanted = lines_of("remembered")[403]
    first, looked_up = at.use("remembered", wish={"query": "777123"})
    (second,) = at.use("remembered")
    assert looked_up == wanted
    assert wanted not in first
    assert wanted in second


def tools_in_order(at: Desk) -> None:
    at.use("zone")
    assert at.offered == [*sorted(f"desk__{name}" for name in TEXTS), "woollama__retrieve"]


def misses(at: Desk) -> None:
    def what_was_sent(*messages: str) -> None:
        roles = ("user", "assistant")
        said = [{"role": roles[number % 2], "content": each} for number, each in enumerate(messages)]
        at.say(said)

    before = at.get("/w1/compression/misses")["prompts"]
    what_was_sent("one")
    what_was_sent("one", "two", "three")
    what_was_sent("one", "changed", "three", "four", "five")
    told = at.get("/w1/compression/misses")
    assert told["prompts"] == before + 2
    assert told["data"][0]["what"] == "item 2 (assistant)"


def account(at: Desk) -> Any:
    return next((each for each in at.get("/w1/compression")["data"] if each["tool"] == "desk.counted"), {})


def books(at: Desk) -> None:
    before = account(at)
    at.use("counted", wish={"lines": "1-40"})
    after = account(at)
    assert after.get("blocks", 0) == before.get("blocks", 0) + 1
    assert after["retrievals"] == before.get("retrievals", 0) + 1
    assert after["net_tokens"] > before.get("net_tokens", 0)


def tokens(at: Desk) -> None:
    before = account(at)
    at.use("counted")
    counted = account(at)["tokens_in"] - before.get("tokens_in", 0)
    assert len(TEXTS["counted"]) / 5 < counted < len(TEXTS["counted"]) / 2


def marks(at: Desk) -> None:
    """A forged ref leads nowhere."""
    at.use("kept")
    elsewhere = at.last_ref
    assert elsewhere
    _, refused = at.use("people", wish={"ref": elsewhere})
    assert refused.startswith("The call was not made: no result of this conversation has the ref")


Check = Callable[[Desk], None]
Replaced = tuple[object, str, Any]


def nothing(*_: object, **__: object) -> None:
    return None


def no_kind_of_text(*_: object) -> float:
    return -1.0


PARTS: dict[str, tuple[Check, Replaced]] = {
    "ContentRouter": (
        routing,
        (ContentRouter, "compress", lambda self, text, **_: untouched(text, "nothing")),
    ),
    "SmartCrusher": (records, (SmartCrusher, "priority", no_kind_of_text)),
    "DiffCompressor": (diffs, (DiffCompressor, "priority", no_kind_of_text)),
    "LogCompressor": (logs, (LogCompressor, "priority", no_kind_of_text)),
    "SearchCompressor": (found_lines, (SearchCompressor, "priority", no_kind_of_text)),
    "TextCompressor": (texts, (TextCompressor, "priority", no_kind_of_text)),
    "code left alone": (code_to_be_edited, (SourceCode, "priority", no_kind_of_text)),
    "relevance": (relevance, (Bm25Scorer, "score", lambda self, query, texts: [0.0] * len(texts))),
    "CCR: the store": (looking_up, (SqlOriginals, "find", nothing)),
    "CCR: the tool": (looking_up, (compressed.Compressed, "functions", lambda self: self._inner.functions())),
    "CCR: refs of a conversation": (marks, (compressed, "_refs_in", nothing)),
    "TOIN": (learning, (Toin, "learn", nothing)),
    "CacheAligner: the order of tools": (tools_in_order, (plan, "in_one_order", list)),
    "CacheAligner: what changed": (misses, (Prefixes, "see", nothing)),
    "ledger": (books, (Ledger, "_enter", nothing)),
    "tokens": (tokens, (Counter, "__call__", lambda self, text: len(text))),
}


@pytest.mark.parametrize("part", PARTS)
def test_without_the_part_its_check_fails(part: str, running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    check, (where, name, no_op) = PARTS[part]
    with monkeypatch.context() as replaced:
        replaced.setattr(where, name, no_op)
        with pytest.raises((AssertionError, ValueError, KeyError)):
            check(running)
    check(running)
