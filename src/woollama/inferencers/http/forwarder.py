"""The relay's way out: a request body goes to an upstream as it is, and the answer comes back unread.

What may pass in either direction is decided here. A caller's credentials stay: the inferencer's own take their place,
or the one key that its caller brought for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import TracebackType

from woollama.domain.ports import Forwarded, ReplayableBody, RequestHead
from woollama.http.connection import HttpAnswer
from woollama.http.content_coding import decoded
from woollama.http.frames import Frames
from woollama.http.lines import WholeLines
from woollama.http.request import Headers, HttpRequest
from woollama.http.transport import Exchange, HttpClient
from woollama.inferencers.http.endpoint import Endpoint
from woollama.inferencers.http.refusals import redirected

_UP = frozenset({b"content-type", b"accept", b"idempotency-key", b"traceparent", b"tracestate", b"x-request-id"})
_UP_PREFIXES = (b"openai-", b"anthropic-", b"x-stainless-")
_HOP_BY_HOP = b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer upgrade"
_FRAMING = b"transfer-encoding content-length content-encoding"
_ABOUT_THE_UPSTREAM = b"set-cookie set-cookie2 strict-transport-security alt-svc date server"
_NOT_DOWN = frozenset(b" ".join((_HOP_BY_HOP, _FRAMING, _ABOUT_THE_UPSTREAM)).split())
_NOT_DOWN_PREFIXES = (b"access-control-",)
_SECRET_STAND_IN = b"***"


class UpstreamForwarder:
    """Implements `domain.ports.Forwarder` over the inferencers that speak HTTP, by name."""

    def __init__(self, client: HttpClient, endpoints: Iterable[Endpoint]) -> None:
        self._client = client
        self._endpoints: Mapping[str, Endpoint] = {endpoint.name: endpoint for endpoint in endpoints}

    def __repr__(self) -> str:
        return f"<UpstreamForwarder to {', '.join(self._endpoints) or 'nobody'}, {self._client!r}>"

    def forward(self, head: RequestHead, body: bytes | ReplayableBody) -> Forwarding:
        """Raises `KeyError` for an inferencer that was not given."""
        return self.forward_to(self._endpoints[head.target.inferencer], head, body)

    def forward_to(self, endpoint: Endpoint, head: RequestHead, body: bytes | ReplayableBody) -> Forwarding:
        """Raises `NotAuthorized` where the caller must bring a key and did not."""
        key = endpoint.key_for(head.key)
        path = endpoint.path_of(head.path)
        headers = headers_up(endpoint, head.headers, key)
        request = HttpRequest(endpoint.origin, head.method, path, headers, body, endpoint.patience)
        return Forwarding(endpoint, self._client.exchange(request), key)


class Forwarding:
    """One request on its way. A class because the usual decorator costs as much as the rest of it."""

    __slots__ = ("_endpoint", "_exchange", "_key")

    def __init__(self, endpoint: Endpoint, exchange: Exchange, key: str | None) -> None:
        self._endpoint = endpoint
        self._exchange = exchange
        self._key = key

    async def __aenter__(self) -> Forwarded:
        answer = await self._exchange.__aenter__()
        try:
            return self._forwarded(answer)
        except BaseException as error:
            await self._exchange.__aexit__(type(error), error, None)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exchange.__aexit__(kind, error, trace)

    def _forwarded(self, answer: HttpAnswer) -> Forwarded:
        status = answer.status
        if 300 <= status < 400 and status != 304:
            raise redirected(self._endpoint.name, self._endpoint.base_url, answer.header(b"location"))
        chunks: AsyncIterator[bytes] = decoded(answer, answer.header(b"content-encoding"))
        if status >= 400 and (secret := (self._key or "").strip().encode()):
            chunks = _scrubbed(chunks, secret)
        elif (kind := answer.header(b"content-type").lower()).startswith(b"text/event-stream"):
            chunks = Frames(chunks, self._endpoint.frame_limit_bytes)
        elif kind.startswith(b"application/x-ndjson"):
            chunks = WholeLines(chunks, self._endpoint.frame_limit_bytes)
        return Forwarded(status, headers_down(answer.headers), chunks)


def headers_up(endpoint: Endpoint, client_headers: Sequence[tuple[bytes, bytes]], key: str | None) -> Headers:
    """What the upstream gets to see: the listed headers of the client, and the inferencer's own credentials."""
    own = endpoint.own_headers(key)
    taken = {name for name, _ in own} | {b"accept-encoding"}
    passed = tuple(
        (name, value)
        for name, value in client_headers
        if (name in _UP or name.startswith(_UP_PREFIXES)) and name not in taken
    )
    said = {name for name, _ in passed} | taken
    usual = (header for header in endpoint.usual_headers if header[0] not in said)
    return (*passed, *own, *usual, (b"accept-encoding", b"identity"))


def headers_down(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """What the client gets to see: all but cookies, CORS, and what belongs to the one connection or its framing."""
    return tuple(
        (name, value) for name, value in headers if name not in _NOT_DOWN and not name.startswith(_NOT_DOWN_PREFIXES)
    )


async def _scrubbed(chunks: AsyncIterator[bytes], secret: bytes) -> AsyncIterator[bytes]:
    """An error's body without the key that some upstreams repeat in their message, also where two chunks share it."""
    rest = b""
    async for chunk in chunks:
        clean = (rest + chunk).replace(secret, _SECRET_STAND_IN)
        border = max(0, len(clean) - len(secret) + 1)
        rest = clean[border:]
        if border:
            yield clean[:border]
    yield rest
