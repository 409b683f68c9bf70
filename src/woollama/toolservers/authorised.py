"""Requests to a tool server that carry the token of a login, renewed in place when it has expired.

Below the SDK's session and not as its `auth`: there a call would hold the lock of all others until it is answered, and
an error would end the session. Nobody can be asked to log in here; that is `woollama login`.
"""

from __future__ import annotations

import time
from dataclasses import replace

import anyio
import httpx2
from mcp.client.auth.oauth2 import OAuthContext
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from pydantic import ValidationError

from woollama.platform import Unsafe
from woollama.toolservers.logins import Login, LoginFile, log

EARLY_S = 10.0
"""A token that is good for less than this is renewed before it is used."""
TOKEN_TIMEOUT_S = 20.0


class LoginNeeded(httpx2.RequestError):
    """Without a login there is nothing to be done."""


class Authorised(httpx2.AsyncBaseTransport):
    def __init__(self, inner: httpx2.AsyncBaseTransport, file: LoginFile) -> None:
        self._inner = inner
        self._file = file
        self._stamp: object = None
        self._login: Login | None = None
        self._renewing = anyio.Lock()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        token = await self._token(request, refused=None)
        response = await self._sent(request, token)
        if response.status_code == 401 and token is not None:
            await response.aclose()
            response = await self._sent(request, await self._token(request, refused=token))
        if response.status_code == 401:
            await response.aclose()
            raise self._needed("it refuses the login" if token else "it wants a login", request)
        self._file.needed = None
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _sent(self, request: httpx2.Request, token: str | None) -> httpx2.Response:
        if token is not None:
            request.headers["authorization"] = f"Bearer {token}"
        return await self._inner.handle_async_request(request)

    async def _token(self, request: httpx2.Request, refused: str | None) -> str | None:
        """A token that was not `refused` and is still good; none where nobody has ever logged in."""
        async with self._renewing:
            login = self._read()
            if login is None:
                return None
            token = str(login.tokens["access_token"])
            is_over = login.expires_at is not None and login.expires_at - EARLY_S < time.time()
            if token != refused and not is_over:
                return token
            return await self._renewed(login, request)

    def _read(self) -> Login | None:
        if (stamp := self._file.stamp()) != self._stamp:
            self._stamp, self._login = stamp, self._file.read()
        return self._login

    async def _renewed(self, login: Login, request: httpx2.Request) -> str:
        if not login.tokens.get("refresh_token") or not login.metadata:
            raise self._needed("its login has expired", request)
        with anyio.move_on_after(TOKEN_TIMEOUT_S):
            response = await self._inner.handle_async_request(_refresh(login))
            try:
                await response.aread()
            finally:
                await response.aclose()
            if response.status_code in (400, 401, 403):
                if (now := self._read()) is not None and now is not login:  # another process was faster
                    return str(now.tokens["access_token"])
                raise self._needed("its login has expired and is not renewed", request)
            if response.status_code != 200:
                raise httpx2.ConnectError(f"its login cannot be renewed now: HTTP {response.status_code}")
            return self._kept(login, response, request)
        raise httpx2.ConnectTimeout("its login cannot be renewed now: no answer")

    def _kept(self, login: Login, response: httpx2.Response, request: httpx2.Request) -> str:
        try:
            tokens = OAuthToken.model_validate_json(response.content)
        except ValidationError as error:
            raise httpx2.ConnectError("its login cannot be renewed: the answer is no token", request=request) from error
        # Either may be left out where it stays the same.
        tokens.refresh_token = tokens.refresh_token or login.tokens.get("refresh_token")
        tokens.scope = tokens.scope or login.tokens.get("scope")
        renewed = with_tokens(login, tokens)
        try:
            self._file.write(renewed)
        except (OSError, Unsafe) as error:
            log.warning("the renewed login at %s cannot be kept for the next start: %s", login.server, error)
        self._stamp, self._login = self._file.stamp(), renewed
        self._file.read()  # so that whoever must not repeat these secrets knows them
        return tokens.access_token

    def _needed(self, why: str, request: httpx2.Request) -> LoginNeeded:
        self._file.refused = self._stamp
        self._file.needed = f"{why}: `woollama login {self._file.server}`"
        return LoginNeeded(self._file.needed, request=request)


def with_tokens(login: Login, tokens: OAuthToken) -> Login:
    expires_at = None if tokens.expires_in is None else time.time() + tokens.expires_in
    return replace(login, tokens=tokens.model_dump(mode="json", exclude_none=True), expires_at=expires_at)


def _refresh(login: Login) -> httpx2.Request:
    """Raises `ValidationError` for a login that no version of ours has written."""
    context = OAuthContext(login.url, OAuthClientMetadata(redirect_uris=None), _Nowhere(), None, None)
    context.client_info = OAuthClientInformationFull.model_validate(login.client)
    context.oauth_metadata = OAuthMetadata.model_validate(login.metadata)
    if login.resource is not None:
        context.protected_resource_metadata = ProtectedResourceMetadata.model_validate(login.resource)
    data = {
        "grant_type": "refresh_token",
        "refresh_token": str(login.tokens["refresh_token"]),
        "client_id": context.client_info.client_id or "",
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
