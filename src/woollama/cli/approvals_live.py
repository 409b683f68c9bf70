"""The live list of `woollama approvals`: one question at a time, and a key for an answer."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any

from woollama.cli.asked import KEYS, decide, listen, question, single_keys
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import complain

_HINT = "y yes   c yes, for this conversation   a yes, always   n no   s later   q quit"
_FORM_HINT = "y fill it in   n no   s later   q quit"


def watch(daemon: Daemon) -> int:
    """Until `q`, Ctrl-C or the end of the daemon. Raises `NotRunning` and `Refused` where it cannot begin."""
    daemon.get("/w1/approvals")
    readable, writable = os.pipe()
    threading.Thread(target=listen, args=(daemon, partial(os.write, writable)), daemon=True).start()
    with single_keys():
        try:
            return _Live(daemon, readable).run()
        except (NotRunning, Refused):
            complain("the daemon has ended")
            return 1


class _Live:
    def __init__(self, daemon: Daemon, news: int) -> None:
        self._daemon = daemon
        self._news = news
        self._later: set[str] = set()
        self._said_nothing_waits = False

    def run(self) -> int:
        current: dict[str, Any] | None = None
        while True:
            waiting = {ask["id"]: ask for ask in self._daemon.get("/w1/approvals")["data"]}
            if current is not None and current["id"] not in waiting:
                print("  this is over: it was answered elsewhere, or nobody waits for it any more")
                current = None
            if current is None:
                current = self._next(waiting)
            key = self._key()
            if key in ("q", "\x04"):
                return 0
            if current is None or key is None:
                continue
            if key == "s":
                self._later.add(current["id"])
                current = None
            elif key in KEYS and (key in ("y", "n") or current["kind"] == "call"):
                decide(self._daemon, current, key, sys.stdout)
                current = None

    def _next(self, waiting: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
        ask = next((ask for ask_id, ask in waiting.items() if ask_id not in self._later), None)
        if ask is not None:
            self._said_nothing_waits = False
            print(question(ask, _HINT if ask["kind"] == "call" else _FORM_HINT), flush=True)
        elif not self._said_nothing_waits:
            self._said_nothing_waits = True
            print(f"{'nothing else' if waiting else 'nothing'} waits for a yes; q quits", flush=True)
        return ask

    def _key(self) -> str | None:
        """A key, or `None` when something has happened. Raises `Refused` when nothing will any more."""
        ready, _, _ = select.select([sys.stdin, self._news], [], [])
        if self._news in ready:
            if not os.read(self._news, 4096).endswith(b"."):
                raise Refused("the feed has ended")
            return None
        return os.read(sys.stdin.fileno(), 1).decode(errors="replace") or "q"
