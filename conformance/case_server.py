"""The tool server of the cases in `cases/mcp`, over stdio. Of MCP's handshake era, and of the standard library alone.

Its tools ask their client for a form or for a model in the middle of a call, change a description, and say that a
resource has changed. It has more resources than fit into one message.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from itertools import count
from typing import Any

Message = dict[str, Any]
WORDS = "x" * 1024
RESOURCES = 900
WATCHED = "case://watched"
DESCRIPTIONS = ("Does what it says.", "Does something else.")
FORM = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]}
LISTED = {"prompts/list": "prompts", "resources/templates/list": "resourceTemplates"}

numbers = count(1)
fickle = {"description": DESCRIPTIONS[0]}
subscribed: set[str] = set()
waiting: dict[str, tuple[Any, str]] = {}
"""Our own question's id -> the id of the call that it was asked for, and what the answer is."""


def tool(name: str, description: str, *, read_only: bool = True, **properties: str) -> Message:
    schema = {"type": "object", "properties": {each: {"type": kind} for each, kind in properties.items()}}
    return {
        "name": name,
        "description": description,
        "inputSchema": {**schema, "required": list(properties)},
        "annotations": {"readOnlyHint": read_only},
        "_meta": {"case/of": name},
    }


def tools() -> list[Message]:
    return [
        tool("echo", "Says it again.", text="string"),
        tool("ask", "Asks a question.", question="string"),
        tool("sample", "Asks for a model.", prompt="string"),
        tool("act", "Changes something.", read_only=False),
        tool("touch", "Says that a resource has changed."),
        tool("change", "Lets `fickle` be another, and again what it was."),
        tool("fickle", fickle["description"]),
    ]


def resources() -> list[Message]:
    many = [{"uri": f"case://r{n:03}", "name": f"r{n:03}", "description": WORDS} for n in range(RESOURCES)]
    return [*many, {"uri": WATCHED, "name": "watched"}]


def say(message: Message) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def text(said: str, **more: Any) -> Message:
    return {"content": [{"type": "text", "text": said}], **more}


def ask(method: str, params: Message, call: Any) -> None:
    question = f"question-{next(numbers)}"
    waiting[question] = (call, method)
    say({"id": question, "method": method, "params": params})


def call(request: Any, name: str, given: Mapping[str, Any]) -> Message | None:
    """The result, or none where it comes with the answer to a question."""
    match name:
        case "echo":
            return text(given["text"], structuredContent={"echo": given["text"]}, _meta={"case/said": given["text"]})
        case "ask":
            ask("elicitation/create", {"message": given["question"], "requestedSchema": FORM}, request)
            return None
        case "sample":
            message = {"role": "user", "content": {"type": "text", "text": given["prompt"]}}
            ask("sampling/createMessage", {"messages": [message], "maxTokens": 9}, request)
            return None
        case "touch":
            if WATCHED in subscribed:
                say({"method": "notifications/resources/updated", "params": {"uri": WATCHED}})
        case "change":
            fickle["description"] = next(each for each in DESCRIPTIONS if each != fickle["description"])
            say({"method": "notifications/tools/list_changed"})
    return text(f"{name} was called")


def answer(request: Message) -> Message | None:
    params = request.get("params") or {}
    match request["method"]:
        case "initialize":
            can = {"tools": {"listChanged": True}, "resources": {"subscribe": True}}
            about = {"name": "case", "version": "1"}
            return {"protocolVersion": params["protocolVersion"], "capabilities": can, "serverInfo": about}
        case "tools/list":
            return {"tools": tools()}
        case "resources/list":
            return {"resources": resources()}
        case "tools/call":
            return call(request["id"], params["name"], params.get("arguments") or {})
        case "resources/subscribe":
            subscribed.add(params["uri"])
            return {}
        case "ping" | "resources/unsubscribe":
            return {}
        case method if method in LISTED:
            return {LISTED[method]: []}
    say({"id": request["id"], "error": {"code": -32601, "message": f"there is no {request['method']}"}})
    return None


def answered(question: str, result: Message | None) -> None:
    request, method = waiting.pop(question)
    if result is None:
        said = "there was an error"
    elif method == "elicitation/create":
        said = " ".join([result["action"], *(result.get("content") or {}).values()])
    else:
        said = result["content"]["text"]
    say({"id": request, "result": text(said)})


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "method" not in message:
            answered(message["id"], message.get("result"))
        elif "id" in message and (result := answer(message)) is not None:
            say({"id": message["id"], "result": result})


if __name__ == "__main__":
    main()
