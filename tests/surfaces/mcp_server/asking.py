"""A tool server of the handshake era that asks and tells its client in the middle of calls: over HTTP in this process,
with sessions that it can be made to forget, or as a program (`asking.py`)."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mcp_types as types
import uvicorn
from anyio.from_thread import start_blocking_portal
from mcp.server import NotificationOptions, Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.shared.message import ServerMessageMetadata

Context = ServerRequestContext[Any, Any]
TOOLS = ("ask", "wait", "release", "trace", "roots", "change", "unlock")
FOR_CLIENTS_WITH = {"roots": "where", "sampling": "think"}
"""What a client must be able to do to be shown a tool. Whoever calls `unlock` has `locked` from then on."""
WATCHED = ("test://one", "test://two")
PATIENCE_S = 60.0


class Asking:
    """`trace` is what has happened here, in order; `subscribed` how often that was asked for."""

    def __init__(self) -> None:
        self.trace: list[str] = []
        self.subscribed = 0
        self.sessions: set[str] = set()
        self._forgotten: set[str] = set()
        self._feeds: dict[asyncio.Task[Any], str] = {}
        self._subscribers: list[tuple[Any, str]] = []
        self._roots: dict[Any, Any] = {}
        self._unlocked: set[Any] = set()
        self._released: dict[str, asyncio.Event] = {}
        self._meeting = asyncio.Barrier(2)
        self._tasks: set[asyncio.Task[Any]] = set()

    def server(self) -> Server[Any]:
        made: Server[Any] = Server(
            "asking",
            on_list_tools=self._list_tools,
            on_call_tool=self._call,
            on_list_resources=self._list_resources,
            on_subscribe_resource=self._subscribe,
        )
        made.add_request_handler("logging/setLevel", types.SetLevelRequestParams, self._set_level)
        made.add_notification_handler("notifications/roots/list_changed", types.NotificationParams, self._roots_changed)
        return made

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """`forget` makes sessions unknown, and ends their feeds, as a restart would."""
        if scope["type"] != "http":
            await self._streamable(scope, receive, send)
            return
        session = dict(scope["headers"]).get(b"mcp-session-id", b"").decode()
        if session in self._forgotten:
            await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        if session:
            self.sessions.add(session)
        if scope["method"] != "GET":
            await self._streamable(scope, receive, send)
            return
        feed = asyncio.create_task(self._streamable(scope, receive, send))
        self._feeds[feed] = session
        await asyncio.wait({feed})
        del self._feeds[feed]

    async def forget(self, sessions: set[str] | None = None) -> None:
        forgotten = set(self.sessions if sessions is None else sessions)
        self._forgotten |= forgotten
        self.sessions -= forgotten
        self._subscribers.clear()
        feeds = [feed for feed, session in self._feeds.items() if session in forgotten]
        for feed in feeds:
            feed.cancel()

    @contextmanager
    def serving(self) -> Iterator[str]:
        """In a thread of its own; gives its address, and runs `run` there."""
        with socket.socket() as listening, start_blocking_portal("asyncio") as portal:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            self.run = portal.call
            self._meeting = portal.call(_barrier)
            self._streamable = portal.call(lambda: self.server().streamable_http_app())
            config = uvicorn.Config(self.app, interface="asgi3", log_level="error", timeout_graceful_shutdown=1)
            serving = uvicorn.Server(config)
            future = portal.start_task_soon(serving.serve, [listening])
            try:
                yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
            finally:
                serving.should_exit = True
                future.result(PATIENCE_S)

    # --- what it answers

    async def _list_tools(self, ctx: Context, _: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        can = ctx.session.client_capabilities
        more = [name for what, name in FOR_CLIENTS_WITH.items() if getattr(can, what, None) is not None]
        names = [*TOOLS, *more, *(["locked"] if ctx.session._connection in self._unlocked else [])]
        return types.ListToolsResult(tools=[types.Tool(name=name, input_schema={"type": "object"}) for name in names])

    async def _list_resources(self, _: Context, __: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=[types.Resource(uri=uri, name=uri[7:]) for uri in WATCHED])

    async def _subscribe(self, ctx: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
        self._subscribers.append((ctx.session._connection, str(params.uri)))
        self.subscribed += 1
        return types.EmptyResult()

    async def _set_level(self, _: Context, __: types.SetLevelRequestParams) -> types.EmptyResult:
        return types.EmptyResult()

    async def _roots_changed(self, ctx: Context, _: types.NotificationParams | None) -> None:
        async def ask() -> None:
            self._roots[ctx.session._connection] = (await ctx.session.list_roots()).roots

        task = asyncio.create_task(ask())
        self._tasks.add(task)

    async def _call(self, ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        given = params.arguments or {}
        key = given.get("key", "")
        match params.name:
            case "where" | "think" as name:
                what = {"where": "roots", "think": "sampling"}[name]
                return text(await self._ask(ctx, {"key": key, "what": what}))
            case "unlock":
                self._unlocked.add(ctx.session._connection)
                await ctx.session.send_tool_list_changed()
                return text("")
            case "locked":
                return text("locked")
            case "ask":
                return text(await self._ask(ctx, given))
            case "wait":
                await ctx.session.report_progress(1, 2, key)
                self.trace.append(f"waiting {key}")
                try:
                    await self._released.setdefault(key, asyncio.Event()).wait()
                except asyncio.CancelledError:
                    self.trace.append(f"cancelled {key}")
                    raise
                await ctx.session.report_progress(2, 2, key)
                return text(f"released {key}")
            case "release":
                self._released.setdefault(key, asyncio.Event()).set()
                return text("")
            case "roots":
                roots = self._roots.get(ctx.session._connection, [])
                return text(json.dumps([str(root.uri) for root in roots]))
            case "change":
                for connection, uri in self._subscribers:
                    if uri == given["uri"]:
                        await connection.send_resource_updated(uri)
                return text("")
            case _:
                return text("\n".join(self.trace))

    async def _ask(self, ctx: Context, given: dict[str, Any]) -> str:
        """Tells and asks, by two calls in flight together where they say so, and gives the answer."""
        key, related = given["key"], ctx.request_id
        if given.get("together"):
            await self._meeting.wait()
        await ctx.session.report_progress(1, 2, key)
        await ctx.session.send_log_message("info", key, related_request_id=related)
        answer: Any
        match given["what"]:
            case "form":
                schema: dict[str, Any] = {"type": "object", "properties": {"answer": {"type": "string"}}}
                answer = await ctx.session.elicit_form(key, schema, related_request_id=related)
            case "url":
                answer = await ctx.session.elicit_url(key, "https://example.com/login", f"id {key}", related)
                await ctx.session.send_elicit_complete(f"id {key}", None if given.get("apart") else related)
            case "sampling":
                message = types.SamplingMessage(role="user", content=types.TextContent(text=key))
                answer = await ctx.session.create_message([message], max_tokens=5, related_request_id=related)
            case _:
                of_call = ServerMessageMetadata(related_request_id=related)
                answer = await ctx.session.send_request(
                    types.ListRootsRequest(), types.ListRootsResult, metadata=of_call
                )
        if given.get("together"):
            await self._meeting.wait()
        return json.dumps(answer.model_dump(by_alias=True, mode="json", exclude_none=True))


async def _barrier() -> asyncio.Barrier:
    return asyncio.Barrier(2)


def text(said: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=said)])


async def serve_stdio() -> None:
    serving = Asking().server()
    async with stdio_server() as (read, write):
        await serving.run(read, write, serving.create_initialization_options(NotificationOptions()))


if __name__ == "__main__":
    asyncio.run(serve_stdio())
