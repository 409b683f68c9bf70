"""`woollama run RECIPE TEXT`: one question, its answer as it comes, and the tools that were called for it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from typing import Any

from woollama.cli.arguments import SubParsers
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import complain, shown


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "run",
        help="ask a recipe or a model once",
        description="Ask once and print the answer as it comes; tool calls are shown on standard error.",
    )
    parser.add_argument("model", metavar="RECIPE", help="a recipe, or any other name that `woollama models` shows")
    parser.add_argument("text", nargs="?", help="what to ask; read from standard input when it is left out or -")
    parser.add_argument(
        "--var",
        action="append",
        default=[],
        type=_pair,
        metavar="NAME=VALUE",
        help="the value of one of the recipe's variables; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    text = sys.stdin.read() if args.text in (None, "-") else args.text
    if not text.strip():
        complain("there is nothing to ask")
        return 2
    asked: dict[str, Any] = {"model": args.model, "input": text, "stream": True, "store": False}
    if args.var:
        asked["variables"] = dict(args.var)
    try:
        return _show(Daemon(os.environ).post("/v1/responses", asked))
    except (NotRunning, Refused) as error:
        complain(error)
        return 1


def _show(events: Iterable[dict[str, Any]]) -> int:
    """Print a streamed response; 1 unless it came to its own end."""
    line_open = False
    for event in events:
        match event:
            case {"type": "response.output_text.delta" | "response.refusal.delta", "delta": text}:
                print(shown(text), end="", flush=True)
                line_open = not text.endswith("\n")
            case {"type": "response.output_item.done", "item": {"type": "mcp_call"} as call}:
                line_open = _end_line(line_open)
                print(shown(_call_line(call)), file=sys.stderr)
            case {"type": "response.completed"}:
                _end_line(line_open)
                return 0
            case {"type": "response.incomplete", "response": {"incomplete_details": {"reason": reason}}}:
                _end_line(line_open)
                complain(f"the answer is not complete: {reason}")
                return 1
            case {"type": "response.failed", "response": {"error": {"message": message}}} | {
                "type": "error",
                "error": {"message": message},
            }:
                _end_line(line_open)
                complain(message)
                return 1
    _end_line(line_open)
    complain("the answer broke off")
    return 1


def _end_line(is_open: bool) -> bool:
    if is_open:
        print()
    return False


def _call_line(call: dict[str, Any]) -> str:
    error = call.get("error")
    result = call.get("output") if error is None else _said(error)
    return f"[{call['server_label']}.{call['name']} {call['arguments']} -> {result}]"


def _said(error: dict[str, Any]) -> str:
    """What an error of a call says, wherever it says it."""
    said = [part["text"] for part in error.get("content") or () if isinstance(part.get("text"), str)]
    return " ".join(said) or error.get("message") or error["type"]


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError("must be NAME=VALUE")
    return name, value
