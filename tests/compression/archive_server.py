"""An MCP server with a large result, `report`: a log of a few thousand lines."""

from __future__ import annotations

from mcp.server import MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("archive", version="1.0", log_level="WARNING")
HINTS = ToolAnnotations(read_only_hint=True, open_world_hint=False)


def lines() -> list[str]:
    made = [
        f"10:{i // 60 % 60:02d}:{i % 60:02d} INFO stored object {i * 7919 % 9973} in {i % 41} ms" for i in range(3000)
    ]
    made[1700] = "10:28:20 ERROR cannot store object 1700: the shelf is full"
    made[2222] = "10:37:02 INFO stored object 12321 in 7 ms"
    return made


@server.tool(annotations=HINTS, structured_output=False)
def report() -> str:
    """The log of the archive."""
    return "\n".join(lines())


@server.tool(annotations=HINTS, structured_output=False)
def short() -> str:
    """A few words."""
    return "all is well"


if __name__ == "__main__":
    server.run()
