"""`woollama serve` before it serves: what it refuses to start on."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Home
from woollama.cli.serve import FLAGS
from woollama.config.model import ENVIRONMENT


def test_every_variable_of_the_daemon_has_its_flag() -> None:
    assert set(FLAGS.values()) == set(ENVIRONMENT)


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
