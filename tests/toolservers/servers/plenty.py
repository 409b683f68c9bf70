"""A tool server with more than fits into one message, over stdio: `drop` and `add` change its tools.

They are listed in pages, and the very first cursor is refused, as by a server whose list has just changed.
"""

from __future__ import annotations

import asyncio
from typing import Any

import mcp_types as types
from mcp import MCPError
from mcp.server import NotificationOptions, Server, ServerRequestContext
from mcp.server.stdio import stdio_server

Context = ServerRequestContext[Any]
MANY = 1200
PAGE = 500
WORDS = "x" * 1024
names = ["add", "drop", *(f"t{number:04}" for number in range(MANY))]
refused: list[str] = []
files = [f"f{number:04}" for number in range(MANY)]


async def list_tools(_: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    first = int(params.cursor) if params and params.cursor else 0
    if first and not refused:
        refused.append(str(first))
        raise MCPError(types.INVALID_PARAMS, "the list has changed")
    read_only, schema, after = types.ToolAnnotations(read_only_hint=True), {"type": "object"}, first + PAGE
    return types.ListToolsResult(
        tools=[
            types.Tool(name=name, description=WORDS, input_schema=schema, annotations=read_only)
            for name in names[first:after]
        ],
        next_cursor=str(after) if after < len(names) else None,
    )


async def list_prompts(_: Context, __: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
    return types.ListPromptsResult(prompts=[types.Prompt(name=name, description=WORDS) for name in files])


async def list_resources(_: Context, __: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
    return types.ListResourcesResult(
        resources=[types.Resource(uri=f"test://{name}", name=name, description=WORDS) for name in files]
    )


async def list_templates(_: Context, __: types.PaginatedRequestParams | None) -> types.ListResourceTemplatesResult:
    return types.ListResourceTemplatesResult(
        resource_templates=[
            types.ResourceTemplate(uri_template=f"test://{name}/{{x}}", name=name, description=WORDS) for name in files
        ]
    )


async def call_tool(ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
    given = (params.arguments or {})["names"]
    if params.name == "add":
        names.extend(given)
    else:
        names[:] = [name for name in names if name not in given]
    await ctx.session.send_tool_list_changed()
    return types.CallToolResult(content=[types.TextContent(text="done")])


async def main() -> None:
    serving: Server[Any] = Server(
        "plenty",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_prompts=list_prompts,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
    )
    async with stdio_server() as (read, write):
        await serving.run(read, write, serving.create_initialization_options(NotificationOptions(tools_changed=True)))


if __name__ == "__main__":
    asyncio.run(main())
