"""Every snippet of the documents is run, or checked as far as it can be without running. CONTRIBUTING.md says how."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pytest

from tests.daemon import daemon_in_thread
from tests.snippets import DOCUMENTS, ROOT, Snippet, all_snippets, missing_lines, snippets_of
from woollama.cli import parser as command_line
from woollama.config import load
from woollama.server import ServeOptions

WRITTEN_ADDRESS = "127.0.0.1:11435"
RUN = ("bash run", "python run")
CONFIG_FILES = ("toml recipes.toml", "toml inferencers.toml", "toml woollama.toml", "json mcp.json")
PARSED = ("bash shown", "json", "text")
DEADLINE_S = 60


def ids(snippet: Snippet) -> str:
    return snippet.id


@dataclass(frozen=True)
class Place:
    """Where snippets run: a home of their own beside a running daemon."""

    address: str
    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {"HOME": str(self.directory), "XDG_RUNTIME_DIR": str(self.directory), "PATH": programs}


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="docs-") as home:
        directory = Path(home)
        options = ServeOptions(runtime_dir=directory, shutdown_timeout_s=1.0)
        with daemon_in_thread(ROOT / "tests/documents", {"HOME": home}, options) as running:
            yield Place(running.url.removeprefix("http://"), directory)


@pytest.mark.parametrize("snippet", all_snippets(*RUN), ids=ids)
def test_a_runnable_snippet_runs(snippet: Snippet, place: Place) -> None:
    text = snippet.text.replace(WRITTEN_ADDRESS, place.address)
    command = ["bash", "-euo", "pipefail", "-c", text] if snippet.info == "bash run" else [sys.executable, "-c", text]
    finished = subprocess.run(
        command,
        cwd=place.directory,
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert finished.returncode == 0, f"{finished.stdout}\n{finished.stderr}"
    if snippet.output is not None:
        assert missing_lines(snippet.output, finished.stdout) == [], finished.stdout


@pytest.mark.parametrize("snippet", all_snippets(*CONFIG_FILES), ids=ids)
def test_a_configuration_snippet_loads_without_a_problem(snippet: Snippet, tmp_path: Path) -> None:
    (tmp_path / snippet.info.split()[1]).write_text(snippet.text)
    variables = dict.fromkeys(re.findall(r"\$\{(?:env:)?(\w+)", snippet.text), "x")
    tokens = re.findall(r"^\[tokens\.(\w+)\]", snippet.text, re.MULTILINE)
    variables |= {f"WOOLLAMA_TOKEN_{name.upper()}": f"the-token-of-{name}" for name in tokens}
    for directory in re.findall(r'"~/([^"]+)"', snippet.text):  # what the snippet takes for granted
        (tmp_path / directory).mkdir(parents=True)
    loaded = load(tmp_path, {"HOME": str(tmp_path), **variables})
    assert [problem for problem in loaded.problems if tmp_path in Path(problem.file).parents] == []


@pytest.mark.parametrize("snippet", all_snippets("json"), ids=ids)
def test_a_json_snippet_parses(snippet: Snippet) -> None:
    json.loads(snippet.text)


@pytest.mark.parametrize("snippet", all_snippets("bash shown"), ids=ids)
def test_a_shown_command_exists(snippet: Snippet) -> None:
    subprocess.run(["bash", "-n", "-c", snippet.text], check=True, timeout=DEADLINE_S)
    for line in snippet.text.replace("\\\n", " ").splitlines():
        words = list(takewhile(lambda word: word not in ("|", "&", "&&", ">"), shlex.split(line, comments=True)))
        while words and re.fullmatch(r"\w+=.*", words[0]):
            words.pop(0)
        match words:
            case [script, *_] if script.startswith(("scripts/", ".ci/")):
                assert os.access(ROOT / script, os.X_OK), f"there is no {script}"
            case ["make", target]:
                assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M), f"no target {target}"
            case ["woollama", *arguments]:
                command_line().parse_all(arguments)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_fence_says_how_it_is_checked(document: Path) -> None:
    unknown = [each.id for each in snippets_of(document) if each.info not in (*RUN, *CONFIG_FILES, *PARSED)]
    assert unknown == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_link_to_another_file_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith(("http:", "https:"))]
    assert [link for link in local if not (document.parent / link).exists()] == []


def test_snippets_are_found_with_their_output(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("# x\n```bash run\necho a\n```\n\n```text output\na\n```\n\n```text\nb\n```\n")
    first, second = snippets_of(document)
    assert (first.line, first.info, first.text, first.output) == (2, "bash run", "echo a\n", "a\n")
    assert (second.info, second.output) == ("text", None)


def test_shown_lines_must_be_printed_in_order() -> None:
    assert missing_lines("one\nthr…\n", "zero\none\ntwo\nthree\n") == []
    assert missing_lines("two\none\n", "one\ntwo\n") == ["one"]
