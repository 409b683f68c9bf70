"""A login at a tool server: the SDK's flow (discovery, registration, authorization code, PKCE) with a person in it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2
from mcp import MCPError
from mcp.client.auth import OAuthClientProvider, OAuthFlowError
from mcp.client.auth.oauth2 import OAuthContext
from mcp.client.auth.utils import (
    build_protected_resource_metadata_discovery_urls,
    extract_field_from_www_auth,
    extract_scope_from_www_auth,
    handle_protected_resource_response,
    union_scopes,
)
from mcp.client.streamable_http import MCP_SESSION_ID
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp_types.version import LATEST_HANDSHAKE_VERSION
from pydantic import AnyUrl, PrivateAttr, ValidationError

from woollama.toolservers.authorised import context_of, scopes, with_tokens
from woollama.toolservers.browser import REQUEST_TIMEOUT_S, Answers, NotLoggedIn, listening
from woollama.toolservers.logins import Login, LoginFile, OwnClient, Wanted

logging.getLogger("mcp.client.auth.oauth2").disabled = True  # tracebacks about what is said here in a sentence
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


async def log_in(file: LoginFile, client: OwnClient, show: Callable[[str], None], timeout_s: float) -> Sequence[str]:
    """Logs in and keeps what that gives. `show` gets the address that the person is to open. Raises `NotLoggedIn`.

    Asks for all that the login before allowed and that the server has wanted since. Returns what of that was not given.
    """
    before, wanted = file.read(), file.wanted or Wanted()
    earlier = scopes(union_scopes(str(before.tokens.get("scope") or "") if before else "", wanted.scope))
    known = _registered(before) if before and not client.client_id else None
    async with listening(_port_of(known) or client.port, strict=bool(client.port)) as answers:
        storage = _Fresh(_configured(client, answers.address, before) or _usable(known, answers.address, earlier))
        metadata = _Asking(
            client_name="woollama",
            redirect_uris=[AnyUrl(answers.address)],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            token_endpoint_auth_method="none",
        )
        metadata.remember(earlier)
        provider = OAuthClientProvider(
            file.url,
            metadata,
            storage,
            redirect_handler=lambda url: _leave(provider, client, answers, url, show),
            callback_handler=answers.answer,
        )
        try:
            async with asyncio.timeout(timeout_s):
                await _knock(file.url, provider, wanted)
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
    async with _alone(file):  # else what renews the one before would be written over it
        file.write(with_tokens(login, storage.tokens))
    file.want(None)
    given = (storage.tokens.scope or "").split()
    return [scope for scope in wanted.scope.split() if scope not in given]


async def log_out(file: LoginFile) -> bool:
    """Forgets a login, and tells the authorization server so where it wants to know. Whether there was one."""
    async with _alone(file):
        login = file.read()
        was_there = file.forget()
    if login is not None and (revoking := _revoking(login)) is not None:
        with suppress(httpx2.HTTPError, httpx2.InvalidURL):  # it is forgotten here, and ends there by itself
            async with httpx2.AsyncClient(timeout=REQUEST_TIMEOUT_S) as client:
                await client.send(revoking)
    return was_there


def _revoking(login: Login) -> httpx2.Request | None:
    endpoint = (login.metadata or {}).get("revocation_endpoint")
    token = login.tokens.get("refresh_token") or login.tokens.get("access_token")
    if not endpoint or not token:
        return None
    try:
        data = {"token": str(token), "client_id": str(login.client.get("client_id") or "")}
        data, headers = context_of(login).prepare_token_auth(data, {"accept": "application/json"})
        return httpx2.Request("POST", str(endpoint), data=data, headers=headers)
    except (ValidationError, OAuthFlowError, httpx2.InvalidURL):
        return None


@asynccontextmanager
async def _alone(file: LoginFile) -> AsyncIterator[None]:
    try:
        async with file.alone():
            yield
    except TimeoutError:
        raise NotLoggedIn("another woollama is at work on this login, and does not end") from None


async def _knock(url: str, provider: OAuthClientProvider, wanted: Wanted) -> None:
    """Asks for its tools, to be refused and to ask again: many a server lets everybody in and wants the login there.

    One that lists them to everybody as well is not refusing: what it said to somebody's call, or publishes, is taken
    for a refusal.
    """
    headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": LATEST_HANDSHAKE_VERSION}
    door = _Door(httpx2.AsyncHTTPTransport())
    async with httpx2.AsyncClient(transport=door, auth=provider, headers=headers, timeout=REQUEST_TIMEOUT_S) as client:
        context = provider.context
        for question in QUESTIONS:
            response = await _asked(client, url, question)
            if (session := response.headers.get(MCP_SESSION_ID)) is not None:
                client.headers[MCP_SESSION_ID] = session
            if context.current_tokens is not None:
                break  # whatever it says to the question: it may be of another era
        if context.current_tokens is None and response.status_code < 500:
            door.refusal = await _refusal(client, url, wanted)
            if door.refusal is not None:
                response = await _asked(client, url, question)
        if _lacks(response) - _had(context):
            response = await _asked(client, url, question)  # it has not said before what it wants
        if lacks := _lacks(response):
            raise NotLoggedIn(f"it is not content with the new login: it wants {', '.join(sorted(lacks))}")
        if response.status_code in (401, 403):
            raise NotLoggedIn(f"it refuses the new login: HTTP {response.status_code}")
        if response.status_code >= 400 and context.current_tokens is None:
            raise NotLoggedIn(f"it answers with HTTP {response.status_code} {response.reason_phrase}")


async def _asked(client: httpx2.AsyncClient, url: str, question: Mapping[str, Any]) -> httpx2.Response:
    """Its status and headers; nobody waits for a stream that may have no end."""
    async with client.stream("POST", url, json=question) as response:
        return response


async def _refusal(client: httpx2.AsyncClient, url: str, wanted: Wanted) -> str | None:
    """How a server that has refused nothing would ask for a login, if it is one that has logins."""
    if wanted.metadata_url:
        return f'Bearer resource_metadata="{wanted.metadata_url}"'
    for place in build_protected_resource_metadata_discovery_urls(None, url):
        if await handle_protected_resource_response(await client.get(place, auth=None)) is not None:
            return "Bearer"
    return None


def _lacks(response: httpx2.Response) -> set[str]:
    """What it wants that it has not been given, of a server that says so."""
    if response.status_code != 403 or extract_field_from_www_auth(response, "error") != "insufficient_scope":
        return set()
    return set(scopes(extract_scope_from_www_auth(response)).split())


def _had(context: OAuthContext) -> set[str]:
    return set((context.client_metadata.scope or "").split())


class _Door(httpx2.AsyncBaseTransport):
    """Refuses one request itself, where there is a `refusal` for it."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self.refusal: str | None = None
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.refusal is not None:
            refusal, self.refusal = self.refusal, None
            return httpx2.Response(401, headers={"www-authenticate": refusal}, request=request)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Asking(OAuthClientMetadata):
    """Who we say that we are. The SDK sets `scope` to what one answer asks for: what was asked for earlier stays."""

    _earlier: str = PrivateAttr("")

    def remember(self, scope: str) -> None:
        self._earlier = scope

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, union_scopes(self._earlier, value) if name == "scope" else value)


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


