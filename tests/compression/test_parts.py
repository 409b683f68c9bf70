"""What each crusher does with its kind of text, as a reader sees it."""

from __future__ import annotations

import json

import pytest

from tests.compression.texts import SAMPLES
from woollama.compression import CRUSHERS, Block, ContentRouter, SqlOriginals, restore
from woollama.compression.block import Level


def compress(text: str, query: str = "", *, level: Level = "auto", tool: str = "") -> str:
    return ContentRouter(originals=SqlOriginals()).compress(text, query=query, level=level, tool=tool).text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (json.dumps([{"a": i, "b": "x" * 30} for i in range(20)]), "smart_crusher"),
        ("\n".join(json.dumps({"a": i}) for i in range(20)), "smart_crusher"),
        ("id,name,age\n" + "\n".join(f"{i},n{i},{i}" for i in range(20)), "smart_crusher"),
        ("NAME     READY   STATUS\n" + "\n".join(f"pod-{i}   1/1   Running" for i in range(10, 30)), "smart_crusher"),
        ("\n".join(f"src/a.py:{i}:def f_{i}():" for i in range(20)), "search_compressor"),
        ("\n".join(f"./src/a/f_{i}.py" for i in range(20)), "search_compressor"),
        ("diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n", "diff_compressor"),
        ("\n".join(f"2026-01-01 10:00:{i} INFO started {i}" for i in range(20)), "log_compressor"),
        ("def f(x):\n    return x\n\n\nclass A:\n    def g(self):\n        return self.x\n" * 5, "source_code"),
        ('[server]\nport = 1\nname = "x"\n\n[limits]\nbody = 3\nruns = 4\n', "configuration"),
        (
            "The harbour opens at nine in the morning, and it closes at five in the evening. Bring a coat.\n\n" * 9,
            "text_compressor",
        ),
    ],
)
def test_each_kind_of_text_goes_to_its_crusher(text: str, kind: str) -> None:
    assert max(CRUSHERS, key=lambda crusher: crusher.priority(Block(text))).name == kind


def test_records_become_rows_that_can_be_read() -> None:
    rows = [
        {"id": 100 + i, "title": f"Report {i}", "url": f"https://example.org/reports/{i}", "state": "ok"}
        for i in range(12)
    ]
    text = compress(json.dumps(rows), level="lossless")
    assert text.split("\n")[1:8] == [
        "@text 1",
        "[",
        '@rows 12 ", "',
        'A: {"id": <>, "title": "Report <>", "url": "https://example.org/reports/<>", "state": "ok"}',
        "--",
        "100 0 0",
        "101 1 1",
    ]
    assert "#10\n109 9 9" in text
    assert restore(text) == json.dumps(rows)


def test_lines_become_rows_and_errors_stay_whole() -> None:
    lines = [f"2026-01-01 10:00:{i % 60:02d} INFO  stored {i} objects in {i * 7 % 50} ms" for i in range(100)]
    lines[40] = "2026-01-01 10:00:40 ERROR cannot store object 40: disk full"
    text = compress("\n".join(lines), level="lossless")
    assert "A: 2026-01-01 10:00:<> INFO  stored <> objects in <> ms" in text
    assert "|2026-01-01 10:00:40 ERROR cannot store object 40: disk full" in text
    assert restore(text) == "\n".join(lines)


def test_a_path_is_said_once() -> None:
    lines = [f"src/flow/pump.py:{i}:    def step_{i}(self):" for i in range(30)]
    text = compress("\n".join(lines), level="lossless")
    assert text.count("src/flow/pump.py") == 1
    assert restore(text) == "\n".join(lines)


def test_the_question_decides_what_stays() -> None:
    users = [{"id": i, "mail": f"user{i}@example.org", "plan": "free"} for i in range(900)]
    assert '"mail": "user471@example.org"' in compress(
        json.dumps(users), "what is the plan of user471@example.org?", level="aggressive"
    )
    assert '"id": 655,' in compress(json.dumps(users), "and that of 655?", level="aggressive")


def test_left_out_records_are_said_by_their_values() -> None:
    rows = [{"id": i, "zone": "eu" if i % 3 else "us", "load": i / 10, "state": "ok"} for i in range(900)]
    text = compress(json.dumps(rows))
    assert text.split("\n")[-2].startswith("[left out: id 3 to 89")
    assert "zone eu" in text
    assert "state always ok" in text


