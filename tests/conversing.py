"""An upstream that answers by what it is asked, for real clients that ask what they like.

The text of the last user message says what to do: lines `@call NAME {arguments}` are tool calls, `@error STATUS` is a
refusal, `@cut` breaks off in the middle, `@think TEXT` thinks first, and anything else is repeated. Results of tools
are told, a demanded tool is called, and a wished schema is honoured with a small instance of it.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from tests.upstream import Answer, Received, body, chat_json, chat_stream, error
from tests.upstream import json as json_answer
from woollama.inferencers.schema_instance import instance_of

VECTOR = (0.25, -0.5, 0.75)
PIXEL = base64.b64encode(b"\x89PNG one pixel").decode()
SOUND = b"RIFF a sound"
_CALL = re.compile(r"@call (\S+) (\{.*\})")
_ERROR = re.compile(r"@error (\d+)")
_THINK = re.compile(r"@think ([^\n]+)\n?")


def converse(request: Received) -> Answer:
    """To be given to `ScriptedUpstream.always`."""
    path = request.path.partition("?")[0].removeprefix("/v1")
    return _chat(request.json) if path == "/chat/completions" else _OTHERS[path](request)


def _chat(asked: Mapping[str, Any]) -> Answer:
    text, calls = _reply(asked)
    how: dict[str, Any] = {}
    if found := _ERROR.search(text):
        return error(int(found[1]), "as you wished", headers={"retry-after": "1"})
    if not asked.get("stream"):
        return chat_json(text, calls=calls)
    if thought := _THINK.search(text):
        how, text = {**how, "reasoning": thought[1]}, _THINK.sub("", text)
    if "@cut" in text:
        how = {**how, "cut_after": 3}
    if not (asked.get("stream_options") or {}).get("include_usage"):
        how = {**how, "usage": None}
    return chat_stream(text, calls=calls, **how)


def _reply(asked: Mapping[str, Any]) -> tuple[str, list[tuple[str, Any]]]:
    """The text of the answer, and the calls that it makes."""
    messages: Sequence[Mapping[str, Any]] = asked["messages"]
    results = list(takewhile(lambda message: message["role"] == "tool", reversed(messages)))
    if results and not _schema(asked):
        return f"The tools said: {'; '.join(_text(result) for result in reversed(results))}", []
    text = _text(next((each for each in reversed(messages) if each["role"] == "user"), {"content": ""}))
    if not results:
        if calls := [(name, json.loads(arguments)) for name, arguments in _CALL.findall(text)]:
            return "", calls
        if (function := _demanded(asked)) is not None:
            return "", [(function["name"], instance_of(function.get("parameters") or {}, ""))]
    if (schema := _schema(asked)) is not None:
        return json.dumps(instance_of(schema, "")), []
    images = sum(part.get("type") == "image_url" for part in _parts(messages[-1]))
    seen = f" I see {images} image{'s' if images > 1 else ''}." if images else ""
    return (text if text.startswith("@") else f"You said: {text}{seen}"), []


def _parts(message: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    content = message.get("content")
    return content if isinstance(content, list) else [{"type": "text", "text": content or ""}]


def _text(message: Mapping[str, Any]) -> str:
    return "".join(part.get("text", "") for part in _parts(message) if part.get("type") == "text")


def _demanded(asked: Mapping[str, Any]) -> Mapping[str, Any] | None:
    tools = {tool["function"]["name"]: tool["function"] for tool in asked.get("tools") or ()}
    match asked.get("tool_choice"):
        case {"function": {"name": name}}:
            return dict(tools[name])
        case "required" | "any":
            return dict(next(iter(tools.values())))
        case _:
            return None


def _schema(asked: Mapping[str, Any]) -> Mapping[str, Any] | None:
    match asked.get("response_format"):
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return dict(schema)
        case {"type": "json_object"}:
            return {"type": "object"}
        case _:
            return None


def _embeddings(request: Received) -> Answer:
    asked = request.json
    texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    packed = base64.b64encode(struct.pack("<3f", *VECTOR)).decode()
    vector: Any = packed if asked.get("encoding_format") == "base64" else list(VECTOR)
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, _ in enumerate(texts)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return json_answer({"object": "list", "data": data, "model": asked["model"], "usage": usage})


def _completions(request: Received) -> Answer:
    choice = {"index": 0, "text": f"{request.json['prompt']}, and so on", "logprobs": None, "finish_reason": "stop"}
    whole = {"id": "cmpl-1", "object": "text_completion", "created": 1700000000, "model": request.json["model"]}
    return json_answer({**whole, "choices": [choice]})


def _moderations(request: Received) -> Answer:
    result = {"flagged": False, "categories": {}, "category_scores": {}, "category_applied_input_types": {}}
    return json_answer({"id": "modr-1", "model": request.json["model"], "results": [result]})


_OTHERS: Mapping[str, Callable[[Received], Answer]] = {
    "/embeddings": _embeddings,
    "/completions": _completions,
    "/moderations": _moderations,
    "/images/generations": lambda request: json_answer({"created": 1, "data": [{"b64_json": PIXEL}]}),
    "/images/edits": lambda request: json_answer({"created": 1, "data": [{"b64_json": PIXEL}]}),
    "/audio/speech": lambda request: body(SOUND, headers={"content-type": "audio/wav"}),
    "/audio/transcriptions": lambda request: json_answer({"text": f"I heard {len(request.body) > 0}"}),
}
