"""`woollama serve`: what it refuses to start on, and a daemon from its start to its end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.conftest import Home
from woollama.cli.serve import FLAGS
from woollama.config.environment import ENVIRONMENT


def test_every_variable_of_the_daemon_has_its_flag() -> None:
    # A database is no matter of one start, and its URL can hold a password, which a list of processes would show.
    assert set(FLAGS.values()) == set(ENVIRONMENT) - {"WOOLLAMA_STATE_URL"}


def test_a_file_that_does_not_parse_stops_a_start(home: Home) -> None:
    home.write("recipes.toml", "[recipes\n")
    finished = home.woollama("serve")
    assert finished.returncode == 1
    assert "recipes.toml:1: is not valid TOML" in finished.stderr
    assert "woollama check tells what is wrong" in finished.stderr
    assert list(home.runtime.iterdir()) == []


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("WOOLLAMA_HEARTBEAT", "often", 1),
        ("WOOLLAMA_MAX_BODY_BYTES", "much", 1),
        ("WOOLLAMA_LOG", "loud", 2),
        ("WOOLLAMA_LOG_FORMAT", "xml", 2),
    ],
)
def test_a_variable_that_cannot_be_read_stops_a_start_and_is_named(
    home: Home, variable: str, value: str, code: int
) -> None:
    finished = home.woollama("serve", **{variable: value})
    assert finished.returncode == code
    assert f"woollama: {variable}: " in finished.stderr
    assert list(home.runtime.iterdir()) == []


def test_an_address_beyond_loopback_without_a_token_is_refused_for_safety(home: Home) -> None:
    for finished in (home.woollama("serve", "--address", "0.0.0.0:0"), home.woollama(WOOLLAMA_ADDRESS="0.0.0.0:0")):
        assert finished.returncode == 4
        assert "WOOLLAMA_TOKEN" in finished.stderr


@contextmanager
def serving(home: Home) -> Iterator[subprocess.Popen[str]]:
    """A daemon that listens; its log is on its standard error."""
    daemon = subprocess.Popen(
        [sys.executable, "-m", "woollama", "serve", "--address", "127.0.0.1:0"],
        env=home.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert daemon.stderr is not None
    try:
        for line in daemon.stderr:
            if "listening at" in line:
                break
        else:
            raise AssertionError("the daemon ended before it listened")
        yield daemon
    finally:
        daemon.kill()
        daemon.communicate(timeout=60)


def test_a_daemon_is_asked_found_running_and_ended(home: Home) -> None:
    home.write("inferencers.toml", "[inferencers.ollama]\ndiscover = false\n")
    home.write(
        "mcp.json", json.dumps({"mcpServers": {name: {"disabled": True} for name in ("hello", "clock", "textops")}})
    )
    with serving(home) as daemon:
        assert "scripted/echo" in home.woollama("models").stdout.splitlines()
        assert home.woollama("status").stdout.startswith("woollama ")
        answered = home.woollama("run", "scripted/echo", "Is anybody there?")
        assert (answered.returncode, answered.stderr) == (0, "")
        assert "Is anybody there?" in answered.stdout
        unknown = home.woollama("run", "scriptd/echo", "Hm?")
        assert (unknown.returncode, "scripted/echo" in unknown.stderr) == (1, True)
        second = home.woollama("serve")
        assert (second.returncode, str(home.runtime) in second.stderr) == (3, True)
        home.write("recipes.toml", '[recipes.parrot]\ninferencer = "scripted/echo"\n')
        reloaded = home.woollama("reload")
        assert (reloaded.returncode, reloaded.stdout) == (0, "recipe parrot added\n")
        home.write("recipes.toml", "[recipes.parrot\n")
        broken = home.woollama("reload")
        assert (broken.returncode, broken.stdout) == (1, "")
        assert "recipes.toml:1: is not valid TOML" in broken.stderr
        assert "goes on with the configuration that it has" in broken.stderr
        assert "woollama/parrot" in home.woollama("models").stdout
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(timeout=60) == 0
    assert home.woollama("status").returncode == 1