def test_left_out_lines_are_said_by_their_forms() -> None:
    lines = [
        f"Mar 01 10:00:00 edge sshd[{i}]: Accepted key for {'ann' if i % 4 else 'bob'} from 10.0.0.{i % 9}"
        for i in range(1500)
    ]
    said = compress("\n".join(lines)).split("\n")[-1]
    assert " × Mar 01 10:00:00 edge sshd[" in said
    assert "Accepted key for {ann " in said


def test_a_rare_level_in_a_language_nobody_listed_is_kept() -> None:
    lines = [f"10:{i // 60 % 60:02d}:{i % 60:02d} tavaline päring {i} vastatud" for i in range(2000)]
    lines[1234] = "10:20:34 hoiatus ketas 7 vastab aeglaselt"
    assert "ketas 7 vastab aeglaselt" in compress("\n".join(lines), level="aggressive")


def test_a_trace_stays_with_its_error() -> None:
    lines = [f"INFO request {i} answered in {i % 40} ms" for i in range(2000)]
    lines[900:904] = [
        "Traceback (most recent call last):",
        '  File "/srv/a.py", line 7, in run',
        "    go()",
        "ValueError: no such lane",
    ]
    text = compress("\n".join(lines), level="aggressive")
    assert "\n".join(lines[900:904]) in text


def test_a_level_shift_is_shown_where_it_happens() -> None:
    rows = [{"at": i, "ms": 40 + i % 5 + (90 if i >= 637 else 0)} for i in range(1000)]
    text = compress(json.dumps(rows), level="aggressive")
    assert '{"at": 636, ' in text
    assert '{"at": 637, ' in text


def test_a_lone_line_feed_among_lines_that_end_in_two_characters_is_no_line() -> None:
    lines = [f"[{i}] INFO step {i} done in {i % 50} ms" for i in range(2000)]
    lines[700] = "[700] INFO first\nand second half"
    lines[1500] = "[1500] ERROR the pipe broke"
    assert "[1500] ERROR the pipe broke" in compress("\r\n".join(lines), level="aggressive")


def test_a_lock_file_becomes_counts_and_code_stays() -> None:
    lock = [f'-    "p{i}": "1.{i}.0",\n+    "p{i}": "1.{i}.1",' for i in range(400)]
    diff = (
        "diff --git a/package-lock.json b/package-lock.json\nindex 1234567..89abcde 100644\n--- a/package-lock.json\n"
    )
    diff += "+++ b/package-lock.json\n@@ -1,400 +1,400 @@\n" + "\n".join(lock) + "\n"
    diff += "diff --git a/a.py b/a.py\nold mode 100644\nnew mode 100755\n--- a/a.py\n"
    diff += "+++ b/a.py\n@@ -1,3 +1,3 @@ def f():\n x\n-y\n+z\n w\n"
    text = compress(diff)
    assert "…801 (1 hunks of a generated file: +400 -400 lines)" in text
    assert "\n-y\n+z\n" in text
    assert "old mode 100644\nnew mode 100755\n" in text


def test_errors_everywhere_are_all_kept() -> None:
    rows = [
        {"n": i, "level": "ERROR", "message": f"lane {i} refused the {'cart' if i % 2 else 'train'}"}
        for i in range(400)
    ]
    text = compress(json.dumps(rows), "what was refused?", level="aggressive")
    assert all(f"lane {i} refused the" in text for i in range(400))


def test_prose_keeps_its_words() -> None:
    sample = next(sample for sample in SAMPLES if sample.name == "prose")
    text = compress(sample.text, sample.query)
    kept = [line for line in text.split("\n")[1:] if line and not line.startswith("…")]
    assert len(kept) > 50
    assert all(line in sample.text for line in kept)


HOSTILE = (
    "[" * 100_000,
    '{"a":' * 50_000,
    "[1," * 3000 + "x" * 90_000,
    "a" * 300_000,
    "\n" * 200_000,
    " " * 200_000,
    "é" * 150_000,
    ("E" * 50 + "Error ") * 4000,
    "…" * 90_000,
    '{\n  "a' + '\\"' * 100_000,
    '{\n  "a": ' + '["' * 60_000,
    "{\n  " + "[" * 100_000 + "]" * 100_000 + "\n}",
    ("…" * 3000 + "7\n") * 30,
    "!" * 80_000 + "a!" * 40_000,
    '["' + " " * 90_000 + '"]',
)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("level", ["lossless", "auto", "aggressive"])
def test_hostile_text_harms_nobody(text: str, level: Level) -> None:
    router = ContentRouter(originals=SqlOriginals())
    result = router.compress(text, query="why?", level=level)
    assert (router.originals.get(result.refs[0]) if result.refs and router.originals else restore(result.text)) == text
