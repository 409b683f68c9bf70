"""A streamed response as it comes: its text on standard output, what happens for it on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from woollama.cli.questions import Questions
from woollama.cli.screen import complain, one_line, shown, styled

RESULT_CHARS = 300
"""How much of a tool's result is shown; the model has seen all of it."""
_SENT_BACK = frozenset({"message", "mcp_call", "reasoning"})

Item = dict[str, Any]


class Answer:
    """`show` prints the events of one response. `said` is what it consists of, complete or not.

    `questions` are put while a call waits for a person's yes.
    """

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._response = ""
        self._items: list[Item] = []
        self._text = ""
        self._line_open = False

    def show(self, events: Iterable[dict[str, Any]]) -> bool:
        """Print a streamed response; whether it came to its own end."""
        try:
            return self._show(events)
        finally:
            self._questions.end()

    def _show(self, events: Iterable[dict[str, Any]]) -> bool:
        for event in events:
            match event:
                case {"type": "response.created", "response": {"id": str(response)}}:
                    self._response = response
                case {"type": "response.output_text.delta" | "response.refusal.delta", "delta": text}:
                    self._print(text)
                case {
                    "type": "response.reasoning_text.delta" | "response.reasoning_summary_text.delta",
                    "delta": text,
                } if sys.stderr.isatty():
                    self._aside(styled(shown(text), "dim", sys.stderr), end="", line_open=not text.endswith("\n"))
                case {"type": "response.output_item.added", "item": {"type": "mcp_call"} as call}:
                    self._opened(call)
                case {"type": "response.output_item.done", "item": item}:
                    self._done(item)
                case {"type": "response.completed"}:
                    self.end_line()
                    return True
                case {"type": "response.incomplete", "response": {"incomplete_details": {"reason": reason}}}:
                    return self._fail(f"the answer is not complete: {reason}")
                case {"type": "response.failed", "response": {"error": {"message": message}}} | {
                    "type": "error",
                    "error": {"message": message},
                }:
                    return self._fail(message)
        return self._fail("the answer broke off")

    def said(self) -> Iterator[Item]:
        """Items that can be sent back as part of a conversation; of a message that broke off what there is of it."""
        items = [item for item in self._items if item["type"] in _SENT_BACK]
        while not self._text and items and items[-1]["type"] == "reasoning":
            items.pop()  # a thought that led to nothing cannot be sent alone
        yield from items
        if self._text:
            yield {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": self._text}]}

    def end_line(self) -> None:
        if self._line_open:
            print(flush=True)
        self._line_open = False

    def _print(self, text: str) -> None:
        if not self._text and self._line_open:  # after thoughts
            self.end_line()
        self._text += text
        print(shown(text), end="", flush=True)
        self._line_open = not text.endswith("\n") if text else self._line_open

    def _aside(self, text: str, *, end: str = "\n", line_open: bool = False) -> None:
        if self._line_open and self._text:
            self.end_line()
        print(text, end=end, file=sys.stderr, flush=True)
        self._line_open = line_open

    def _opened(self, call: Item) -> None:
        """A person who looks on sees at once what is going on; a log has it when it is over."""
        if sys.stderr.isatty():
            self.end_line()
            self._aside(styled(f"[{call['server_label']}.{call['name']} …]", "dim", sys.stderr))
        self._questions.begin(self._response)

    def _done(self, item: Item) -> None:
        self._items.append(item)
        match item["type"]:
            case "message":
                self._text = ""
            case "mcp_call":
                self.end_line()
                self._aside(styled(call_line(item), "dim", sys.stderr))
            case "mcp_approval_request":
                self.end_line()
                asked = one_line(f"{item['server_label']}.{item['name']} {item['arguments']}", RESULT_CHARS)
                self._aside(styled(f"[{asked} waits for a yes: `woollama approvals`]", "yellow", sys.stderr))

    def _fail(self, why: str) -> bool:
        self.end_line()
        complain(why)
        return False


def call_line(call: Mapping[str, Any]) -> str:
    """`[clock.now {"timezone": "Asia/Tokyo"} -> 12:00]`, shortened."""
    what = one_line(f"{call['server_label']}.{call['name']} {call['arguments']}", RESULT_CHARS)
    return f"[{what} -> {one_line(_result(call), RESULT_CHARS)}]"


def _result(call: Mapping[str, Any]) -> str:
    match call.get("error"):
        case {"content": list(blocks)}:
            return " ".join(str(block.get("text") or block.get("type")) for block in blocks)
        case {"message": str(message)} | str(message):
            return message
        case _:
            return str(call.get("output") or "nothing")
