"""A tool server whose tools are what a JSON file says at the moment. Each call tells the host to list them anew."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    match method:
        case "initialize":
            capabilities = {"tools": {"listChanged": True}}
            server = {"name": "changing", "version": "1"}
            return {"protocolVersion": params["protocolVersion"], "capabilities": capabilities, "serverInfo": server}
        case "tools/list":
            return {"tools": json.loads(Path(sys.argv[1]).read_text())}
        case "tools/call":
            write({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
            return {"content": [{"type": "text", "text": f"{params['name']} was called"}]}
        case _:
            return None


def write(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        reply = {"jsonrpc": "2.0", "id": asked["id"]}
        result = answer(asked["method"], asked.get("params") or {})
        unknown = {"error": {"code": -32601, "message": f"Method not found: {asked['method']}"}}
        write(reply | ({"result": result} if result is not None else unknown))
