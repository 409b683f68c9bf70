"""A tool server that starts at once: the handshake era by hand, without any library."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

READ_ONLY = {"readOnlyHint": True}
TOOLS = {"echo": READ_ONLY, "pid": READ_ONLY, "environment": READ_ONLY, "die_once": READ_ONLY, "die": {}, "wait": {}}
waiting = 0


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    match method:
        case "initialize":
            version = params["protocolVersion"]
            return {
                "protocolVersion": version,
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "t", "version": "1"},
            }
        case "tools/list":
            return {
                "tools": [
                    {"name": name, "inputSchema": {"type": "object"}, "annotations": hints, "x-vendor": "kept"}
                    for name, hints in TOOLS.items()
                ]
            }
        case "tools/call":
            text = call(params["name"], params.get("arguments") or {})
            return None if text is None else {"content": [{"type": "text", "text": text, "x-vendor": "kept"}]}
        case _:
            raise LookupError(method)


def call(tool: str, arguments: dict[str, Any]) -> str | None:
    global waiting
    match tool:
        case "echo":
            return str(arguments["text"])
        case "pid":
            return f"{os.getpid()} with {waiting} waiting"
        case "environment":
            return json.dumps(dict(os.environ))
        case "die_once" if Path(arguments["marker"]).exists():
            return "alive"
        case "die_once":
            Path(arguments["marker"]).touch()
            os._exit(3)
        case "die":
            os._exit(3)
        case _:
            waiting += 1
            return None


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        reply = {"jsonrpc": "2.0", "id": message["id"]}
        try:
            result = answer(message["method"], message.get("params") or {})
        except LookupError as error:
            reply["error"] = {"code": -32601, "message": f"Method not found: {error}"}
        else:
            if result is None:
                continue
            reply["result"] = result
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
