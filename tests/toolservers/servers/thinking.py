"""A tool server that asks for a model in the middle of a call, over stdio and in both eras: `think` asks what it is
told, `think_twice` two things at once, and `capabilities` tells what its client can do."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import mcp_types as types
from mcp import MCPError
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

SCHEMA = {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]}
READ_ONLY = types.ToolAnnotations(read_only_hint=True)


def wish(prompt: str) -> types.CreateMessageRequestParams:
    said = types.SamplingMessage(role="user", content=types.TextContent(text=prompt))
    return types.CreateMessageRequestParams(messages=[said], max_tokens=100, system_prompt="Be brief.")


async def list_tools(_: ServerRequestContext[Any], __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    names = ("think", "think_twice", "capabilities")
    return types.ListToolsResult(
        tools=[types.Tool(name=name, input_schema=SCHEMA, annotations=READ_ONLY) for name in names]
    )


async def call_tool(
    ctx: ServerRequestContext[Any], params: types.CallToolRequestParams
) -> types.CallToolResult | types.InputRequiredResult:
    if params.name == "capabilities":
        can = ctx.session.client_capabilities
        return text(json.dumps(can.model_dump(by_alias=True, mode="json", exclude_none=True) if can else None))
    prompt = (params.arguments or {})["prompt"]
    prompts = [prompt] if params.name == "think" else [f"{prompt} 1", f"{prompt} 2"]
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        if not params.input_responses:
            requests: Any = {each: types.CreateMessageRequest(params=wish(each)) for each in prompts}
            return types.InputRequiredResult(input_requests=requests, request_state="s")
        answers: Any = [params.input_responses[each] for each in prompts]
    else:
        try:
            answers = await asyncio.gather(*(sampled(ctx, each) for each in prompts))
        except MCPError as error:
            return text(f"{error.code} {error.message}", is_error=True)
    return text("; ".join(f"{each.model}: {each.content.text} ({each.stop_reason})" for each in answers))


async def sampled(ctx: ServerRequestContext[Any], prompt: str) -> Any:
    asked = wish(prompt)
    return await ctx.session.create_message(
        asked.messages, max_tokens=100, system_prompt=asked.system_prompt, related_request_id=ctx.request_id
    )


def text(said: str, **more: Any) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=said)], **more)


async def serve() -> None:
    serving = Server[Any]("thinking", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (read, write):
        await serving.run(read, write, serving.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(serve())
