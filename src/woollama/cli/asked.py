"""What waits for a yes, at a terminal: how a question is shown, and how keys answer it."""

from __future__ import annotations

import json
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import complain, shown

KEYS: Mapping[str, tuple[str, str]] = {
    "y": ("approve", "once"),
    "c": ("approve", "conversation"),
    "a": ("approve", "always"),
    "n": ("deny", "once"),
}
"""What each key decides, and for how long. A form that a tool asks for takes only y and n."""


def told(ask_id: str, decision: str, wished: str, kept: str) -> str:
    """What came of an answer, and how long it counts."""
    line = f"{ask_id}: {'approved' if decision == 'approve' else 'denied'}"
    if kept != "once":
        line += " for good" if kept == "always" else " for this conversation"
    if kept != wished:
        line += f" (once only: {'there is no conversation' if wished == 'conversation' else 'it cannot be remembered'})"
    return line


def question(ask: Mapping[str, Any], hint: str) -> str:
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
    lines.append(f"  {hint}")
    return shown("\n".join(lines))


def decide(daemon: Daemon, ask: Mapping[str, Any], key: str, out: TextIO) -> None:
    """Answer with what `key` stands for, and say what came of it. Raises `NotRunning`."""
    decision, remember = KEYS[key]
    answer: dict[str, Any] = {"decision": decision, "remember": remember}
    if ask["kind"] == "question" and decision == "approve":
        with _whole_lines():
            answer["content"] = _filled_in(ask["question"].get("requestedSchema") or {}, out)
    try:
        done = daemon.send(f"/w1/approvals/{ask['id']}", answer)
    except Refused as error:
        complain(error)
        return
    print(f"  {told(ask['name'], decision, remember, done['remember'])}", file=out, flush=True)


def listen(daemon: Daemon, tell: Callable[[bytes], object]) -> None:
    """`tell` a `.` whenever something may have changed in what waits, and an `x` when nothing will any more."""
    try:
        for event in daemon.events("/w1/events"):
            if event["type"] in ("listening", "approval.asked", "approval.answered", "dropped"):
                tell(b".")
    except (NotRunning, Refused, OSError, ValueError):
        pass
    tell(b"x")


@contextmanager
def single_keys() -> Iterator[None]:
    """Keys come as they are pressed; what was typed before is forgotten. Ctrl-C still interrupts."""
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


def _arguments(written: str) -> str:
    try:
        return json.dumps(json.loads(written), indent=2, ensure_ascii=False)
    except ValueError:
        return written


def _filled_in(schema: Mapping[str, Any], out: TextIO) -> dict[str, Any]:
    """A form, line by line. An empty line leaves a field out; what does not fit is for the daemon to say."""
    content: dict[str, Any] = {}
    for name, field in (schema.get("properties") or {}).items():
        choices = f" ({', '.join(map(str, field['enum']))})" if isinstance(field.get("enum"), list) else ""
        label = shown(f"  {field.get('title') or name}{choices}: ").replace("\n", " ")
        print(label, end="", file=out, flush=True)
        if line := sys.stdin.readline().strip():
            content[name] = line if field.get("type") == "string" else _value(line)
    return content


def _value(line: str) -> Any:
    try:
        return json.loads({"yes": "true", "no": "false"}.get(line.lower(), line))
    except ValueError:
        return line
