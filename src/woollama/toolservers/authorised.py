"""Requests to a tool server that carry the token of a login, renewed in place when it has expired.

Nobody can be asked to log in here; that is `woollama login`.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import replace

import anyio
import httpx2
from mcp.client.auth.exceptions import OAuthFlowError
from mcp.client.auth.oauth2 import OAuthContext
from mcp.client.auth.utils import (
    extract_field_from_www_auth,
    extract_resource_metadata_from_www_auth,
    extract_scope_from_www_auth,
    union_scopes,
)
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from pydantic import ValidationError

from woollama.http.connection import HttpAnswer
from woollama.http.request import Headers, HttpRequest
from woollama.http.transport import Exchange
from woollama.platform import Unsafe
from woollama.toolservers.logins import Login, LoginFile, Wanted, log, wants
from woollama.toolservers.spec import ServerSpec
from woollama.toolservers.wire import Failed, Wire

EARLY_S = 10.0
"""A token that is good for less than this is renewed before it is used."""
TOKEN_TIMEOUT_S = 20.0
FAREWELL_S = 5.0
MOST_SCOPES = 64
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")
_URL = re.compile(r"[\x21\x23-\x7e]{1,2000}")


class LoginNeeded(Failed):
    """Nothing is to be done without another login. `is_over`: with this one nothing can be done at all; else it, or
    that there is none, is enough for other requests. `is_news`: the server wants something that it did not want before.
    """

    def __init__(self, file: LoginFile, why: str, *, is_over: bool, is_news: bool) -> None:
        super().__init__(file.complain(why), unsent=True)
        self.server = file.server
        self.is_over = is_over
        self.is_news = is_news


class AuthorisedWire(Wire):
    def __init__(self, spec: ServerSpec, file: LoginFile) -> None:
        super().__init__(spec)
        self._file = file
        self._has_login = False
        self._renewal: asyncio.Task[str | None] | None = None

    async def _sent(self, request: HttpRequest) -> tuple[Exchange, HttpAnswer]:
        token = await self._token(refused=None)
        exchange, answer = await self._sent_with(token, request)
        if answer.status == 401 and token is not None:
            await exchange.__aexit__(None, None, None)
            token = await self._token(refused=token)
            exchange, answer = await self._sent_with(token, request)
        if answer.status not in (401, 403):
            return exchange, answer
        said = httpx2.Response(answer.status, headers=answer.headers)
        if answer.status == 401:
            await exchange.__aexit__(None, None, None)
            why = "it refuses the login" if token else "it wants a login"
            # What began with a login ends without one; what began without may be served to everybody but for this.
            raise self._needed(why, is_over=self._has_login, is_news=self._note(request, said))
        if extract_field_from_www_auth(said, "error") == "insufficient_scope":
            await exchange.__aexit__(None, None, None)
            why = wants(scopes(extract_scope_from_www_auth(said)).split())
            raise self._needed(why, is_over=False, is_news=self._note(request, said))
        return exchange, answer

    async def aclose(self) -> None:
        if self._renewal is not None and not self._renewal.done():
            with anyio.CancelScope(shield=True):
                await asyncio.wait({self._renewal}, timeout=FAREWELL_S)
                self._renewal.cancel()
        await super().aclose()

    async def _sent_with(self, token: str | None, request: HttpRequest) -> tuple[Exchange, HttpAnswer]:
        others = tuple(header for header in request.headers if header[0] != b"authorization")
        own: Headers = ()
        if token is not None:
            self._has_login = True
            own = ((b"authorization", b"Bearer " + token.encode()),)
        return await super()._sent(replace(request, headers=(*others, *own)))

    async def _token(self, refused: str | None) -> str | None:
        """A token that was not `refused` and is still good; none where nobody has ever logged in."""
        if (login := self._file.read()) is None or (token := _good(login, refused)) is not None:
            return None if login is None else token
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renewed(refused))
            self._renewal.add_done_callback(lambda task: task.cancelled() or task.exception())
        # Whoever asked may leave: what comes is the only one of its kind, for the old one is used up.
        return await asyncio.shield(self._renewal)

    async def _renewed(self, refused: str | None) -> str | None:
        try:
            async with self._file.alone():
                if (login := self._file.read()) is None or (token := _good(login, refused)) is not None:
                    return None if login is None else token  # somebody else was faster
                return await self._renewed_alone(login)
        except TimeoutError:
            raise Failed("its login is being renewed elsewhere, and that does not end", unsent=True) from None

    async def _renewed_alone(self, login: Login) -> str:
        if not login.tokens.get("refresh_token") or not login.metadata:
            raise self._needed("its login has expired")
        try:
            asked = _refresh(login)
        except (ValidationError, OAuthFlowError):
            raise self._needed("its login cannot be renewed") from None
        with anyio.move_on_after(TOKEN_TIMEOUT_S):
            async with httpx2.AsyncHTTPTransport() as wire:
                try:
                    response = await wire.handle_async_request(asked)
                    await response.aread()
                except httpx2.RequestError as error:
                    said = str(error) or type(error).__name__
                    raise Failed(f"its login cannot be renewed now: {said}", unsent=True) from None
            if response.status_code in (400, 401, 403):
                if (now := self._file.read()) is not None and now is not login:
                    return str(now.tokens["access_token"])  # of somebody who does not lock
                raise self._needed("its login has expired and is not renewed")
            if response.status_code != 200:
                raise Failed(f"its login cannot be renewed now: HTTP {response.status_code}", unsent=True)
            return self._kept(login, response)
        raise Failed("its login cannot be renewed now: no answer", unsent=True)

    def _kept(self, login: Login, response: httpx2.Response) -> str:
        try:
            tokens = OAuthToken.model_validate_json(response.content)
        except ValidationError:  # which repeats what it was given
            raise Failed("its login cannot be renewed: the answer is no token", unsent=True) from None
        # Either may be left out where it stays the same.
        tokens.refresh_token = tokens.refresh_token or login.tokens.get("refresh_token")
        tokens.scope = tokens.scope or login.tokens.get("scope")
        renewed = with_tokens(login, tokens)
        try:
            self._file.write(renewed)
        except (OSError, Unsafe) as error:
            log.warning("the renewed login at %s cannot be kept for the next start: %s", login.server, error)
        return tokens.access_token

    def _note(self, request: HttpRequest, response: httpx2.Response) -> bool:
        """Keeps what is wanted for the next login, whoever it is that logs in. Whether it is another thing than before.

        What is wanted of a stream of notifications alone is wanted by nobody here.
        """
        if request.method != "POST":
            return False
        login, before = self._file.read(), self._file.wanted or Wanted()
        had = union_scopes(before.scope, login.tokens.get("scope") if login else None)
        said = extract_resource_metadata_from_www_auth(response) or ""
        is_url = said.startswith(("http://", "https://")) and _URL.fullmatch(said) is not None
        wanted = Wanted(
            scopes(union_scopes(had, extract_scope_from_www_auth(response))), said if is_url else before.metadata_url
        )
        is_news = wanted != self._file.wanted
        self._file.want(wanted)
        return is_news

    def _needed(self, why: str, *, is_over: bool = True, is_news: bool = False) -> LoginNeeded:
        return LoginNeeded(self._file, why, is_over=is_over, is_news=is_news)


def _good(login: Login, refused: str | None) -> str | None:
    """Its token, as long as nothing speaks against it."""
    token = str(login.tokens["access_token"])
    is_over = login.expires_at is not None and login.expires_at - EARLY_S < time.time()
    return None if token == refused or is_over else token


def scopes(said: str | None) -> str:
    """Those in OAuth's own spelling, as far as there are not absurdly many."""
    found = [scope for scope in (said or "").split() if _SCOPE.fullmatch(scope)]
    return " ".join(found[:MOST_SCOPES])


