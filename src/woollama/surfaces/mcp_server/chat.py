"""The tool `chat`: a recipe or a model answers, with progress on the way."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from woollama.core.names import OWN_PREFIX
from woollama.core.runs import Runs
from woollama.domain.answers import Answer
from woollama.domain.errors import BadRequest
from woollama.domain.events import CallClosed, CallOpened, Event, Failed, RoundBegan, Stopped, TextDelta, ToolReturned
from woollama.domain.ids import new_id
from woollama.domain.messages import Json, Message, Refusal, ToolCall, ToolResult
from woollama.domain.tools import Returned
from woollama.domain.turns import Caller, Turn
from woollama.surfaces import openai_chat

NAME = "chat"
Tell = Callable[[float, float | None, str | None], Awaitable[None]]

_ARGUMENTS = frozenset({"messages", "recipe", "model", "variables", "max_tokens"})
_MESSAGE = {
    "type": "object",
    "properties": {
        "role": {"type": "string", "enum": ["user", "assistant", "system"]},
        "content": {"type": "string"},
    },
    "required": ["role", "content"],
}
_OUTPUT = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "model": {"type": "string", "description": "who answered, as inferencer/model"},
        "usage": {
            "type": "object",
            "properties": {name: {"type": "integer"} for name in ("input_tokens", "output_tokens", "total_tokens")},
        },
        "tool_calls": {
            "type": "array",
            "items": {"type": "object"},
            "description": "the calls that were made for this answer, with their results",
        },
        "stop_reason": {"type": "string", "description": "end, or what cut the answer short (length, max_rounds, ...)"},
    },
    "required": ["text", "model", "usage", "tool_calls", "stop_reason"],
}


def definition(recipes: Iterable[str]) -> dict[str, Json]:
    known = ", ".join(sorted(recipes))
    return {
        "name": NAME,
        "title": "Chat with a recipe or a model",
        "description": (
            "Ask a woollama recipe (a model with its instructions and tools) or a model, and get its answer. "
            + (f"Recipes: {known}." if known else "There are no recipes.")
        ),
        "inputSchema": {
            "type": "object",
            "properties": {
                "messages": {"type": "array", "items": _MESSAGE, "minItems": 1},
                "recipe": {"type": "string", "default": "", "description": "the name of a recipe"},
                "model": {"type": "string", "default": "", "description": "instead of a recipe: inferencer/model"},
                "variables": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "default": {},
                    "description": "values of the recipe's variables",
                },
                "max_tokens": {"type": ["integer", "null"], "default": None},
            },
            "required": ["messages"],
        },
        "outputSchema": _OUTPUT,
        "annotations": {"openWorldHint": True},
    }


async def chat(runs: Runs, turn: Turn, tell: Tell) -> dict[str, Json]:
    """MCP's result object. Raises `RouterError` for an answer that failed."""
    steps = _Steps(tell)
    answer = Answer()
    await steps.say(f"asking {turn.model}")
    async with runs.start(turn) as run:
        async for event in run.watch():
            answer.see(event)
            if said := steps.of(event):
                await steps.say(said)
    if isinstance(answer.ending, Failed):
        raise answer.ending.error
    structured = _structured(answer)
    return {"content": [{"type": "text", "text": structured["text"]}], "structuredContent": structured}


def decode(arguments: Mapping[str, Json], caller: Caller) -> Turn:
    """Raises `BadRequest` for arguments that make no sense."""
    if unknown := sorted(set(arguments) - _ARGUMENTS):
        raise BadRequest(f"chat has no argument {unknown[0]!r}", param=unknown[0])
    recipe, model = arguments.get("recipe") or "", arguments.get("model") or ""
    if bool(recipe) == bool(model):
        raise BadRequest("chat needs either `recipe` or `model`" + (", not both" if recipe else ""), param="recipe")
    body = {
        "model": model or f"{OWN_PREFIX}/{recipe}",
        "messages": arguments.get("messages"),
        "variables": arguments.get("variables"),
        "max_tokens": arguments.get("max_tokens"),
    }
    given = {name: value for name, value in body.items() if value is not None}
    return openai_chat.decode(given, turn_id=new_id("turn_"), caller=caller)


class _Steps:
    """Progress of a chat: each step counts one, with a line that says what it was."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._count = 0
        self._open: dict[int, CallOpened] = {}
        self._names: dict[str, str] = {}

    async def say(self, message: str) -> None:
        self._count += 1
        await self._tell(float(self._count), None, message)

    def of(self, event: Event) -> str | None:
        match event:
            case RoundBegan():
                return f"{event.target} answers" if event.round == 0 else f"{event.target} goes on"
            case TextDelta():
                return event.text
            case CallOpened():
                self._open[event.index] = event
                self._names[event.id] = f"{event.server}.{event.tool}" if event.server else event.name
                return None
            case CallClosed():
                return f"calls {self._names[self._open[event.index].id]}"
            case ToolReturned():
                failed = not isinstance(event.outcome, Returned) or event.outcome.is_error
                return f"{self._names.get(event.call_id, 'the tool')} {'failed' if failed else 'returned'}"
            case _:
                return None


def _structured(answer: Answer) -> dict[str, Any]:
    usage = answer.usage.total
    return {
        "text": answer.text or _refusal(answer),
        "model": str(answer.rounds[-1].target) if answer.rounds else "",
        "usage": {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
        },
        "tool_calls": list(_calls(answer)),
        "stop_reason": answer.ending.reason if isinstance(answer.ending, Stopped) else "end",
    }


def _calls(answer: Answer) -> Iterable[dict[str, Any]]:
    results = {item.call_id: item.outcome for item in answer.items if isinstance(item, ToolResult)}
    for call in answer.items:
        if isinstance(call, ToolCall):
            outcome = results.get(call.id)
            yield {
                "id": call.id,
                "name": f"{call.server}.{call.tool}" if call.server else call.name,
                "arguments": _parsed(call.arguments),
                "result": outcome.for_model() if outcome else None,
            }


def _parsed(arguments: str) -> Json:
    """The object that the model wrote, or its text where that is none."""
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


def _refusal(answer: Answer) -> str:
    messages = [item for item in answer.items if isinstance(item, Message)]
    return "".join(part.text for message in messages for part in message.parts if isinstance(part, Refusal))
