"""Who may import whom, read from the source; and what an import of the core or the command line must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "woollama"

LEAF: frozenset[str] = frozenset({"platform", "sqlite_file"})
DOMAIN = LEAF | {"domain"}
OUTWARD = DOMAIN | {"http"}
ALL = frozenset(
    {*OUTWARD, "core", "surfaces", "routes", "inferencers", "toolservers", "stores", "compression", "processes"}
    | {"config", "auth", "observe", "gate", "console", "proxy", "parity", "defaults"}
)
COMPOSITION = frozenset({"compressing", "inferencing", "generation", "found_models", "reloading", "state"})
MAY_IMPORT: dict[str, frozenset[str]] = {
    "platform": frozenset(),
    "sqlite_file": frozenset(),
    "domain": LEAF,
    "core": DOMAIN,
    "surfaces": DOMAIN | {"core"},
    "routes": DOMAIN | {"core", "surfaces"},
    "http": DOMAIN,
    "inferencers": OUTWARD,
    "toolservers": OUTWARD,
    "stores": DOMAIN,
    "compression": DOMAIN,
    "processes": DOMAIN,
    "config": DOMAIN,
    "auth": DOMAIN,
    "connect": frozenset(),
    "observe": DOMAIN,
    "gate": DOMAIN | {"auth", "observe"},
    "console": DOMAIN,
    "proxy": DOMAIN,
    "parity": DOMAIN,
    "state": DOMAIN | {"config", "core", "stores", "toolservers"},
    "compressing": DOMAIN | {"compression", "config"},
    "inferencing": DOMAIN | {"config", "core", "http", "inferencers", "observe", "processes"},
    "found_models": DOMAIN,
    "reloading": DOMAIN | {"config"},
    "generation": DOMAIN | {"config", "core", "inferencing", "found_models", "toolservers"},
    "app": ALL | COMPOSITION,
    "daemon": ALL | COMPOSITION | {"app"},
    "server": ALL | COMPOSITION | {"app", "daemon"},
    "cli": ALL | COMPOSITION | {"app", "daemon", "server", "connect"},
    "__main__": frozenset({"cli"}),
    "__init__": frozenset({"app", "config", "core", "domain"}),
}
"""A part may always import itself. Whatever is not a key has no layer yet and fails below."""

HEAVY = ("fastapi", "starlette", "uvicorn", "httpx", "httpx2", "mcp", "anthropic", "sqlalchemy")


def part_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported_parts(path: Path) -> Iterator[tuple[int, str]]:
    """Each import of our own package as (line, part); `from woollama import x` counts as `x` where x is a part."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno} imports relatively; the layer table reads absolute names"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            match name.split("."):
                case ["woollama", part, *_] if part in MAY_IMPORT or (PACKAGE / part).exists():
                    yield node.lineno, part


def test_each_part_imports_only_the_layers_below_it() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line} imports woollama.{imported}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, imported in imported_parts(path)
        if imported != part_of(path) and imported not in MAY_IMPORT.get(part_of(path), frozenset())
    ]
    assert not wrong, "\n".join(wrong)


def test_every_part_has_a_layer() -> None:
    parts = {part_of(path) for path in PACKAGE.rglob("*.py")}
    assert parts <= set(MAY_IMPORT), f"give these a line in the table: {sorted(parts - set(MAY_IMPORT))}"


def test_an_import_is_seen_wherever_it_stands(tmp_path: Path) -> None:
    source = tmp_path / "inside.py"
    source.write_text("def later():\n    from woollama import core\n    import woollama.surfaces.sse\n")
    assert list(imported_parts(source)) == [(2, "core"), (3, "surfaces")]


@pytest.mark.parametrize("module", ["woollama.core", "woollama.core.engine", "woollama.cli"])
def test_importing_it_loads_nothing_heavy(module: str) -> None:
    source = f"import sys, {module}; print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    finished = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert finished.stdout.split() == []
