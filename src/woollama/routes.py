"""The whole HTTP map as one visible list, and the application that serves it.

`/v1` holds what OpenAI and Anthropic define, everything else is our own. Clients disagree about base URLs, so every
`/v1` route also answers without its `/v1` and with a doubled one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from woollama.domain.errors import RouterError, UnknownRoute, UpstreamRefused, WrongMethod
from woollama.domain.wire_json import dumps
from woollama.surfaces import anthropic_messages, openai_errors
from woollama.surfaces.approvals import ApprovalRoutes
from woollama.surfaces.bodies import header_value
from woollama.surfaces.compression import Compression
from woollama.surfaces.exchange import Exchange
from woollama.surfaces.for_owner import ForOwner
from woollama.surfaces.listings import Models, Probes, Processes, Tools
from woollama.surfaces.mcp_server.endpoint import McpEndpoint
from woollama.surfaces.ollama import words
from woollama.surfaces.ollama.embed import Embed
from woollama.surfaces.ollama.listings import Ollama
from woollama.surfaces.openai_conversations import ConversationsApi
from woollama.surfaces.openai_responses.endpoint import Responses
from woollama.surfaces.openai_responses.websocket import ResponsesSocket
from woollama.surfaces.openapi.endpoint import Described
from woollama.surfaces.passage import Passage
from woollama.surfaces.patterns import Patterns
from woollama.surfaces.reload import Reload
from woollama.surfaces.status import Status
from woollama.surfaces.trust import Trust

Headers = list[tuple[bytes, bytes]]
RenderError = Callable[[str, RouterError], tuple[int, Headers, bytes]]

WEBSOCKET = "WEBSOCKET"
"""Takes the place of a method for a route that is a WebSocket; such have exact paths."""
_PASSED_ON = ("x-ratelimit-", "anthropic-ratelimit-")


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    endpoint: ASGIApp

    @property
    def spellings(self) -> Sequence[str]:
        if not self.path.startswith("/v1/"):
            return (self.path,)
        return (self.path, self.path.removeprefix("/v1"), "/v1" + self.path)


def routes(
    *,
    chat: Exchange,
    messages: Exchange,
    count_tokens: ASGIApp,
    ollama: Ollama,
    ollama_chat: Exchange,
    ollama_generate: Exchange,
    ollama_embed: Callable[[str], Embed],
    responses: Responses,
    conversations: ConversationsApi,
    passage: Callable[[str, str], Passage],
    models: Models,
    tools: Tools,
    processes: Processes,
    patterns: Patterns,
    approvals: ApprovalRoutes,
    metrics: ASGIApp,
    feed: ASGIApp,
    probes: Probes,
    status: Status,
    mcp: McpEndpoint,
    reload: Reload,
    trust: Trust,
    described: Described,
    compression: Compression,
) -> list[Route]:
    served = [
        Route("POST", "/v1/chat/completions", chat),
        Route("POST", "/v1/responses", responses),
        Route(WEBSOCKET, "/v1/responses", ResponsesSocket(responses)),
        Route("POST", "/v1/messages", messages),
        Route("POST", "/v1/messages/count_tokens", count_tokens),
        Route("POST", "/v1/embeddings", passage("/embeddings", "embedding")),
        Route("POST", "/v1/completions", passage("/completions", "completion")),
        Route("POST", "/v1/images/generations", passage("/images/generations", "image")),
        Route("POST", "/v1/images/edits", passage("/images/edits", "image")),
        Route("POST", "/v1/images/variations", passage("/images/variations", "image")),
        Route("POST", "/v1/audio/speech", passage("/audio/speech", "speech")),
        Route("POST", "/v1/audio/transcriptions", passage("/audio/transcriptions", "transcription")),
        Route("POST", "/v1/audio/translations", passage("/audio/translations", "transcription")),
        Route("POST", "/v1/rerank", passage("/rerank", "rerank")),
        Route("POST", "/v1/moderations", passage("/moderations", "moderation")),
        Route("POST", "/v1/responses/compact", responses.compact),
        Route("POST", "/v1/responses/input_tokens", responses.count),
        Route("GET", "/v1/responses/{response_id}", responses.retrieve),
        Route("DELETE", "/v1/responses/{response_id}", responses.delete),
        Route("POST", "/v1/responses/{response_id}/cancel", responses.cancel),
        Route("GET", "/v1/responses/{response_id}/input_items", responses.input_items),
        Route("POST", "/v1/conversations", conversations.create),
        Route("GET", "/v1/conversations", conversations.listing),
        Route("GET", "/v1/conversations/{conversation_id}", conversations.retrieve),
        Route("POST", "/v1/conversations/{conversation_id}", conversations.update),
        Route("DELETE", "/v1/conversations/{conversation_id}", conversations.delete),
        Route("GET", "/v1/conversations/{conversation_id}/items", conversations.items),
        Route("POST", "/v1/conversations/{conversation_id}/items", conversations.add_items),
        Route("GET", "/v1/conversations/{conversation_id}/items/{item_id}", conversations.item),
        Route("DELETE", "/v1/conversations/{conversation_id}/items/{item_id}", conversations.delete_item),
        Route("GET", "/v1/models", models.listing),
        Route("GET", "/v1/models/{model:path}", models.one),
        Route("GET", "/v1/tools", tools.listing),
        *(Route(method, path, mcp.serve) for path in ("/mcp", "/mcp/") for method in ("POST", "GET", "DELETE")),
        Route("GET", "/mcp/pipe", mcp.open_pipe),
        Route("POST", "/mcp/pipe/{pipe}", mcp.take_message),
        Route("GET", "/", ollama.greeting),
        Route("GET", "/api/version", ollama.versions),
        Route("GET", "/api/tags", ollama.tags),
        Route("GET", "/api/ps", ollama.ps),
        Route("POST", "/api/show", ollama.show),
        Route("POST", "/api/chat", ollama_chat),
        Route("POST", "/api/generate", ollama_generate),
        Route("POST", "/api/embed", ollama_embed("/api/embed")),
        Route("POST", "/api/embeddings", ollama_embed("/api/embeddings")),
        Route("GET", "/w1/patterns", patterns.listing),
        Route("POST", "/w1/patterns/{name}/render", patterns.render),
        Route("POST", "/w1/patterns/{name}/run", patterns.run),
        Route("GET", "/w1/servers", tools.servers),
        Route("GET", "/w1/servers/{name}/trust", ForOwner(trust.changes)),
        Route("POST", "/w1/servers/{name}/trust", ForOwner(trust.accept)),
        Route("GET", "/w1/status", ForOwner(status)),
        Route("GET", "/w1/processes", ForOwner(processes.listing)),
        Route("GET", "/w1/approvals", ForOwner(approvals.listing)),
        Route("POST", "/w1/approvals/{id}", ForOwner(approvals.answer)),
        Route("GET", "/w1/events", ForOwner(feed)),
        Route("GET", "/w1/config", ForOwner(reload.state)),
        Route("GET", "/w1/compression", ForOwner(compression.stats)),
        Route("GET", "/w1/compression/misses", ForOwner(compression.why_miss)),
        Route("POST", "/w1/reload", ForOwner(reload.reload)),
        Route("GET", "/metrics", metrics),
        Route("GET", "/healthz", probes.healthz),
        Route("GET", "/readyz", probes.readyz),
        Route("GET", "/openapi.json", described.openapi),
        Route("GET", "/docs", described.page),
    ]
    described.tell((route.method, route.path) for route in served if route.method != WEBSOCKET)
    return served


class Site:
    """Serves the routes. A request to an exact path goes straight to its endpoint; the rest is FastAPI's to match.

    Endpoints raise `RouterError`s. Whoever calls this site renders those of exact paths, `render` the others.
    """

    def __init__(self, served: Sequence[Route], render: RenderError | None = None) -> None:
        self._exact = dict(_exact(served))
        self._fastapi = _fastapi(served, render or render_error)

    def __repr__(self) -> str:
        return f"<Site {len(self._exact)} exact paths>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"] if scope["type"] == "http" else WEBSOCKET
        endpoint = self._exact.get((method, scope["path"]))
        await (endpoint or self._fastapi)(scope, receive, send)


def render_error(path: str, error: RouterError) -> tuple[int, Headers, bytes]:
    """An error in the dialect that `path` belongs to, where it happened, and what an upstream said of its limits."""
    headers: Headers = [(b"content-type", b"application/json")]
    if error.path is not None:
        headers.append((b"x-woollama-path", header_value(error.path)))
    if error.target is not None:
        headers.append((b"x-woollama-target", header_value(error.target)))
        headers.append((b"x-woollama-attempts", str(error.attempts).encode()))
    if isinstance(error, UpstreamRefused):
        headers += [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in error.headers.items()
            if name.startswith(_PASSED_ON)
        ]
    return error.status_hint, headers, dumps(_encoder_of(path)(error))


def _encoder_of(path: str) -> Callable[[RouterError], Any]:
    if "/messages" in path:
        return anthropic_messages.encode_error
    return words.encode_error if path.startswith("/api/") else openai_errors.encode_error


class _Raw:
    """An ASGI application as an endpoint: starlette takes a bare function for one that wants a `Request`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _exact(served: Sequence[Route]) -> Iterator[tuple[tuple[str, str], ASGIApp]]:
    for route in served:
        for path in route.spellings:
            if "{" not in path:
                for method in _methods(route):
                    yield (method, path), route.endpoint


