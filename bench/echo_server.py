"""The server that is called: `echo_server.py stdio TOOLS` or `echo_server.py http TOOLS PORT`. Both eras."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import mcp_types as types
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server

TOOLS = int(sys.argv[2])
SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "description": "What comes back."},
        **{f"option_{n}": {"type": ["string", "null"], "description": "Changes nothing at all."} for n in range(6)},
    },
    "required": ["text"],
}


def listed() -> list[types.Tool]:
    about = "Gives back what it gets, which is of use where somebody wants to know how long that takes."
    names = ["echo", *(f"echo_{n}" for n in range(1, TOOLS))]
    hints = types.ToolAnnotations(read_only_hint=True)
    return [types.Tool(name=name, description=about, input_schema=SCHEMA, annotations=hints) for name in names]


async def list_tools(
    _: ServerRequestContext[Any], params: types.PaginatedRequestParams | None
) -> types.ListToolsResult:
    return types.ListToolsResult(tools=listed())


async def call_tool(_: ServerRequestContext[Any], params: types.CallToolRequestParams) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=(params.arguments or {})["text"])])


server: Server[Any] = Server("echo", on_list_tools=list_tools, on_call_tool=call_tool)


async def over_stdio() -> None:
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        asyncio.run(over_stdio())
    else:
        import uvicorn

        uvicorn.run(server.streamable_http_app(), port=int(sys.argv[3]), log_level="error")
