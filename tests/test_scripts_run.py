"""`scripts/run` on a copy of the tree, with an empty home: the whole way from nothing to a true answer."""

from __future__ import annotations

import faulthandler
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from queue import Empty, Queue
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest

ROOT = Path(__file__).parents[1]
INSTALL_DEADLINE_S = 600.0
SECOND_DEADLINE_S = 120.0
LAST_LINE = "/v1/models"
TOKYO = ZoneInfo("Asia/Tokyo")
OFFLINE = "is this machine online?"


class Script:
    """`scripts/run` with its output, line by line."""

    def __init__(self, tree: Path, environ: Mapping[str, str], *arguments: str) -> None:
        self.began = datetime.now(TOKYO)
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [tree / "scripts" / "run", *arguments],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._read: Queue[str | None] = Queue()
        threading.Thread(target=self._pump, daemon=True).start()

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def until_it_is_up(self, deadline_s: float) -> None:
        """Reads until everything is shown, or the script has ended."""
        give_up_at = time.monotonic() + deadline_s
        while (line := self._next(give_up_at)) is not None:
            self.lines.append(line)
            if line.rstrip().endswith(LAST_LINE):
                break
        self.ended = datetime.now(TOKYO)

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self.exit_code()

    def exit_code(self) -> int:
        return self._process.wait(SECOND_DEADLINE_S)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(SECOND_DEADLINE_S)

    def _next(self, give_up_at: float) -> str | None:
        try:
            return self._read.get(timeout=max(0.0, give_up_at - time.monotonic()))
        except Empty:
            pytest.fail(f"scripts/run did not come that far in time:\n{self.output}")

    def _pump(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout:
            for line in self._process.stdout:
                self._read.put(line)
        self._read.put(None)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("run") / "tree"
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    return copy


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    every = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return [str(path) for path in every if not any(part.startswith((".", "__")) for part in path.parts)]


@pytest.fixture(scope="module")
def environ(tree: Path) -> Mapping[str, str]:
    """A stranger's environment: an empty home. How pip reaches its index, and its cache, stay as they are."""
    home = tree.parent / "home"
    home.mkdir()
    cache = subprocess.run(
        [sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=True
    ).stdout.strip()
    reach = re.compile(r"PIP_|SSL_CERT|REQUESTS_CA|CURL_CA|https?_proxy$|no_proxy$", re.IGNORECASE)
    kept = {name: value for name, value in os.environ.items() if reach.match(name)}
    own = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "PYTHON": sys.executable,
        "LANG": "C.UTF-8",
        "WOOLLAMA_ADDRESS": "127.0.0.1:0",
        "PIP_CACHE_DIR": cache,
    }
    return {**kept, **own}


@pytest.fixture(scope="module")
def first(tree: Path, environ: Mapping[str, str]) -> Iterator[Script]:
    """The first run, which installs everything, up and running."""
    faulthandler.cancel_dump_traceback_later()  # its limit is for tests that hang, and this one downloads
    script = Script(tree, environ)
    try:
        script.until_it_is_up(INSTALL_DEADLINE_S)
        if OFFLINE.casefold() in script.output.casefold():
            pytest.skip("pip cannot reach an index")
        yield script
    finally:
        script.kill()


def true_times(script: Script) -> set[str]:
    """Every HH:MM in Tokyo while the script ran."""
    minutes = int((script.ended - script.began) / timedelta(minutes=1)) + 2
    return {(script.began + timedelta(minutes=minute)).strftime("%H:%M") for minute in range(minutes)}


def answer_in(output: str) -> str:
    found = re.search(r"\n> What time is it in Tokyo\?.*?\n(.*?)\n\n  MCP tool: ", output, re.DOTALL)
    assert found, output
    return found[1]


def processes_of(tree: Path) -> list[str]:
    """The command lines that name the tree. A small Linux has no ps, and macOS has no /proc."""
    if Path("/proc/self/cmdline").exists():
        listed = []
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it has ended meanwhile
                listed.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    else:
        shown = subprocess.run(["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True, check=True)
        listed = shown.stdout.splitlines()
    return [line for line in listed if str(tree) in line]


def test_it_installs_and_shows_that_it_does(first: Script) -> None:
    assert "installing what constraints/local.txt lists" in first.output
    assert re.search(r"^  10 of about \d+$", first.output, re.MULTILINE)
    assert "fetching SmolLM2-135M-Instruct" in first.output
    assert "local/smollm2: loading" in first.output


def test_a_real_model_tells_the_true_time_of_a_real_tool(first: Script) -> None:
    assert '  MCP tool: clock.now {"timezone": "Asia/Tokyo"}\n' in first.output
    returned = re.search(r"returned: The time in Asia/Tokyo is (\d\d:\d\d)", first.output)
    assert returned
    assert returned[1] in true_times(first)
    assert returned[1] in answer_in(first.output)
    assert "scripted" not in first.output


def test_it_stays_up_and_says_where(first: Script) -> None:
    listens = re.search(r"^woollama listens at (\S+) and (\S+) until you press Ctrl-C", first.output, re.MULTILINE)
    assert listens
    url, socket = listens.groups()
    connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()
    assert Path(socket).is_socket()


def test_its_three_examples_can_be_pasted(first: Script, environ: Mapping[str, str]) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    _, *examples = re.split(r"^# .*\n", first.output.partition("until you press Ctrl-C")[2], flags=re.MULTILINE)
    shown = []
    for example in examples:
        # The SDK is here already, in the interpreter that runs the tests.
        pasted = example.replace("pip install openai && python", sys.executable)
        ran = subprocess.run(["bash", "-c", pasted], env=dict(environ), capture_output=True, text=True, check=False)
        assert ran.returncode == 0, f"{pasted}\n{ran.stderr}"
        shown.append(ran.stdout)
    by_curl, by_sdk, over_the_socket = shown
    assert '"finish_reason":"stop"' in by_curl
    assert re.search(r"\d\d:\d\d", by_sdk)
    assert '"woollama/demo"' in over_the_socket


def test_ctrl_c_ends_everything(first: Script, tree: Path, environ: Mapping[str, str]) -> None:
    assert any("local_model.py" in line for line in processes_of(tree))
    assert first.interrupt() == 130
    assert processes_of(tree) == []
    assert [path.name for path in Path(environ["HOME"]).rglob("woollama.*") if not path.is_dir()] in (
        [],
        ["woollama.lock"],
    )


def test_a_second_run_installs_and_fetches_nothing(first: Script, tree: Path, environ: Mapping[str, str]) -> None:
    first.kill()
    second = Script(tree, {**environ, "PIP_NO_INDEX": "1"})
    try:
        second.until_it_is_up(SECOND_DEADLINE_S)
        assert "installing" not in second.output
        assert "smollm2 is here already" in second.output
        assert answer_in(second.output)
    finally:
        second.kill()


def test_without_a_model_a_script_answers_and_says_so(first: Script, tree: Path, environ: Mapping[str, str]) -> None:
    first.kill()
    script = Script(tree, environ, "--no-model")
    try:
        script.until_it_is_up(SECOND_DEADLINE_S)
        assert "NO MODEL" in script.output
        assert "[scripted, no model] The time in Asia/Tokyo is " in answer_in(script.output)
        assert any(time in answer_in(script.output) for time in true_times(script))
    finally:
        script.kill()


def test_a_platform_without_llama_cpp_is_told_so_and_gets_the_script(
    first: Script, tree: Path, environ: Mapping[str, str]
) -> None:
    first.kill()
    pip = [tree / ".venv" / "bin" / "python", "-m", "pip"]
    subprocess.run([*pip, "uninstall", "--quiet", "--yes", "xllamacpp"], env=dict(environ), check=True)
    local = tree / "constraints" / "local.txt"
    local.write_text(re.sub(r"(?m)^xllamacpp==\S+", "xllamacpp==0.0.0.1", local.read_text()))
    script = Script(tree, environ)
    try:
        script.until_it_is_up(SECOND_DEADLINE_S)
        assert "llama.cpp has no ready-made package for this platform" in script.output
        assert "[scripted, no model]" in answer_in(script.output)
    finally:
        script.kill()


def test_a_failed_download_is_an_error_with_a_hint(tree: Path, environ: Mapping[str, str], tmp_path: Path) -> None:
    offline = {name: value for name, value in environ.items() if not name.startswith("PIP_")}
    copy = tmp_path / "tree"
    shutil.copytree(tree, copy, ignore=shutil.ignore_patterns(".venv"))
    script = Script(copy, {**offline, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull})
    script.until_it_is_up(SECOND_DEADLINE_S)
    assert script.exit_code() == 1
    assert "pip could not install what constraints/local.txt lists" in script.output
    assert OFFLINE in script.output
    assert "NO MODEL" not in script.output


def test_an_unknown_argument_starts_nothing(tree: Path, environ: Mapping[str, str]) -> None:
    script = Script(tree, environ, "--modle")
    script.until_it_is_up(SECOND_DEADLINE_S)
    assert script.exit_code() == 2
    assert "usage: scripts/run [--no-model]" in script.output
