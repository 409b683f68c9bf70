"""A real browser for tests: Chromium without a window, driven over its own protocol."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

PATIENCE_S = 60.0
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync"),
    *(
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-extensions",
        "--remote-debugging-port=0",
    ),
)


@dataclass
class Page:
    """One tab. `requests` are the addresses that it asked for, `complaints` what the browser has against the page."""

    socket: ClientConnection
    session: str = ""
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    loaded: bool = False
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def open(self, address: str) -> None:
        """Go there, and wait until everything that the page wants has come."""
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.ask(f"{domain}.enable")
        self.loaded = False
        self.ask("Page.navigate", url=address)
        while not self.loaded:
            self._hear()

    def value(self, expression: str) -> Any:
        """What JavaScript makes of it in the page."""
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        self.socket.send(json.dumps(message | ({"sessionId": self.session} if self.session else {})))
        while True:
            heard = self._hear()
            if heard.get("id") == number:
                assert "error" not in heard, heard
                return dict(heard["result"])

    def _hear(self) -> dict[str, Any]:
        heard: dict[str, Any] = json.loads(self.socket.recv(PATIENCE_S))
        match heard.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(heard["params"]["request"]["url"])
            case "Log.entryAdded":
                self.complaints.append(heard["params"]["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(heard["params"]["exceptionDetails"]))
            case "Page.loadEventFired":
                self.loaded = True
        return heard


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """A page in a new Chromium, which ends with the block. Skips where there is none."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("there is no Chromium on this machine")
    command = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    with (
        tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as short,  # a socket lies in it
        subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"], "HOME": str(profile), "TMPDIR": short},
        ) as process,
    ):
        try:
            assert process.stderr is not None
            address = next(line for line in process.stderr if line.startswith("DevTools listening on "))
            with connect(address.removeprefix("DevTools listening on ").strip(), max_size=None) as socket:
                page = Page(socket)
                target = page.ask("Target.createTarget", url="about:blank")["targetId"]
                page.session = page.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
                yield page
        finally:
            process.kill()
