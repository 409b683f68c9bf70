"""What is had back: exactly, in part, only what was given out, and not for ever."""

from __future__ import annotations

import json
import random
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from woollama.compression import NothingThere, SqlOriginals, UnknownRef, compress, restore, retrieve
from woollama.compression.marker import ref_of
from woollama.compression.originals import OriginalsFull
from woollama.compression.retrieval import part_of

ROWS = [{"id": i, "title": f"Report {i}", "tags": ["a", {"k": i}]} for i in range(50)]
TEXT = json.dumps({"took": 3, "results": ROWS, "a.b": 1e22}, indent=1)


def test_lines_and_rows_count_from_one() -> None:
    assert part_of("a\nb\nc\nd", lines="2-3") == "b\nc"
    assert part_of("a\nb\nc\nd", lines="4") == "d"
    assert part_of("a\nb\nc\nd", lines="3-") == "c\nd"
    assert part_of("a\nb\nc\nd", lines="3-900") == "c\nd"
    assert part_of('[{"a":1}, {"a":2}, {"a":3}, {"a":4}]', rows="2-3") == '{"a":2}, {"a":3}'
    assert part_of("h,i,j\n1,2,3\n4,5,6\n7,8,9\n0,0,0", rows="2") == "4,5,6"


def test_a_path_leads_to_the_text_as_it_was() -> None:
    assert part_of(TEXT, path="results[3].title") == '"Report 3"'
    assert part_of(TEXT, path="$.results[3].tags[1].k") == "3"
    assert part_of(TEXT, path='["a.b"]') == "1e+22"
    assert (
        part_of('{"n": 1.10, "n2": 0.1000000000000000055511151231257827}', path="n2")
        == "0.1000000000000000055511151231257827"
    )


def test_a_question_gives_the_rows_that_answer_it() -> None:
    assert json.loads(part_of(TEXT, query="what is report 17?"))["id"] == 17
    assert (
        part_of("\n".join(f"line {i}" for i in range(99)) + "\nthe anchor is lost", query="anchor")
        == "the anchor is lost"
    )


def test_max_tokens_ends_after_a_whole_line_and_says_so() -> None:
    text = "\n".join(f"line number {i}" for i in range(500))
    part = part_of(text, max_tokens=60)
    lines = part.split("\n")
    assert lines[:-1] == text.split("\n")[: len(lines) - 1]
    assert lines[-1] == f"[cut after line {len(lines) - 1} of 500; the rest is lines={len(lines)}-500]"
    assert part_of("x" * 5000, max_tokens=10).endswith("characters of a long line; ask with a query or a path]")
    assert part_of("short", max_tokens=60) == "short"


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"lines": "9-4"}, "there are 3 lines"),
        ({"rows": "7"}, "there are 3 rows"),
        ({"path": "a.b"}, "no path into it|nothing at"),
        ({"query": "zebra"}, "nothing in 3 rows answers 'zebra'"),
    ],
)
def test_what_is_not_there_is_said(wish: dict[str, str], said: str) -> None:
    with pytest.raises(NothingThere, match=said):
        part_of("one\ntwo\nthree", **wish)


@pytest.mark.parametrize("wish", [{"lines": "x"}, {"rows": "1-2-3"}, {"path": "[["}, {"max_tokens": 0}])
def test_a_wish_without_sense_is_refused(wish: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        part_of('[{"a": 1}]', **wish)  # type: ignore[arg-type]


@given(st.text(max_size=300))
def test_whatever_is_stored_comes_back_exactly(text: str) -> None:
    originals = SqlOriginals()
    originals.put(ref_of(text), text)
    assert originals.get(ref_of(text)) == text


def test_lone_surrogates_and_bytes_that_are_no_text_come_back() -> None:
    originals = SqlOriginals()
    text = "\ud83d \udcff \x00 \r\n"
    originals.put("r", text)
    assert originals.get("r") == text


def test_the_store_is_its_owners_alone(tmp_path: Path) -> None:
    originals = SqlOriginals(tmp_path / "state" / "originals.db")
    originals.put("r", "secret")
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "state").iterdir()}
    assert set(modes.values()) == {0o600}, modes
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    originals.close()


def test_the_store_holds_so_many_bytes_and_the_least_used_goes_first() -> None:
    now = [0.0]
    originals = SqlOriginals(max_bytes=16_000, clock=lambda: now[0])
    texts = {f"r{i}": random.Random(i).randbytes(6_000).hex() for i in range(3)}
    for ref in ("r0", "r1"):
        originals.put(ref, texts[ref])
        now[0] += 100
    assert originals.get("r0") == texts["r0"]  # used again, and so younger than r1
    now[0] += 100
    originals.put("r2", texts["r2"])
    assert originals.size()[1] <= 16_000
    assert (originals.get("r0"), originals.get("r1"), originals.get("r2")) == (texts["r0"], None, texts["r2"])


def test_to_make_room_no_text_is_read() -> None:
    """Or each result would take longer, the more is kept."""
    originals = SqlOriginals(max_bytes=500)
    asked: list[str] = []
    with originals._database.used() as connection:
        connection.set_trace_callback(asked.append)
    for number in range(3):
        originals.put(f"r{number}", random.Random(number).randbytes(200).hex())
    with originals._database.used() as connection:
        connection.set_trace_callback(None)
        found = {each for each in asked if each.lower().startswith(("select", "delete"))}
        plans = [connection.execute(f"explain query plan {each}").fetchall() for each in found if "bytes" in each]
    assert len(plans) >= 2
    assert all("COVERING INDEX" in str(plan) for plan in plans)


def test_an_original_lives_until_it_is_not_used_for_so_long() -> None:
    now = [0.0]
    originals = SqlOriginals(max_age_s=1000, clock=lambda: now[0])
    originals.put("r", "text")
    now[0] = 900
    assert originals.get("r") == "text"
    now[0] = 1800
    assert originals.get("r") == "text"
    now[0] = 2900
    assert originals.get("r") is None


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(OriginalsFull):
        SqlOriginals(max_bytes=0).put("r", "x")


def test_a_store_that_cannot_be_written_is_told_as_full(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OriginalsFull):
        SqlOriginals(tmp_path / "file" / "originals.db").put("r", "x")


def test_threads_share_a_store() -> None:
    originals = SqlOriginals()
    threads = [threading.Thread(target=originals.put, args=(f"r{i}", f"text {i}")) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [originals.get(f"r{i}") for i in range(20)] == [f"text {i}" for i in range(20)]


def test_the_library_compresses_and_gives_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOOLLAMA_STATE_DIR", str(tmp_path))
    text = "\n".join(f"{i} INFO stored object {i * 7919 % 9973}" for i in range(4000))
    result = compress(text, query="object 17", tool="shell")
    assert (result.level, result.reason, result.crusher) == ("auto", "selective", "log_compressor")
    assert result.tokens_after < result.tokens_before / 4
    assert retrieve(result.refs[0]) == text
    assert retrieve(result.refs[0], lines="5") == text.split("\n")[4]
    assert restore(compress(text, level="lossless").text) == text
    with pytest.raises(UnknownRef):
        retrieve("0" * 32)
    with pytest.raises(UnknownRef):
        retrieve("../../etc/passwd")
    with pytest.raises(ValueError, match="level must be one of off, lossless, auto, aggressive"):
        compress(text, level="most")  # type: ignore[arg-type]
