"""The notation of lossless results: what was changed or only looks like one is told, and nothing fills the memory."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from woollama.compression import ContentRouter, NotOurs, restore
from woollama.compression.block import Block
from woollama.compression.lines import line_families
from woollama.compression.notation import Unwritable, Writer
from woollama.compression.smart_crusher import SmartCrusher
from woollama.compression.templates import Fitting, Slot, Template

TEXT = "\n".join(f"{i:>4} host-{i % 3}  stored {i * 7919 % 997} objects" for i in range(60))
MADE = ContentRouter().compress(TEXT, level="lossless").text


def test_it_is_what_it_was() -> None:
    assert MADE.startswith("[woollama lossless ")
    assert restore(MADE) == TEXT


@pytest.mark.parametrize(
    "changed",
    [
        MADE.replace("objects", "object"),
        MADE.replace("=B", "=Z") if "=B" in MADE else MADE.replace("A: ", "Z: "),
        MADE[:-5],
        MADE[:200],
        MADE.replace("@rows 60", "@rows 59"),
        MADE.replace("@rows 60", "@rows sixty"),
        MADE.replace("@rows 60", "@cols 60"),
        "[woollama lossless 00000000] x\n@rows 999999999999\n|a\n^999999999998\n@end",
        "[woollama lossless 00000000] x\n@text 999999\nabc\n@end",
        "[woollama lossless 00000000] x\n@rows 2 5\n|a\n|b\n@end",
        "[woollama lossless 00000000] x\n@rows 2 " + "[" * 9999 + "\n|a\n|b\n@end",
    ],
)
def test_what_was_changed_is_told(changed: str) -> None:
    with pytest.raises(NotOurs):
        restore(changed)


MUCH = 60_000


@pytest.mark.parametrize(
    "parts",
    [
        f"@rows 999999999\n|{'a' * MUCH}\n" + "^900\n" * 9000,
        f"@rows 999999999\n|{'a' * MUCH}\n" + "^900\n^-9999999\n" * 9000,
        '@rows 9999999999 ""\n|\n^9999999998',
        f"@rows {MUCH} {json.dumps('a' * MUCH)}\n" + "|\n" * MUCH,
        f"@rows {MUCH}\nA: {'a' * MUCH}<>\n--\n" + "b\n" * MUCH,
        f"@rows {MUCH}\nA: <>b\n--\n{'a' * MUCH}\n" + '"\n' * MUCH,
        f"@rows {MUCH}\nA: <+{MUCH}>\n--\n" + "b\n" * MUCH,
        f"@rows {MUCH}\nA: {f'<+{MUCH}>' * MUCH}\n--\n" + "b\n" * MUCH,
        f"@json 1 {json.dumps(' ' * 8)}\n{'[' * 98}{'1,' * 4 * MUCH}\n",
        f"@json 1 {json.dumps(' ' * MUCH)}\n{'[' * 98}{'1,' * 4 * MUCH}\n",
        f"@json 1 {json.dumps(' ' * 8)}\n{'[' * MUCH}\n",
        f"@paths {MUCH}\n={'a' * MUCH}\n" + "b\n" * MUCH,
    ],
    ids=[
        "again",
        "minus",
        "empty",
        "joined",
        "template",
        "ditto",
        "width",
        "widths",
        "json",
        "indent",
        "deep",
        "paths",
    ],
)
def test_a_small_text_cannot_come_to_fill_the_memory(parts: str) -> None:
    """Each would be gigabytes."""
    tracemalloc.start()
    try:
        with pytest.raises(NotOurs):
            restore(f"[woollama lossless 00000000] x\n{parts}\n@end")
        assert tracemalloc.get_traced_memory()[1] < 2**30
    finally:
        tracemalloc.stop()


def test_any_other_text_restores_to_itself() -> None:
    assert restore("plain") == "plain"
    assert restore("") == ""


def test_signs_that_stand_in_the_text_are_not_used() -> None:
    text = "\n".join(f"<a> ⏎ {i} stored" for i in range(30))
    writer = Writer(text)
    writer.rows(text.split("\n"), line_families(text.split("\n")), "\n", anchors=False)
    made = writer.finish()
    assert "«" in made.split("\n")[0]
    assert restore(made) == text


def test_a_text_with_all_signs_cannot_be_written() -> None:
    text = "<>«»‹›⟨⟩⟦⟧"
    with pytest.raises(Unwritable):
        Writer(text).rows([text], [], "\n", anchors=False)


def test_cells_are_cut_where_a_person_would_cut() -> None:
    fitting = Fitting()
    fitting.value(["/srv/a/one.txt", "/srv/a/two.txt", "/srv/b/two.txt"])
    fitting.text(" ")
    fitting.value(["2026-01-01T10:00:01Z", "2026-01-01T10:00:02Z", "2026-01-01T10:30:02Z"])
    assert fitting.template.constants == ("/srv/", " 2026-01-01T10:", "Z")
    assert next(iter(fitting.rows(3))) == ("a/one.txt", "00:01")


def test_padded_cells_are_filled_to_their_width() -> None:
    template = Template(("", "|", ""), (Slot(5, right=True), Slot(4)))
    assert template.fill(("17", "ab")) == "   17|ab  "


ADDED = "\n".join(f"+line {i}" for i in range(200))
DIFF = f"""diff --git a/a.py b/a.py
index 1234567..89abcde 100644
--- a/a.py
+++ b/a.py
@@ -1,4 +1,204 @@
 =kept
{ADDED}
-gone
=of no diff
*+3
|bar
diff --git a/old.py b/new.py
similarity index 90%
--- a/old.py
+++ b/new.py
@@ -1 +1 @@
-a
+b
\\ No newline at end of file
"""


@pytest.mark.parametrize("text", [DIFF, DIFF.rstrip("\n"), DIFF.replace("\n", "\r\n"), "\n" + DIFF + "\n\n"])
def test_a_diff_says_headings_and_signs_once(text: str) -> None:
    made = ContentRouter().compress(text, level="lossless")
    assert restore(made.text) == text
    if "\r" not in text:
        assert made.level == "lossless"
        assert "\n=a.py index 1234567..89abcde 100644\n" in made.text
        assert "\n*+200\nline 0\nline 1\n" in made.text
        assert "\n--- a/old.py\n" in made.text


DOCUMENT = {
    "kind": "Deployment",
    "spec": {"replicas": 3, "ports": [80, 443], "labels": {}, "args": [], "note": 'a \\ "b": [\n{é'},
    "status": {"ready": True, "load": 1.50, "conditions": [{"type": f"t{i}", "at": None} for i in range(3)]},
}


@pytest.mark.parametrize("indent", [1, 2, 4, 8, "\t"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_json_with_an_indent_is_written_without_it(indent: int | str, end: str) -> None:
    text = json.dumps(DOCUMENT, indent=indent) + end
    crushed = SmartCrusher().crush(Block(text))
    assert crushed is not None
    assert '"ports": [80, 443], "labels": {}, "args": [], ' in crushed.body
    assert restore(crushed.body) == text


@pytest.mark.parametrize(
    "change", [("1.5", "1.50"), ("[]", "[ ]"), ('"kind"', '"kind" '), ("3,", "3,\n"), ("true", "1e999")]
)
def test_json_is_only_laid_out_anew_where_that_gives_the_same_text(change: tuple[str, str]) -> None:
    text = json.dumps({str(number): DOCUMENT for number in range(9)}, indent=2).replace(*change, 1)
    made = ContentRouter().compress(text, level="lossless")
    assert restore(made.text) == text
    assert ("@json" in made.text) is (change[1] in ("1.50", "1e999"))


def test_a_diff_of_more_lines_than_it_says_is_none() -> None:
    with pytest.raises(NotOurs):
        restore("[woollama lossless 00000000] x\n@diff 3 said\n*+9\na\n@end")