def _methods(route: Route) -> list[str]:
    return ["GET", "HEAD"] if route.method == "GET" else [route.method]


def _allowed(app: FastAPI, path: str) -> str:
    fitting = (route for route in app.router.routes if isinstance(route, StarletteRoute))
    methods = {method for route in fitting if route.path_regex.match(path) for method in route.methods or ()}
    return ", ".join(sorted(methods))


def _fastapi(served: Sequence[Route], render: RenderError) -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    for route in served:
        for path in route.spellings if route.method != WEBSOCKET else ():
            app.router.routes.append(StarletteRoute(path, _Raw(route.endpoint), methods=_methods(route)))

    async def on_router_error(request: Request, error: Any) -> Response:
        request.scope["state"]["error"] = error
        status, headers, body = render(request.url.path, error)
        response = Response(body, status)
        response.raw_headers += [(name, value) for name, value in headers if name != b"content-type"]
        response.headers["content-type"] = "application/json"
        return response

    async def on_http_exception(request: Request, error: Any) -> Response:
        what = f"{request.method} {request.url.path}"
        if error.status_code == 405:
            allowed = _allowed(app, request.url.path)
            response = await on_router_error(request, WrongMethod(f"{what}: this path takes {allowed}"))
            response.headers["allow"] = allowed
            return response
        return await on_router_error(request, UnknownRoute(f"there is no route {what}"))

    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(RouterError, on_router_error)
    return app
