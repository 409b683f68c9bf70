"""Nothing in the repository names one machine's directories or one place where packages come from."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FORBIDDEN = {
    "a directory of one machine": r"(?<![\w.$}-])/(?:work|root|farm|home/\w+|Users/\w+)/",
    "a package index": r"pypi\.org|pythonhosted|registry\.npmjs|crates\.io|index[-_]url|find-links|resolved\": \"http",
    "a key": r"\b(?:sk-(?:ant-|proj-)?[A-Za-z0-9]{24,}|AKIA[A-Z0-9]{16}|ghp_[A-Za-z0-9]{30,})",
}


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:  # a copy without its history
        every = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
        return [path for path in every if not any(part.startswith((".", "__pycache__")) for part in path.parts)]
    return [Path(name) for name in listed.stdout.split("\0") if name]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_names(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = []
    for name in tracked_files():
        if ROOT / name == Path(__file__) or not (ROOT / name).is_file():
            continue
        text = (ROOT / name).read_bytes().decode("utf-8", errors="ignore")
        found += [f"{name}: {match.group()}" for match in pattern.finditer(text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a directory of one machine", "see /" + "root/x"),
        ("a directory of one machine", "/" + "Users/jo/code"),
        ("a package index", "--index" + "-url"),
        ("a key", "sk-ant-" + "a1" * 20),
    ],
)
def test_the_patterns_find_what_they_are_for(what: str, text: str) -> None:
    assert re.search(FORBIDDEN[what], text)
