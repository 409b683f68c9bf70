"""Anthropic's own SDK: three thousand modules, loaded by the first call that needs them; a client for each call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from woollama.domain.errors import UpstreamRefused
from woollama.http.frames import FRAME_LIMIT_BYTES
from woollama.inferencers.http.endpoint import Auth, key_for

if TYPE_CHECKING:
    import httpx2
    from anthropic import AsyncAnthropic

BASE_URL = "https://api.anthropic.com"
_IDLE_CONNECTIONS = 20
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_NO_KEY = "none"
"""Stands in where there is no key: without one the SDK would look for keys in the environment and on the disk."""


class Sdk:
    """`key` is asked at each call and gives the key, or `None` for an upstream that wants none.

    With `auth="client"` the caller's own is used instead. Its retries are off: the router's are the only ones.
    Timeouts are in seconds; `silence_s` is the longest that an upstream may say nothing. `aclose` at the end.
    """

    def __init__(
        self,
        name: str,
        *,
        key: Callable[[], str | None],
        auth: Auth = "key",
        base_url: str = BASE_URL,
        headers: Mapping[str, str] | None = None,
        connect_timeout_s: float = 5.0,
        silence_s: float = 120.0,
        frame_limit_bytes: int = FRAME_LIMIT_BYTES,
    ) -> None:
        self.base_url = base_url.rstrip("/").removesuffix("/v1")
        self.name = name
        self._key = key
        self._auth: Auth = auth
        self._headers = dict(headers or {})
        self._connect_timeout_s = connect_timeout_s
        self._silence_s = silence_s
        self._frame_limit_bytes = frame_limit_bytes
        self._loading = asyncio.Lock()
        self._http: httpx2.AsyncClient | None = None

    def __repr__(self) -> str:
        return f"<Sdk at {self.base_url}{'' if self._http else ', not loaded'}>"

    async def client(self, callers_key: str | None) -> AsyncAnthropic:
        """A client costs next to nothing over a connection pool that stays, so the key is never older than the call.

        Upstreams that are not Anthropic's own also find the key where the API used to want it.
        """
        async with self._loading:
            if self._http is None:
                self._http = await asyncio.to_thread(self._load)
            http = self._http
        import anthropic

        key = key_for(self.name, self._auth, self._key, callers_key)
        if key is None and self.base_url == BASE_URL:
            what = f"there is no key for {self.name}; `woollama check` names the variable that it is read from"
            raise UpstreamRefused(what, status=401, code="authentication_error")
        headers: dict[str, Any] = {}
        if key is None:
            headers["authorization"] = anthropic.Omit()
        elif self.base_url != BASE_URL:
            headers["x-api-key"] = key
        return anthropic.AsyncAnthropic(
            api_key=key or _NO_KEY,
            base_url=self.base_url,
            default_headers={**headers, **self._headers},
            http_client=http,
            max_retries=0,
            timeout=http.timeout,
        )

    async def aclose(self) -> None:
        if self._http is not None:
            await self._http.aclose()

    def _load(self) -> httpx2.AsyncClient:
        """Slow and in a thread: the modules, and the certificates."""
        import anthropic  # noqa: F401
        import httpx2

        from woollama.inferencers.anthropic.bounded import bounding

        loopback = httpx2.URL(self.base_url).host in _LOOPBACK
        return httpx2.AsyncClient(
            timeout=httpx2.Timeout(self._silence_s, connect=self._connect_timeout_s),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=_IDLE_CONNECTIONS),
            trust_env=not loopback,
            event_hooks={"response": [bounding(self._frame_limit_bytes)]},
        )
