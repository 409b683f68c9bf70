"""What an answer waits for while a command shows it: a call that needs a yes, or a form that a tool asks for.

At a terminal the question is put right there. Elsewhere it is told, with the command that answers it, and whoever sees
it first answers.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import termios
import threading
import time
from contextlib import ExitStack, suppress
from typing import Any

from woollama.cli.asked import KEYS, decide, listen, question, single_keys
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import one_line, styled

_HINT = "y yes   a yes, always   n no   (no answer is a no)"
_FORM_HINT = "y fill it in   n no   (no answer is a no)"
_OVER = b"e"
_END_WITHIN_S = 1.0


class Questions:
    """Those of one answer after the other. `begin` when an answer may have some, `end` when it is over."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._news, self._tell = socket.socketpair()
        self._news.setblocking(False)
        self._hears = False
        self._asking: threading.Thread | None = None
        self._terminal: list[Any] | None = None

    def begin(self, response_id: str) -> None:
        """Look after the questions of this response, beside what the caller does; once is enough."""
        if self._asking is not None:
            return
        with suppress(BlockingIOError):
            while self._news.recv(4096):
                pass
        if not self._hears:  # nobody asks for the feed before a tool is called
            self._hears = True
            threading.Thread(target=listen, args=(self._daemon, self._told), daemon=True).start()
        if sys.stdin.isatty() and sys.stderr.isatty():
            self._terminal = termios.tcgetattr(sys.stdin)
        run = response_id.replace("resp_", "turn_", 1)
        self._asking = threading.Thread(target=self._ask_all, args=(run,), daemon=True)
        self._asking.start()

    def end(self) -> None:
        if self._asking is not None:
            self._tell.send(_OVER)
            self._asking.join(_END_WITHIN_S)  # somebody who fills in a form is not waited for
            self._asking = None
        if self._terminal is not None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._terminal)
            self._terminal = None

    def _told(self, news: bytes) -> None:
        if news == b"x":
            self._hears = False
        self._tell.send(news)

    def _ask_all(self, run: str) -> None:
        with suppress(NotRunning, Refused), ExitStack() as keys:
            current: dict[str, Any] | None = None
            told: set[str] = set()
            while True:
                waiting = [ask for ask in self._daemon.get("/w1/approvals")["data"] if ask["run"] == run]
                if current is not None and current["id"] not in [ask["id"] for ask in waiting]:
                    keys.close()
                    self._aside(_how_it_ended(current))
                    current = None
                for ask in waiting:
                    if self._terminal is None and ask["id"] not in told:
                        self._aside(_to_be_answered_elsewhere(ask))
                    elif self._terminal is not None and current is None:
                        current = ask
                        keys.enter_context(single_keys())  # first: it forgets what was typed, and that is no answer
                        self._aside(question(ask, _HINT if ask["kind"] == "call" else _FORM_HINT))
                    told.add(ask["id"])
                ready, _, _ = select.select([self._news, *([sys.stdin] if current else [])], [], [])
                if self._news in ready:
                    if set(self._news.recv(4096)) & {*_OVER, *b"x"}:
                        return
                elif current is not None:
                    key = os.read(sys.stdin.fileno(), 1).decode(errors="replace")
                    if key in KEYS and (key in ("y", "n") or (key == "a" and current["kind"] == "call")):
                        decide(self._daemon, current, key, sys.stderr)
                        keys.close()
                        current = None

    @staticmethod
    def _aside(text: str) -> None:
        print(styled(text, "yellow", sys.stderr), file=sys.stderr, flush=True)


def _to_be_answered_elsewhere(ask: dict[str, Any]) -> str:
    left_s = max(0, round(ask["expires_at"] - time.time()))
    what = one_line(f"{ask['name']} {ask['args']}" if ask["kind"] == "call" else ask["command_preview"], 300)
    how = f"`woollama approvals approve {ask['id']}`, or deny"
    return f"[{what} waits for a yes, {left_s} s from now on: {how}]"


def _how_it_ended(ask: dict[str, Any]) -> str:
    if time.time() >= ask["expires_at"] - 1.0:
        return f"  {one_line(ask['name'])}: nobody answered, which is a no"
    return f"  {one_line(ask['name'])}: this is over; it was answered elsewhere, or the call was ended"