async def _leave(
    provider: OAuthClientProvider, client: OwnClient, answers: Answers, url: str, show: Callable[[str], None]
) -> None:
    """The person's turn, when it is known how the authorization server wants a secret of ours: unless it says so, as
    a password (RFC 8414)."""
    metadata, known = provider.context.oauth_metadata, provider.context.client_info
    if client.client_secret and known is not None and metadata is not None:
        methods = metadata.token_endpoint_auth_methods_supported or ["client_secret_basic"]
        by_form = "client_secret_basic" not in methods and "client_secret_post" in methods
        known.token_endpoint_auth_method = "client_secret_post" if by_form else "client_secret_basic"
    await answers.expect(url, show)


def _registered(login: Login) -> OAuthClientInformationFull | None:
    try:
        return OAuthClientInformationFull.model_validate(login.client)
    except ValidationError:
        return None


def _configured(client: OwnClient, address: str, before: Login | None) -> OAuthClientInformationFull | None:
    """The owner's client. It belongs to the authorization server of the login before: a server that names another one
    does not get its secret sent there."""
    if not client.client_id:
        return None
    is_same = before is not None and before.client.get("client_id") == client.client_id
    return OAuthClientInformationFull(
        client_id=client.client_id,
        issuer=str((before.metadata or {}).get("issuer") or "") or None if before and is_same else None,
        client_secret=client.client_secret,
        redirect_uris=[AnyUrl(address)],
        token_endpoint_auth_method="client_secret_basic" if client.client_secret else "none",
    )


def _usable(known: OAuthClientInformationFull | None, address: str, scope: str) -> OAuthClientInformationFull | None:
    """An earlier registration, if the browser may come back to this address by it, and it is for all of these scopes:
    many an authorization server gives a client no others than those that it has registered for."""
    if known is None or address not in [str(uri) for uri in known.redirect_uris or ()]:
        return None
    return known if known.scope is None or set(scope.split()) <= set(known.scope.split()) else None


def _port_of(known: OAuthClientInformationFull | None) -> int:
    return next((uri.port or 0 for uri in (known.redirect_uris or ()) if known), 0) if known else 0
