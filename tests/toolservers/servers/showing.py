"""A tool server that shows `where` only to clients that have roots, `think` only to those that a model can be asked
through, and `locked` once `unlock` was called: the handshake era by hand, without any library.

A file that is named to it says what `where` is described as.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

FOR_CLIENTS_WITH = {"roots": "where", "sampling": "think"}
MESSAGE = {"role": "user", "content": {"type": "text", "text": "who?"}}
QUESTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "where": ("roots/list", {}),
    "think": ("sampling/createMessage", {"messages": [MESSAGE], "maxTokens": 5}),
}


class Showing:
    def __init__(self) -> None:
        self.names = ["trace", "unlock"]
        self.asked_by: dict[str, Any] = {}

    def take(self, message: dict[str, Any]) -> None:
        if "method" not in message:  # an answer of the client
            reply(self.asked_by.pop(message["id"]), text(json.dumps(message.get("result") or message.get("error"))))
        elif "id" in message:
            self.answer(message["id"], message["method"], message.get("params") or {})

    def answer(self, number: Any, method: str, params: dict[str, Any]) -> None:
        match method:
            case "initialize":
                self.names += [name for what, name in FOR_CLIENTS_WITH.items() if what in params["capabilities"]]
                capabilities = {"tools": {"listChanged": True}}
                server = {"name": "showing", "version": "1"}
                version = params["protocolVersion"]
                reply(number, {"protocolVersion": version, "capabilities": capabilities, "serverInfo": server})
            case "tools/list":
                reply(number, {"tools": [described(name) for name in self.names]})
            case "tools/call" if (name := params["name"]) not in self.names:
                write({"jsonrpc": "2.0", "id": number, "error": {"code": -32602, "message": f"Unknown tool: {name}"}})
            case "tools/call" if name in QUESTIONS:
                self.asked_by[f"q{number}"] = number
                asked, about = QUESTIONS[name]
                write({"jsonrpc": "2.0", "id": f"q{number}", "method": asked, "params": about})
            case "tools/call":
                if name == "unlock" and "locked" not in self.names:
                    self.names.append("locked")
                    write({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
                reply(number, text(name))
            case _:
                write({"jsonrpc": "2.0", "id": number, "error": {"code": -32601, "message": "Method not found"}})


def described(name: str) -> dict[str, Any]:
    says = Path(sys.argv[1]).read_text() if name == "where" and len(sys.argv) > 1 else f"To {name}."
    return {"name": name, "description": says, "inputSchema": {"type": "object"}}


def text(said: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": said}]}


def reply(number: Any, result: dict[str, Any]) -> None:
    write({"jsonrpc": "2.0", "id": number, "result": result})


def write(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


showing = Showing()
for line in sys.stdin:
    showing.take(json.loads(line))
