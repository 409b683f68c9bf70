"""What a model without tool calling is told: the tools in words, worked calls, and results as facts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from woollama.domain.messages import Item, Json, Message, Text, ToolCall, ToolResult
from woollama.domain.tools import Function
from woollama.inferencers.emulated_tools.combined_schema import arguments_schema

CALL_ONE = "You call tools. Reply with the arguments of {name} as JSON."
CALL_SOME = (
    'You call tools. Reply with JSON: {{"calls": [{{"name": "{name}", "arguments": {{…}}}}]}}, with one entry for each'
    " call, and nothing twice."
)
CALL_OR_NOT = CALL_SOME + ' Where no call is needed, or no further call: {{"calls": []}}.'
ANSWER_FROM_RESULTS = "Answer from the results of the tools."

_PLAIN_KEYS = frozenset({"type", "description", "title", "enum", "const", "default", "examples", "format"})
_PLAIN_TYPES = frozenset({"string", "integer", "number", "boolean", "null"})


def arguments_system(system: str, function: Function) -> str:
    return _paragraphs(system, CALL_ONE.format(name=function.name), described(function))


def choice_system(system: str, functions: Sequence[Function], *, required: bool) -> str:
    rule = (CALL_SOME if required else CALL_OR_NOT).format(name=functions[0].name)
    return _paragraphs(system, rule, *map(described, functions))


def answer_system(system: str, items: Sequence[Item]) -> str:
    return _paragraphs(system, ANSWER_FROM_RESULTS if items and isinstance(items[-1], ToolResult) else "")


def described(function: Function) -> str:
    """A tool in a few lines: what it does, its arguments, and how they look if no worked call shows it."""
    schema = arguments_schema(function)
    lines = [f"{function.name}: {function.description.strip()}".rstrip(": ")]
    properties = schema.get("properties") or {}
    if all(_is_plain(each) for each in properties.values()) and "properties" in schema:
        required = schema.get("required") or ()
        shown = any(example.ask for example in function.examples)
        lines += [_argument(name, each, name in required, shown) for name, each in properties.items()]
    else:
        lines.append(f"Arguments by this JSON Schema: {_json(schema)}")
    wordless = [example.arguments for example in function.examples if not example.ask]
    lines += [f"Example of arguments: {_json(each)}" for each in (*wordless, *_own_examples(schema))]
    return "\n".join(lines)


def worked_arguments(function: Function) -> Iterator[Message]:
    for example in function.examples:
        if example.ask:
            yield _said("user", example.ask)
            yield _said("assistant", _json(example.arguments))


def worked_calls(functions: Sequence[Function]) -> Iterator[Message]:
    for function in functions:
        for example in function.examples:
            if example.ask:
                yield _said("user", example.ask)
                yield _said("assistant", _json({"calls": [{"name": function.name, "arguments": example.arguments}]}))


def after_examples(examples: Iterable[Message], items: Sequence[Item]) -> tuple[Item, ...]:
    """The worked calls as earlier exchanges, after what is said to the model before any exchange."""
    told = without_calls(items)
    start = next((at for at, item in enumerate(told) if not _is_instruction(item)), len(told))
    return (*told[:start], *examples, *told[start:])


def without_calls(items: Sequence[Item]) -> tuple[Item, ...]:
    """The history for a model that knows no tools: each result, with the call that it answers, is told by the user.

    It joins the user's message before it where there is one, because many chat templates want the roles to alternate.
    """
    calls = {item.id: item for item in items if isinstance(item, ToolCall)}
    told: list[Item] = []
    for item in items:
        if isinstance(item, ToolCall):
            continue
        if isinstance(item, ToolResult):
            _append(told, _result(calls.get(item.call_id), item))
        else:
            told.append(item)
    return tuple(told)


def _is_instruction(item: Item) -> bool:
    return isinstance(item, Message) and item.role in ("system", "developer")


def _append(told: list[Item], text: str) -> None:
    last = told[-1] if told else None
    if isinstance(last, Message) and last.role == "user":
        told[-1] = replace(last, parts=(*last.parts, Text(f"\n\n{text}")))
    else:
        told.append(_said("user", text))


def _result(call: ToolCall | None, result: ToolResult) -> str:
    made = f"{call.name}({call.arguments})" if call else "a tool"
    return f"Result of {made}:\n{result.outcome.for_model()}"


def _argument(name: str, schema: Mapping[str, Json], required: bool, shown: bool) -> str:
    kind = schema.get("type") or "any"
    if "const" in schema or "enum" in schema:
        kind = "one of " + ", ".join(map(_json, schema.get("enum") or [schema["const"]]))
    line = f"- {name} ({kind}, {'required' if required else 'optional'})"
    if schema.get("description"):
        line += f": {schema['description']}"
    # A small model takes the nearest example at hand: a worked call teaches, a list beside it misleads.
    if schema.get("examples") and not shown:
        line += f" (e.g. {', '.join(map(_json, schema['examples']))})"
    return line


def _own_examples(schema: Mapping[str, Json]) -> list[Json]:
    return [example for example in schema.get("examples") or () if isinstance(example, Mapping)]


def _is_plain(schema: Json) -> bool:
    if not isinstance(schema, Mapping) or not isinstance(schema.get("type", "string"), str):
        return False
    limits = {key for key in schema if key.startswith(("min", "max", "exclusive"))}
    return schema.get("type", "string") in _PLAIN_TYPES and schema.keys() - limits <= _PLAIN_KEYS


def _said(role: str, text: str) -> Message:
    return Message("assistant" if role == "assistant" else "user", (Text(text),))


def _paragraphs(*texts: str) -> str:
    return "\n\n".join(filter(None, texts))


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
