"""A server with many tools, over stdio, that costs next to nothing to start: `many_tools.py COUNT`."""

from __future__ import annotations

import json
import sys
from typing import Any

FIELDS = {
    "text": {"type": "string", "description": "What comes back."},
    **{f"option_{n}": {"type": ["string", "null"], "description": "Changes nothing at all."} for n in range(6)},
}
ABOUT = "Gives back what it gets, which is of use where somebody wants to know how long that takes."
SCHEMA = {"type": "object", "properties": FIELDS, "required": ["text"]}
TOOLS = [{"name": f"echo_{n}", "description": ABOUT, "inputSchema": SCHEMA} for n in range(int(sys.argv[1]))]


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    match method:
        case "initialize":
            about = {"name": "many", "version": "1"}
            return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": about}
        case "tools/list":
            return {"tools": TOOLS}
        case "ping":
            return {}
    return None


for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        result = answer(asked["method"], asked.get("params") or {})
        refusal = {"code": -32601, "message": f"Method not found: {asked['method']}"}
        said = {"error": refusal} if result is None else {"result": result}
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **said}) + "\n")
        sys.stdout.flush()
