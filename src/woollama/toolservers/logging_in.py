"""A login at a tool server: the SDK's flow (discovery, registration, authorization code with PKCE) with a person in it.

The browser comes back to a port of this machine's loopback, which listens for that one answer and as long as it takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import escape
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import MCPError
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, OAuthFlowError
from mcp.client.streamable_http import MCP_SESSION_ID
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp_types.version import LATEST_HANDSHAKE_VERSION
from pydantic import AnyUrl, ValidationError

from woollama.toolservers.authorised import with_tokens
from woollama.toolservers.logins import Login, LoginFile

REQUEST_TIMEOUT_S = 20.0
LONGEST_HEAD_BYTES = 16384
CALLBACK = "/callback"
QUESTIONS = (
    {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {
            "protocolVersion": LATEST_HANDSHAKE_VERSION,
            "capabilities": {},
            "clientInfo": {"name": "woollama", "version": "login"},
        },
    },
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
)


class NotLoggedIn(Exception):
    """Why, in words for the person who wanted to."""


@dataclass(frozen=True, slots=True)
class OwnClient:
    """Who we are at an authorization server that registers nobody by itself. Port 0 is any."""

    client_id: str = ""
    client_secret: str | None = None
    port: int = 0


async def log_in(file: LoginFile, client: OwnClient, show: Callable[[str], None], timeout_s: float) -> None:
    """Logs in and keeps what that gives. `show` gets the address that the person is to open. Raises `NotLoggedIn`."""
    before = file.read()
    known = OAuthClientInformationFull.model_validate(before.client) if before and not client.client_id else None
    async with _listening(_port_of(known) or client.port, strict=bool(client.port)) as answers:
        storage = _Fresh(_configured(client, answers.address) or _usable(known, answers.address))
        provider = OAuthClientProvider(
            file.url,
            OAuthClientMetadata(
                client_name="woollama",
                redirect_uris=[AnyUrl(answers.address)],
                grant_types=["authorization_code", "refresh_token"],
                response_types=["code"],
                token_endpoint_auth_method="none",
            ),
            storage,
            redirect_handler=lambda url: _leave(provider, client, answers, url, show),
            callback_handler=answers.answer,
        )
        try:
            async with asyncio.timeout(timeout_s):
                await _knock(file.url, provider)
        except TimeoutError:
            raise NotLoggedIn(f"nobody has logged in within {timeout_s:g} s") from None
        except (OAuthFlowError, MCPError, ValidationError) as error:
            raise NotLoggedIn(str(error)) from error
        except httpx2.HTTPError as error:
            raise NotLoggedIn(f"{type(error).__name__}: {error}") from error
    context = provider.context
    if storage.tokens is None or context.client_info is None or context.oauth_metadata is None:
        raise NotLoggedIn("it wants no login")
    resource = context.protected_resource_metadata
    login = Login(
        file.server,
        file.url,
        {},
        client=context.client_info.model_dump(mode="json", exclude_none=True),
        metadata=context.oauth_metadata.model_dump(mode="json", exclude_none=True),
        resource=resource.model_dump(mode="json", exclude_none=True) if resource else None,
    )
    file.write(with_tokens(login, storage.tokens))


async def log_out(file: LoginFile) -> bool:
    """Forgets a login, and tells the authorization server so where it wants to know. Whether there was one."""
    login = file.read()
    if login is None:
        return file.forget()
    file.forget()
    endpoint = (login.metadata or {}).get("revocation_endpoint")
    token = login.tokens.get("refresh_token") or login.tokens.get("access_token")
    if endpoint and token:
        data = {"token": str(token), "client_id": str(login.client.get("client_id") or "")}
        if secret := login.client.get("client_secret"):
            data["client_secret"] = str(secret)
        try:
            async with httpx2.AsyncClient(timeout=REQUEST_TIMEOUT_S) as client:
                await client.post(str(endpoint), data=data)
        except (httpx2.HTTPError, httpx2.InvalidURL):
            pass  # it is forgotten here, and ends there by itself
    return True


async def _knock(url: str, provider: OAuthClientProvider) -> None:
    """Asks for its tools, to be refused and to ask again: many a server lets everybody in and wants the login there."""
    headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": LATEST_HANDSHAKE_VERSION}
    async with httpx2.AsyncClient(auth=provider, headers=headers, timeout=REQUEST_TIMEOUT_S) as client:
        for question in QUESTIONS:
            async with client.stream("POST", url, json=question) as response:
                session = response.headers.get(MCP_SESSION_ID)
            if session is not None:
                client.headers[MCP_SESSION_ID] = session
            if provider.context.current_tokens is not None:
                break  # whatever it says to the question: it may be of another era
        if response.status_code in (401, 403):
            raise NotLoggedIn(f"it refuses the new login: HTTP {response.status_code}")
        if response.status_code >= 400 and provider.context.current_tokens is None:
            raise NotLoggedIn(f"it answers with HTTP {response.status_code} {response.reason_phrase}")


class _Fresh:
    """What the SDK keeps during one flow; it goes to the file as a whole, at its end."""

    def __init__(self, client: OAuthClientInformationFull | None) -> None:
        self.client = client
        self.tokens: OAuthToken | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class _Answers:
    """What comes to the loopback port. Only the answer with the state of this flow counts: others are not ours."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._state: str | None = None
        self._given: asyncio.Future[AuthorizationCodeResult] = asyncio.get_running_loop().create_future()

    async def expect(self, url: str, show: Callable[[str], None]) -> None:
        self._state = _first(url, "state")
        show(url)

    async def answer(self) -> AuthorizationCodeResult:
        return await self._given

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                line = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0].decode("latin-1")
            status, said = self._take(line)
            page = f"<!doctype html><meta charset=utf-8><title>woollama</title><p>{escape(said)}</p>".encode()
            head = f"HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {len(page)}\r\n"
            secure = "content-security-policy: default-src 'none'\r\nreferrer-policy: no-referrer\r\n"
            writer.write(f"{head}{secure}connection: close\r\n\r\n".encode() + page)
            await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever that was does not matter
        finally:
            writer.close()

    def _take(self, line: str) -> tuple[str, str]:
        method, _, rest = line.partition(" ")
        target = rest.partition(" ")[0]
        if method != "GET" or urlsplit(target).path != CALLBACK:
            return "404 Not Found", "There is nothing here."
        if self._state is None or _first(target, "state") != self._state:
            return "400 Bad Request", "This answer is not to a question of woollama's."
        if self._given.done():
            return "200 OK", "That is known already. This page can be closed."
        if (error := _first(target, "error")) is not None:
            about = _first(target, "error_description")
            why = "the login was denied" if error == "access_denied" else f"the login failed: {error}"
            self._given.set_exception(NotLoggedIn(why + (f" ({about})" if about else "")))
            return "200 OK", f"woollama is not logged in: {why}. This page can be closed."
        result = AuthorizationCodeResult(
            code=_first(target, "code") or "", state=self._state, iss=_first(target, "iss")
        )
        self._given.set_result(result)
        return "200 OK", "woollama has its answer. This page can be closed."


