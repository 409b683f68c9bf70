"""A tool server for tests: `everything.py stdio`, `… http PORT` or `… sse PORT`. Both eras, tools in pages of four."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp.server import NotificationOptions, Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

PAGE = 4
READ_ONLY = types.ToolAnnotations(read_only_hint=True)
TEXT = {"type": "string"}
NUMBER = {"type": "integer"}
WIRE = os.dup(1)  # the SDK points fd 1 elsewhere while it serves

trace: list[str] = []
gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
bus = InMemorySubscriptionBus()


def tool(name: str, annotations: types.ToolAnnotations | None = None, **properties: Any) -> types.Tool:
    examples = properties.pop("examples", None)
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    if examples:
        schema["examples"] = examples
    return types.Tool(
        name=name, description=f"The tool {name}", input_schema=schema, annotations=annotations, _meta={"from": "test"}
    )


tools = [
    tool("echo", READ_ONLY, text=TEXT, examples=[{"text": "hi"}, {"ask": "Say ho", "arguments": {"text": "ho"}}]),
    tool("big", READ_ONLY, size=NUMBER),
    tool("wait", key=TEXT),
    tool("release", key=TEXT),
    tool("trace", READ_ONLY),
    tool("count", n=NUMBER),
    tool("ask", question=TEXT),
    tool("die"),
    tool("die_once", READ_ONLY, marker=TEXT),
    tool("grow"),
    tool("pid", READ_ONLY),
    tool("junk"),
    tool("environment", READ_ONLY),
    tool("regional", READ_ONLY, region={**TEXT, "x-mcp-header": "Region"}),
    tool("fail"),
]


async def list_tools(
    _: ServerRequestContext[Any], params: types.PaginatedRequestParams | None
) -> types.ListToolsResult:
    first = int(params.cursor) if params and params.cursor else 0
    after = first + PAGE
    return types.ListToolsResult(tools=tools[first:after], next_cursor=str(after) if after < len(tools) else None)


def text(said: object, **more: Any) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=str(said))], **more)


async def call_tool(
    ctx: ServerRequestContext[Any], params: types.CallToolRequestParams
) -> types.CallToolResult | types.InputRequiredResult:
    given = params.arguments or {}
    match params.name:
        case "echo":
            return text(given["text"], structured_content={"echo": given["text"]})
        case "big":
            return text("x" * given["size"])
        case "wait":
            trace.append(f"waiting {given['key']}")
            try:
                await gates[given["key"]].wait()
            except asyncio.CancelledError:
                trace.append(f"cancelled {given['key']}")
                raise
            return text("released")
        case "release":
            gates[given["key"]].set()
            return text("done")
        case "trace":
            return text("\n".join(trace))
        case "count":
            for number in range(1, given["n"] + 1):
                await ctx.session.report_progress(number, given["n"], f"at {number}")
            return text(f"counted to {given['n']}")
        case "ask":
            return await ask(ctx, params, given["question"])
        case "die":
            os._exit(3)
        case "die_once":
            return die_once(Path(given["marker"]))
        case "grow":
            tools.append(tool("grown"))
            await ctx.session.send_tool_list_changed()
            await bus.publish(ToolsListChanged())
            return text("grown")
        case "pid":
            return text(os.getpid())
        case "junk":
            os.write(WIRE, b"a line of log\n{not json}\n\n[1]\n\xff\xfe\n")
            return text("written")
        case "environment":
            return text("\n".join(f"{name}={value}" for name, value in os.environ.items()))
        case "regional":
            return text(f"in {given['region']}")
        case "fail":
            return text("it did not work", is_error=True)
        case unknown:
            raise ValueError(unknown)


def die_once(marker: Path) -> types.CallToolResult:
    if not marker.exists():
        marker.touch()
        os._exit(3)
    return text("alive")


async def ask(
    ctx: ServerRequestContext[Any], params: types.CallToolRequestParams, question: str
) -> types.CallToolResult | types.InputRequiredResult:
    schema: dict[str, Any] = {"type": "object", "properties": {"answer": TEXT}}
    answer: Any
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        if not params.input_responses:
            form = types.ElicitRequestFormParams(message=question, requested_schema=schema)
            return types.InputRequiredResult(input_requests={"q": types.ElicitRequest(params=form)}, request_state="s")
        answer = params.input_responses["q"]
    else:
        answer = await ctx.session.elicit_form(question, schema, related_request_id=ctx.request_id)
    return text(f"{answer.action}: {(answer.content or {}).get('answer')}")


def server() -> Server[Any]:
    return Server(
        "everything", on_list_tools=list_tools, on_call_tool=call_tool, on_subscriptions_listen=ListenHandler(bus)
    )


async def serve_stdio() -> None:
    serving = server()
    async with stdio_server() as (read, write):
        options = serving.create_initialization_options(NotificationOptions(tools_changed=True))
        await serving.run(read, write, options)


def sse_app() -> Any:
    """The transport of 2024: a stream at /sse, and requests posted to /messages/."""
    from mcp.server.sse import SseServerTransport

    transport = SseServerTransport("/messages/", max_request_body_size=64 << 20)
    serving = server()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] == "POST":
            await transport.handle_post_message(scope, receive, send)
            return
        async with transport.connect_sse(scope, receive, send) as (read, write):
            options = serving.create_initialization_options(NotificationOptions(tools_changed=True))
            await serving.run(read, write, options)

    return app


def serve_http(port: int, transport: str) -> None:
    import uvicorn

    class Announced(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            os.write(WIRE, b"serving\n")

    app: Any = sse_app() if transport == "sse" else server().streamable_http_app(host="127.0.0.1")
    Announced(uvicorn.Config(app, port=port, log_level="warning", timeout_graceful_shutdown=1)).run()


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        asyncio.run(serve_stdio())
    else:
        serve_http(int(sys.argv[2]), sys.argv[1])
