"""The gate: a pure-ASGI wrapper that asks `auth.authorize` before the application sees anything.

What the application finds in `scope["state"]`: `caller` (a `Caller`), `by_token` (whether it has shown ours) and
`request_id`. Every answer carries
`x-request-id`, every refusal has the shape of the path's dialect, and no exception leaves as a bare 500.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from woollama.auth import Head, Policy, authorize, origin_allowed, own_key, presented_key, scope_of
from woollama.domain.errors import InternalFault, RouterError, ShuttingDown, SlowRequest, TooLarge
from woollama.domain.ids import new_id
from woollama.observe import request_id
from woollama.platform import Peer

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]
RenderError = Callable[[str, RouterError], tuple[int, Headers, bytes]]
"""`render_error(path, error)` gives status, headers and body in the dialect that the path belongs to."""

_SANE_ID = re.compile(rb"[\w.:+/=-]{1,128}\Z")
_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_REQUEST_HEADERS = (
    b"authorization, content-type, accept, x-api-key, x-request-id, idempotency-key, anthropic-version, "
    b"anthropic-beta, mcp-session-id, mcp-protocol-version, mcp-method, mcp-name, last-event-id"
)
_EXPOSED = (
    b"x-request-id, retry-after, x-woollama-target, x-woollama-path, x-woollama-attempts, x-woollama-rewrites, "
    b"mcp-session-id, mcp-protocol-version, mcp-method, mcp-name, last-event-id"
)
_HEADER_LIST = re.compile(rb"[\w-]+(\s*,\s*[\w-]+)*\Z")
_log = logging.getLogger("woollama.gate")


def openai_error(path: str, error: RouterError) -> tuple[int, Headers, bytes]:
    """An error in OpenAI's shape, which is what a path of no dialect answers in."""
    kind = "invalid_request_error" if error.at_fault == "client" else "server_error"
    body = {
        "message": error.message,
        "type": {401: "authentication_error", 403: "permission_error"}.get(error.status_hint, kind),
        "param": error.param,
        "code": error.code or error.kind,
        "at_fault": error.at_fault,
    }
    return error.status_hint, [(b"content-type", b"application/json")], json.dumps({"error": body}).encode()