@asynccontextmanager
async def _listening(port: int, *, strict: bool) -> AsyncIterator[_Answers]:
    """On that port, or where it is taken and nobody insists on it, on any."""
    answers = _Answers("")
    try:
        server = await asyncio.start_server(answers.serve, "127.0.0.1", port, limit=LONGEST_HEAD_BYTES)
    except OSError as error:
        if strict:
            raise NotLoggedIn(
                f"port {port}, to which the browser would come back, is taken: {error.strerror}"
            ) from None
        server = await asyncio.start_server(answers.serve, "127.0.0.1", 0, limit=LONGEST_HEAD_BYTES)
    answers.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{CALLBACK}"
    try:
        yield answers
    finally:
        server.close()
        if answers._given.done() and not answers._given.cancelled():
            answers._given.exception()


async def _leave(
    provider: OAuthClientProvider, client: OwnClient, answers: _Answers, url: str, show: Callable[[str], None]
) -> None:
    """The person's turn, when it is known how the authorization server wants a secret of ours: unless it says so, as
    a password (RFC 8414)."""
    metadata, known = provider.context.oauth_metadata, provider.context.client_info
    if client.client_secret and known is not None and metadata is not None:
        methods = metadata.token_endpoint_auth_methods_supported or ["client_secret_basic"]
        by_form = "client_secret_basic" not in methods and "client_secret_post" in methods
        known.token_endpoint_auth_method = "client_secret_post" if by_form else "client_secret_basic"
    await answers.expect(url, show)


def _configured(client: OwnClient, address: str) -> OAuthClientInformationFull | None:
    if not client.client_id:
        return None
    return OAuthClientInformationFull(
        client_id=client.client_id,
        client_secret=client.client_secret,
        redirect_uris=[AnyUrl(address)],
        token_endpoint_auth_method="client_secret_basic" if client.client_secret else "none",
    )


def _usable(known: OAuthClientInformationFull | None, address: str) -> OAuthClientInformationFull | None:
    """An earlier registration, if the browser may come back to this address by it."""
    uris = [str(uri) for uri in (known.redirect_uris or ())] if known else []
    return known if address in uris else None


def _port_of(known: OAuthClientInformationFull | None) -> int:
    return next((uri.port or 0 for uri in (known.redirect_uris or ()) if known), 0) if known else 0


def _first(url: str, name: str) -> str | None:
    values = parse_qs(urlsplit(url).query).get(name)
    return values[0] if values else None
