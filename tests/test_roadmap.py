"""The gate checklist stands in two documents; both say the same, and a tick is a test."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("docs/roadmap.md", "docs/transition.md")
WANTED = ("C1", "C2", "C3", "C4", "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "P")
"""Four criteria, eight features, and the panel."""

_LINE = re.compile(r"^- \[(?P<tick>[ x])\] \*\*(?P<key>[A-Z]\d?)\*\* (?P<text>.+)$")
_TEST = re.compile(r"`(tests/[\w/]+\.py::\w+)`")


@dataclass(frozen=True)
class Gate:
    key: str
    ticked: bool
    text: str

    @property
    def tests(self) -> list[str]:
        return _TEST.findall(self.text)


def gates_of(document: str) -> list[Gate]:
    """The checklist's lines. Other task lists of a document have no bold key and are not read."""
    found = map(_LINE.match, document.splitlines())
    return [Gate(match["key"], match["tick"] == "x", match["text"]) for match in found if match]


def is_there(test: str, root: Path = ROOT) -> bool:
    file, _, name = test.partition("::")
    if not (root / file).is_file():
        return False
    tree = ast.parse((root / file).read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name for node in tree.body)


def read(document: str) -> list[Gate]:
    return gates_of((ROOT / document).read_text(encoding="utf-8"))


def test_both_documents_hold_the_same_checklist() -> None:
    roadmap, transition = map(read, DOCUMENTS)
    assert roadmap == transition


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_checklist_is_whole(document: str) -> None:
    assert tuple(gate.key for gate in read(document)) == WANTED


@pytest.mark.parametrize("gate", read(DOCUMENTS[0]), ids=lambda gate: gate.key)
def test_a_tick_names_the_tests_that_prove_it(gate: Gate) -> None:
    assert gate.tests or not gate.ticked, f"{gate.key} is ticked and names no test"
    assert [test for test in gate.tests if not is_there(test)] == []


def test_a_tick_and_its_proof_are_read() -> None:
    (gate,) = gates_of("# x\n- [x] **F1** Three files. Proof: `tests/test_a.py::test_it`\n- [x] something else\n")
    assert gate == Gate("F1", True, "Three files. Proof: `tests/test_a.py::test_it`")
    assert gate.tests == ["tests/test_a.py::test_it"]


def test_a_test_that_was_renamed_is_missed(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").write_text("async def test_it(): ...\n")
    assert is_there("tests/test_a.py::test_it", tmp_path)
    assert not is_there("tests/test_a.py::test_it_was", tmp_path)
    assert not is_there("tests/test_b.py::test_it", tmp_path)
