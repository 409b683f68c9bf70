"""The live list of `woollama approvals`: one question at a time, and a key for an answer."""

from __future__ import annotations

import json
import os
import select
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from woollama.cli.approvals import told
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import complain, shown

KEYS: Mapping[str, tuple[str, str]] = {
    "y": ("approve", "once"),
    "c": ("approve", "conversation"),
    "a": ("approve", "always"),
    "n": ("deny", "once"),
}
_HINT = "y yes   c yes, for this conversation   a yes, always   n no   s later   q quit"
_FORM_HINT = "y fill it in   n no   s later   q quit"


def watch(daemon: Daemon) -> int:
    """Until `q`, Ctrl-C or the end of the daemon. Raises `NotRunning` and `Refused` where it cannot begin."""
    daemon.get("/w1/approvals")
    readable, writable = os.pipe()
    threading.Thread(target=_listen, args=(daemon, writable), daemon=True).start()
    with _single_keys():
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
                self._decide(current, *KEYS[key])
                current = None

    def _next(self, waiting: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
        ask = next((ask for ask_id, ask in waiting.items() if ask_id not in self._later), None)
        if ask is not None:
            self._said_nothing_waits = False
            print(_question(ask), flush=True)
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

    def _decide(self, ask: dict[str, Any], decision: str, remember: str) -> None:
        answer: dict[str, Any] = {"decision": decision, "remember": remember}
        if ask["kind"] == "question" and decision == "approve":
            with _whole_lines():
                answer["content"] = _filled_in(ask["question"].get("requestedSchema") or {})
        try:
            done = self._daemon.send(f"/w1/approvals/{ask['id']}", answer)
        except Refused as error:
            complain(error)
            return
        print(f"  {told(ask['name'], decision, remember, done['remember'])}", flush=True)


def _question(ask: dict[str, Any]) -> str:
    """Everything of it, for the screen: what could steer a terminal or disguise a word is shown as what it is."""
    left_s = max(0, round(ask["expires_at"] - time.time()))
    where = f"recipe {ask['recipe']}" if ask["recipe"] else "no recipe"
    lines = ["", f"{ask['name']}   ({where}, asked by {ask['caller'] or 'somebody'}, {left_s} s left)"]
    if ask["kind"] == "question":
        lines.append(f"  {ask['command_preview']}")
    lines += [f"  {line}" for line in _arguments(ask["args"]).splitlines()]
    hints = [name for name in ("destructiveHint", "openWorldHint", "readOnlyHint") if ask["annotations"].get(name)]
    if hints:
        lines.append(f"  its server says of it: {', '.join(hints)}")
    lines.append(f"  {_HINT if ask['kind'] == 'call' else _FORM_HINT}")
    return shown("\n".join(lines))


def _arguments(written: str) -> str:
    try:
        return json.dumps(json.loads(written), indent=2, ensure_ascii=False)
    except ValueError:
        return written


def _filled_in(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A form, line by line. An empty line leaves a field out; what does not fit is for the daemon to say."""
    content: dict[str, Any] = {}
    for name, field in (schema.get("properties") or {}).items():
        choices = f" ({', '.join(map(str, field['enum']))})" if isinstance(field.get("enum"), list) else ""
        line = input(shown(f"  {field.get('title') or name}{choices}: ").replace("\n", " ")).strip()
        if line:
            content[name] = line if field.get("type") == "string" else _value(line)
    return content


def _value(line: str) -> Any:
    try:
        return json.loads({"yes": "true", "no": "false"}.get(line.lower(), line))
    except ValueError:
        return line


def _listen(daemon: Daemon, writable: int) -> None:
    """A byte into the pipe whenever there may be something new; a last one that is another at the end."""
    try:
        for event in daemon.events("/w1/events"):
            if event["type"] in ("listening", "approval.asked", "approval.answered", "dropped"):
                os.write(writable, b".")
    except (NotRunning, Refused, OSError, ValueError):
        pass
    os.write(writable, b"x")


@contextmanager
def _single_keys() -> Iterator[None]:
    """Keys come as they are pressed. Ctrl-C still interrupts."""
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextmanager
def _whole_lines() -> Iterator[None]:
    before = termios.tcgetattr(sys.stdin)
    cooked = termios.tcgetattr(sys.stdin)
    cooked[3] |= termios.ICANON | termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, cooked)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