class Gate:
    def __init__(self, app: ASGIApp, policy: Policy, render_error: RenderError = openai_error) -> None:
        self._app = app
        self._policy = policy
        self._render_error = render_error

    def __repr__(self) -> str:
        return f"<Gate {self._policy!r}>"

    def renew(self, policy: Policy) -> None:
        """Another policy for the requests to come."""
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        own_id = state["request_id"] = _request_id(scope)
        request_id.set(own_id)
        answer = _Answer(send, [(b"x-request-id", own_id.encode())])
        try:
            head = Head.of(scope)
            if head.origin is not None and origin_allowed(head, self._policy):
                answer.extra += _cross_origin(head.origin)
            caller = authorize(head, state.get("peer") or Peer("unix"), self._policy)
            state["caller"] = replace(caller, key=own_key(head, self._policy))
            state["by_token"] = caller.via == "tcp" and self._policy.token is not None
            if head.preflight:
                await answer.whole(204, _preflight(scope), b"")
                return
            limit_bytes = self._policy.max_media_bytes if head.is_form else self._policy.max_body_bytes
            if (head.content_length or 0) > limit_bytes:
                raise _too_large(limit_bytes, head)
        except RouterError as error:
            await self._refuse(scope, receive, answer, error)
            return
        if head.has_body and scope["type"] == "http":
            receive = self._bounded(receive, head, limit_bytes)
        await self._pass(self._without_token(scope), receive, answer)

    async def _pass(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        """Call the application. What escapes from it is answered while that is still possible, and never swallowed."""
        try:
            await self._app(scope, receive, answer)
        except asyncio.CancelledError:
            if not answer.begun and scope["type"] == "http":
                await self._error(scope, answer, ShuttingDown("woollama is shutting down"))
            raise
        except Exception as error:
            if not isinstance(error, RouterError):
                _log.exception("a defect broke %s %s", scope["path"], scope["state"]["request_id"])
            if answer.begun or scope["type"] != "http":
                raise
            fault = InternalFault("woollama met a defect of its own; its log has the details")
            await self._error(scope, answer, error if isinstance(error, RouterError) else fault)

    async def _refuse(self, scope: Scope, receive: Receive, answer: _Answer, error: RouterError) -> None:
        if scope["type"] == "http":
            await self._error(scope, answer, error)
            return
        await receive()
        if "websocket.http.response" in scope.get("extensions", {}):
            _, headers, body = self._render_error(scope["path"], error)
            await answer.whole(403, headers, body, "websocket.http.response")
        else:
            await answer({"type": "websocket.close", "code": 1008})

    async def _error(self, scope: Scope, answer: _Answer, error: RouterError) -> None:
        scope["state"]["error"] = error
        status, headers, body = self._render_error(scope["path"], error)
        extra: Headers = []
        if error.retry_after is not None:
            extra.append((b"retry-after", b"%d" % max(1, round(error.retry_after))))
        if status == 401:
            extra.append((b"www-authenticate", b"Bearer"))
        await answer.whole(status, [*headers, *extra], body)

    def _bounded(self, receive: Receive, head: Head, limit_bytes: int) -> Receive:
        """Reading the body fails with `TooLarge` at the limit, and with `SlowRequest` when it stands still.

        It may take its time as long as it moves: the limit is on silence.
        """
        taken, complete = 0, False
        silence_s = self._policy.body_timeout_s

        async def reading() -> Message:
            nonlocal taken, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout(silence_s):
                    message = await receive()
            except TimeoutError:
                raise SlowRequest(f"the body stood still for {silence_s:g} s; see --body-timeout") from None
            if message["type"] == "http.request":
                complete = not message.get("more_body", False)
                taken += len(message.get("body", b""))
                if taken > limit_bytes:
                    raise _too_large(limit_bytes, head)
            return message

        return reading

    def _without_token(self, scope: Scope) -> Scope:
        """A token of ours has done its work here; nothing behind the gate can forward it."""
        if not self._policy.tokens:
            return scope
        kept = [
            (name, value)
            for name, value in scope["headers"]
            if (key := presented_key(name, value)) is None or scope_of(key, self._policy) is None
        ]
        return {**scope, "headers": kept}


class _Answer:
    """`send`, with headers added to whatever begins the answer, and a memory of whether it has begun."""

    def __init__(self, send: Send, extra: Headers) -> None:
        self._send = send
        self.extra = extra
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.accept", "websocket.http.response.start"):
            self.begun = True
            headers = list(message.get("headers", ()))
            present = {name for name, _ in headers}
            headers += [(name, value) for name, value in self.extra if name not in present or name == b"vary"]
            message = {**message, "headers": headers}
        await self._send(message)

    async def whole(self, status: int, headers: Headers, body: bytes, kind: str = "http.response") -> None:
        length = [] if status == 204 else [(b"content-length", b"%d" % len(body))]
        await self({"type": f"{kind}.start", "status": status, "headers": [*headers, *length]})
        await self({"type": f"{kind}.body", "body": body, "more_body": False})


def _too_large(limit_bytes: int, head: Head) -> TooLarge:
    flag = "--max-media-bytes" if head.is_form else "--max-body-bytes"
    return TooLarge(f"the body is larger than {limit_bytes} bytes; see {flag}")


def _request_id(scope: Scope) -> str:
    """The client's own id where it is one that can be repeated in a header and a log line, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.match(value):
            return str(value.decode())
    return new_id("req_")


def _cross_origin(origin: str) -> Headers:
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"origin"),
    ]


def _preflight(scope: Scope) -> Headers:
    """An allowed page may send any header: what it may do was decided by where it comes from."""
    asked: dict[bytes, bytes] = dict(scope["headers"])
    wanted = asked.get(b"access-control-request-headers", b"").strip()
    headers: Headers = [
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", wanted if _HEADER_LIST.match(wanted) else _REQUEST_HEADERS),
        (b"access-control-max-age", b"600"),
    ]
    if asked.get(b"access-control-request-private-network") == b"true":
        headers.append((b"access-control-allow-private-network", b"true"))
    return headers
