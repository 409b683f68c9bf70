"""`/docs`: the routes as a page that needs nobody else, held against a real browser."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.browser import chromium
from tests.daemon import daemon_in_thread
from tests.snippets import ROOT
from woollama.server import ServeOptions
from woollama.surfaces.openapi.document import document
from woollama.surfaces.openapi.page import curl, page


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("run")
    options = ServeOptions(runtime_dir=directory, shutdown_timeout_s=1.0)
    with daemon_in_thread(ROOT / "tests" / "documents", {"HOME": str(directory)}, options) as running:
        yield running.url


def test_a_browser_shows_it_and_asks_nobody_else(url: str, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as browser:
        browser.open(f"{url}/docs")
        assert browser.value("document.title") == "woollama: routes"
        assert browser.value("document.querySelectorAll('details').length") > 30
        browser.ask("Runtime.evaluate", expression="document.querySelector('#get_v1_tools').open = true")
        shown = browser.value("document.querySelector('#get_v1_tools').innerText")
        assert "Every tool, and how the tool servers are" in shown
        assert "curl -sS http://127.0.0.1:11435/v1/tools" in shown
        # The style is in force: its digest in the policy is that of the page.
        assert browser.value("getComputedStyle(document.querySelector('summary')).display") == "flex"
        assert f"{url}/docs" in browser.requests
        assert {address for address in browser.requests if not address.startswith(f"{url}/")} == set()
        assert browser.complaints == []


def test_its_policy_allows_nothing_but_its_own_style(url: str) -> None:
    answer = httpx2.get(f"{url}/docs", timeout=60)
    assert answer.status_code == 200
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy.pop("style-src").startswith("'sha256-")
    assert policy == dict.fromkeys(("default-src", "base-uri", "form-action", "frame-ancestors"), "'none'")
    assert "<script" not in answer.text
    assert not re.search(r"""(?:src|href|action)=["']?(?:https?:)?//""", answer.text)


def test_what_a_route_is_called_cannot_break_out_of_the_page() -> None:
    made = document([("GET", "/<script>alert(1)</script>/{x}")], "<b>")
    text = page(made)
    assert "<script" not in text
    assert "<b>" not in text


def test_an_example_is_a_command_that_a_shell_reads_as_meant() -> None:
    made = document([("POST", "/v1/images/edits"), ("POST", "/w1/reload"), ("POST", "/w1/patterns/{name}/run")], "1")
    commands = {path: curl("POST", path, methods["post"]) for path, methods in made["paths"].items()}
    assert "-F model=INFERENCER/MODEL" in commands["/v1/images/edits"]
    assert "--unix-socket" in commands["/w1/reload"]
    assert shlex.split(commands["/w1/patterns/{name}/run"])[2] == "http://127.0.0.1:11435/w1/patterns/NAME/run"
