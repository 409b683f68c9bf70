"""Fenced snippets of the documents, and what their fences promise. CONTRIBUTING.md has the list of fences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "conformance/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
)

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<ticks>`{3,})(?P<info>[^`\n]*)\n(?P<body>.*?)^(?P=indent)(?P=ticks)$", re.M | re.S
)


@dataclass(frozen=True)
class Snippet:
    """`info` is what stands behind the ticks; `output` the text that the document shows right after it."""

    document: Path
    line: int
    info: str
    text: str
    output: str | None = None

    @property
    def id(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line} {self.info}"


def snippets_of(document: Path) -> Iterator[Snippet]:
    text = document.read_text(encoding="utf-8")
    found = list(_FENCE.finditer(text))
    for match, following in pairwise([*found, None]):
        assert match
        info = match["info"].strip()
        if info == "text output":
            continue
        adjacent = following is not None and not text[match.end() : following.start()].strip()
        output = following["body"] if adjacent and following["info"].strip() == "text output" else None
        yield Snippet(document, text.count("\n", 0, match.start()) + 1, info, match["body"], output)


def all_snippets(*infos: str) -> list[Snippet]:
    every = (snippet for document in DOCUMENTS for snippet in snippets_of(document))
    return [snippet for snippet in every if snippet.info in infos or not infos]


def missing_lines(shown: str, printed: str) -> list[str]:
    """The lines of `shown` that do not come, in this order, in `printed`; `…` stands for anything."""
    rest = iter(printed.splitlines())
    missing = []
    for line in filter(str.strip, shown.splitlines()):
        pattern = ".*".join(map(re.escape, line.strip().split("…")))
        if not any(re.fullmatch(pattern, each.strip()) for each in rest):
            missing.append(line)
    return missing
