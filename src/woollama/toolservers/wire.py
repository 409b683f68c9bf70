"""HTTP requests to the address of one tool server: as far as it may lead, and with its login."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from types import TracebackType
from urllib.parse import unquote, urljoin, urlsplit

import woollama
from woollama.domain.errors import RouterError
from woollama.http.answer_bodies import read_out
from woollama.http.connection import HttpAnswer
from woollama.http.request import Headers, HttpRequest, Patience, split_url
from woollama.http.transport import Exchange, HttpClient
from woollama.toolservers.reach import require_public
from woollama.toolservers.spec import ServerSpec

CONNECT_TIMEOUT_S = 10.0
POST_TIMEOUT_S = 30.0
"""Until a server has taken what it does not answer."""
UNTIL_ANSWERED = Patience(CONNECT_TIMEOUT_S, None, None)
"""Calls have their own time limits, and an idle stream of notifications none."""
UNTIL_TAKEN = Patience(CONNECT_TIMEOUT_S, POST_TIMEOUT_S, POST_TIMEOUT_S)
KEEP_ALIVE_S = 4.0
"""Less than the five seconds after which many servers close an idle connection, perhaps as a call is on its way."""
MOST_REDIRECTS = 5
MOST_COOKIES = 32
_USUAL: Mapping[str, str] = {"user-agent": f"woollama/{woollama.__version__}", "accept-encoding": "gzip, deflate"}


class Failed(Exception):
    """There is no answer. `unsent`: the request has had no effect, so that it may be made again."""

    def __init__(self, why: str, *, unsent: bool) -> None:
        super().__init__(why)
        self.unsent = unsent


class Wire:
    """`async with wire.exchange(…) as answer`; raises `Failed`, and the answer's body `RouterError`.

    Redirects are followed within the server's origin, since everything in a request was meant for that server.
    """

    def __init__(self, spec: ServerSpec) -> None:
        assert spec.url is not None
        self._url = spec.url
        self.origin, self._target = split_url(spec.url)
        own = {name.lower(): value for name, value in spec.headers.items()}
        self._headers = {**_USUAL, **_of_user(spec.url), **own}
        self._cookies: dict[str, str] = {}
        self._client = HttpClient(keep_alive_s=KEEP_ALIVE_S, look=require_public if spec.public_only else None)

    def request(
        self,
        method: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        patience: Patience = UNTIL_ANSWERED,
        target: str | None = None,
        repeatable: bool = True,
    ) -> HttpRequest:
        said = {**self._headers, **headers}
        if self._cookies:
            said["cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        encoded: Headers = tuple((name.encode(), value.encode()) for name, value in said.items())
        return HttpRequest(self.origin, method, target or self._target, encoded, body, patience, repeatable)

    def exchange(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpAnswer]:
        return _Exchange(self, request)

    def abort(self) -> None:
        """Breaks off whatever is on its way; new requests can be made."""
        self._client.abort()

    async def aclose(self) -> None:
        await self._client.aclose()

    async def send(self, request: HttpRequest) -> tuple[Exchange, HttpAnswer]:
        """Whoever gets them leaves the exchange."""
        for _ in range(MOST_REDIRECTS):
            exchange, answer = await self._sent(request)
            onward = redirected(request, answer)
            if onward is None:
                break
            try:
                await read_out(answer)
            finally:
                await exchange.__aexit__(None, None, None)
            request = onward
        return exchange, answer

    async def _sent(self, request: HttpRequest) -> tuple[Exchange, HttpAnswer]:
        exchange = self._client.exchange(request)
        try:
            answer = await exchange.__aenter__()
        except RouterError as error:
            raise Failed(error.message, unsent=not exchange.begun) from error
        for name, value in answer.headers:
            if name == b"set-cookie":
                self._keep_cookie(value.decode("latin-1"))
        return exchange, answer

    def _keep_cookie(self, said: str) -> None:
        """Those by which a load balancer finds its way to the session of a server; all go to the one origin."""
        try:
            given: SimpleCookie = SimpleCookie(said)
        except CookieError:
            return
        for name, each in given.items():
            if each["max-age"] == "0" or not each.value:
                self._cookies.pop(name, None)
            elif name in self._cookies or len(self._cookies) < MOST_COOKIES:
                self._cookies[name] = each.value


def _of_user(url: str) -> dict[str, str]:
    """The name and password that stand in an address."""
    parts = urlsplit(url)
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"authorization": f"Basic {b64encode(pair.encode()).decode()}"}


class _Exchange:
    def __init__(self, wire: Wire, request: HttpRequest) -> None:
        self._wire = wire
        self._request = request

    async def __aenter__(self) -> HttpAnswer:
        self._exchange, answer = await self._wire.send(self._request)
        return answer

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exchange.__aexit__(kind, error, trace)


def redirected(request: HttpRequest, answer: HttpAnswer) -> HttpRequest | None:
    """The request that it is to be instead: the same one, at the same server or at itself by TLS. Else none."""
    keeps_method = answer.status in (307, 308) or (request.method == "GET" and answer.status in (301, 302, 303))
    location = answer.header(b"location").decode("latin-1")
    if not keeps_method or not location:
        return None
    scheme = "https" if request.origin.tls else "http"
    try:
        origin, target = split_url(urljoin(f"{scheme}://{request.origin.peer}{request.path}", location))
    except ValueError:
        return None
    to_tls = replace(request.origin, port=443, tls=True) if request.origin.port == 80 else request.origin
    return replace(request, origin=origin, path=target) if origin in (request.origin, to_tls) else None


def status_line(status: int) -> str:
    """`404 Not Found`"""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
