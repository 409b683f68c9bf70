"""Chat completion streams as upstreams send them: proper ones, and every improper kind that we repair or report.

Pure bytes, for decoders and for `tests.upstream`. A frame is one event with the blank line that ends it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

MODEL = "mock-model"
DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}

MALFORMED: tuple[str, ...] = (
    *("comment", "crlf", "cr", "multiline", "bytes", "bom"),
    *("noindex", "argsobj", "noid", "nodone", "nofinish", "dupfinish", "usagenull", "emptychoices"),
    *("json", "errorevent", "html", "empty"),
)
"""The first row is odd in framing only, the second in meaning and can be repaired, the third is beyond repair."""


def frame(value: Any) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def chunk(delta: Mapping[str, Any] | None = None, finish: str | None = None, **members: Any) -> dict[str, Any]:
    """A chunk with one choice. `members` are set on the chunk itself (`usage`, `choices`, vendor fields)."""
    choice = {"index": 0, "delta": dict(delta or {}), "logprobs": None, "finish_reason": finish}
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": MODEL}
    return {**base, "choices": [choice], **members}


def call_delta(index: int, id: str, name: str, arguments: str) -> dict[str, Any]:  # noqa: A002
    return {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def pieces(text: str) -> list[str]:
    return [word + " " for word in text.split(" ")[:-1]] + [text.split(" ")[-1]]


def chunks(
    text: str = "",
    *,
    calls: Sequence[tuple[str, Any]] = (),
    reasoning: str = "",
    refusal: str = "",
    finish: str | None = None,
    usage: Mapping[str, int] | None = USAGE,
) -> list[dict[str, Any]]:
    """The chunks of one answer: a role, thoughts, words, tool calls in two deltas each, a finish and the usage."""
    made = [chunk({"role": "assistant", "content": ""})]
    made += [chunk({"reasoning_content": piece}) for piece in pieces(reasoning) if piece]
    made += [chunk({"content": piece}) for piece in pieces(text) if piece]
    made += [chunk({"refusal": piece}) for piece in pieces(refusal) if piece]
    for index, (name, arguments) in enumerate(calls):
        written = arguments if isinstance(arguments, str) else json.dumps(arguments)
        half = len(written) // 2
        made.append(chunk({"tool_calls": [call_delta(index, f"call_{index}", name, written[:half])]}))
        made.append(chunk({"tool_calls": [{"index": index, "function": {"arguments": written[half:]}}]}))
    made.append(chunk({}, finish or ("tool_calls" if calls else "stop")))
    if usage is not None:
        made.append(chunk(choices=[], usage=dict(usage)))
    return made


def frames(text: str = "", **how: Any) -> list[bytes]:
    """`frames("Hello there", calls=[("now", {"timezone": "Asia/Tokyo"})])`; see `chunks`."""
    return [*map(frame, chunks(text, **how)), DONE]


def malformed(kind: str, text: str = "Hello, wörld 🦙", calls: Sequence[tuple[str, Any]] = ()) -> list[bytes]:
    """The same answer, spoilt in the way `kind` of `MALFORMED`. `html` and `empty` are whole bodies."""
    if kind in ("noindex", "argsobj", "noid") and not calls:
        text, calls = "", [("now", {"timezone": "Asia/Tokyo"}), ("word_count", {"text": "one two"})]
    proper = chunks(text, calls=calls)
    whole = [*map(frame, proper), DONE]
    match kind:
        case "html":
            return [b"<html><body>502 Bad Gateway</body></html>"]
        case "empty":
            return []
        case "json":
            return [*whole[:2], b'data: {"id": "broken", "choices": [{\n\n', *whole[2:]]
        case "comment":
            return [part for each in whole for part in (b": keep-alive\n\n", each)]
        case "nodone":
            return whole[:-1]
        case "crlf" | "cr":
            return [each.replace(b"\n", b"\r\n" if kind == "crlf" else b"\r") for each in whole]
        case "bom":
            return [b"\xef\xbb\xbf" + whole[0], *whole[1:]]
        case "multiline":
            spread = (json.dumps(each, indent=1, ensure_ascii=False).encode().split(b"\n") for each in proper)
            return [b"".join(b"data: " + line + b"\n" for line in lines) + b"\n" for lines in spread] + [DONE]
        case "bytes":
            return [bytes([byte]) for each in whole for byte in each]
        case "errorevent":
            error = {"message": "mock error mid-stream", "type": "server_error", "param": None, "code": "mid_stream"}
            return [*whole[:2], frame({"error": error})]
        case "noindex" | "noid":
            return [frame(_without(each, "index" if kind == "noindex" else "id")) for each in proper] + [DONE]
        case "argsobj":
            deltas = [
                chunk({"tool_calls": [call_delta(index, f"call_{index}", name, arguments)]})
                for index, (name, arguments) in enumerate(calls)
            ]
            return [whole[0], *map(frame, deltas), *map(frame, proper[-2:]), DONE]
        case "nofinish":
            return [frame(each) for each in proper if not _finish(each)] + [DONE]
        case "dupfinish":
            return [part for each in proper for part in [frame(each)] * (2 if _finish(each) else 1)] + [DONE]
        case "usagenull":
            return [frame({**each, "usage": None}) for each in proper] + [DONE]
        case "emptychoices":
            return [part for each in proper for part in (frame({**each, "choices": []}), frame(each))] + [DONE]
        case _:
            raise ValueError(kind)


def _without(whole: Mapping[str, Any], member: str) -> dict[str, Any]:
    def strip(choice: Mapping[str, Any]) -> dict[str, Any]:
        deltas = choice["delta"].get("tool_calls", [])
        stripped = [{key: value for key, value in each.items() if key != member} for each in deltas]
        return {**choice, "delta": {**choice["delta"], **({"tool_calls": stripped} if deltas else {})}}

    return {**whole, "choices": [strip(choice) for choice in whole["choices"]]}


def _finish(whole: Mapping[str, Any]) -> bool:
    return any(choice["finish_reason"] for choice in whole["choices"])
