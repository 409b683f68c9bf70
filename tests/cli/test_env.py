"""`woollama env`: lines that a shell evaluates, and that lead here."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.cli.conftest import FakeDaemon, Home
from woollama.cli.env import variables

WANTED = {
    "OPENAI_BASE_URL": "http://127.0.0.1:4242/v1",
    "OPENAI_API_BASE": "http://127.0.0.1:4242/v1",
    "OPENAI_API_KEY": "woollama",
    "ANTHROPIC_BASE_URL": "http://127.0.0.1:4242",
    "ANTHROPIC_API_KEY": "woollama",
    "OLLAMA_HOST": "127.0.0.1:4242",
}


def evaluated(home: Home, shell: str, text: str, **environ: str) -> dict[str, str]:
    dump = "import json, os; print(json.dumps(dict(os.environ)))"
    finished = subprocess.run(
        [shell, "-c", f"{text}\npython3 -c '{dump}'"],
        env={**home.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(finished.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "fish"])
@pytest.mark.parametrize("directory", ["run", "it's $HOME"])
def test_a_shell_takes_it(home: Home, daemon: FakeDaemon, shell: str, directory: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    daemon.answers["/healthz"] = (200, {"ok": True})
    runtime = home.directory / directory
    if directory != "run":
        home.runtime.rename(runtime)
    (runtime / "woollama.addr").write_text("127.0.0.1:4242\n")
    printed = home.woollama("env", "--shell", shell, XDG_RUNTIME_DIR=str(runtime))
    assert (printed.returncode, printed.stderr) == (0, "")
    found = evaluated(home, shell, printed.stdout)
    assert {name: found[name] for name in WANTED} == WANTED
    assert found["WOOLLAMA_SOCKET"] == str(runtime / "woollama.sock")
    # a token is taken from its variable and never printed
    printed = home.woollama("env", XDG_RUNTIME_DIR=str(runtime), WOOLLAMA_TOKEN="hunter2", SHELL=f"/bin/{shell}")
    assert "hunter2" not in printed.stdout
    assert evaluated(home, shell, printed.stdout, WOOLLAMA_TOKEN="hunter2")["OPENAI_API_KEY"] == "hunter2"


def test_without_a_daemon_it_says_so_beside_lines_for_the_usual_address(home: Home) -> None:
    printed = home.woollama("env")
    assert printed.returncode == 0
    assert "woollama is not running" in printed.stderr
    assert "export OPENAI_BASE_URL=http://127.0.0.1:11435/v1\n" in printed.stdout
    assert "http://127.0.0.1:99/v1" in home.woollama("env", WOOLLAMA_ADDRESS="127.0.0.1:99").stdout


@pytest.mark.parametrize(
    ("address", "url"),
    [("0.0.0.0:1", "http://127.0.0.1:1/v1"), ("[::]:1", "http://[::1]:1/v1"), ("[::1]:1", "http://[::1]:1/v1")],
)
def test_an_address_that_means_everywhere_is_reached_on_loopback(address: str, url: str) -> None:
    assert variables(address, "/s")["OPENAI_BASE_URL"] == url
