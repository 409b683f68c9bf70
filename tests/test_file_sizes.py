"""Files stay small enough to be read at one sitting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median

SOURCE = Path(__file__).parents[1] / "src"
LIMIT_LINES = 400
MEDIAN_LINES = 190

LONGER_FOR_A_REASON: dict[str, str] = {}
"""Path below src -> why one file of this length is easier to read than any cut of it."""


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_file_is_too_long_without_a_reason() -> None:
    lengths = {str(path.relative_to(SOURCE)): lines_of(path) for path in SOURCE.rglob("*.py")}
    long = {name for name, lines in lengths.items() if lines > LIMIT_LINES}
    assert long == set(LONGER_FOR_A_REASON), f"over {LIMIT_LINES} lines: { {name: lengths[name] for name in long} }"


def test_the_usual_file_is_short(record_property: Callable[[str, object], None]) -> None:
    lengths = [lines for path in SOURCE.rglob("*.py") if (lines := lines_of(path)) > 3]
    middle = median(lengths)
    record_property("median lines of a source file", middle)
    assert middle <= MEDIAN_LINES, f"{len(lengths)} files, median {middle:.0f} lines"