def with_tokens(login: Login, tokens: OAuthToken) -> Login:
    expires_at = None if tokens.expires_in is None else time.time() + tokens.expires_in
    return replace(login, tokens=tokens.model_dump(mode="json", exclude_none=True), expires_at=expires_at)


def context_of(login: Login) -> OAuthContext:
    """Who we are at the authorization server. Raises `ValidationError` for what no version of ours has written."""
    context = OAuthContext(login.url, OAuthClientMetadata(redirect_uris=None), _Nowhere(), None, None)
    context.client_info = OAuthClientInformationFull.model_validate(login.client)
    context.oauth_metadata = OAuthMetadata.model_validate(login.metadata)
    if login.resource is not None:
        context.protected_resource_metadata = ProtectedResourceMetadata.model_validate(login.resource)
    return context


def _refresh(login: Login) -> httpx2.Request:
    context = context_of(login)
    assert context.client_info is not None
    assert context.oauth_metadata is not None
    data = {
        "grant_type": "refresh_token",
        "refresh_token": str(login.tokens["refresh_token"]),
        "client_id": context.client_info.client_id,
    }
    if context.should_include_resource_param():
        data["resource"] = context.get_resource_url()
    data, headers = context.prepare_token_auth(data, {"accept": "application/json"})
    return httpx2.Request("POST", str(context.oauth_metadata.token_endpoint), data=data, headers=headers)


class _Nowhere:
    """The SDK's storage, which is not asked here."""

    async def get_tokens(self) -> OAuthToken | None:
        return None

    async def set_tokens(self, tokens: OAuthToken) -> None: ...

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None: ...
