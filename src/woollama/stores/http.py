"""Transcripts in a service: `PUT`, `GET`, `PATCH` and `DELETE` of `/threads/{id}`, messages in JSON."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from woollama.domain.errors import Gone, StoreUnreachable
from woollama.domain.ids import new_id
from woollama.domain.messages import Json
from woollama.domain.state import Raw
from woollama.domain.wire_json import dumps, loads
from woollama.stores.messages import items_of, message_of

TIMEOUT_S = 15.0
_JSON = {"content-type": "application/json"}


class HttpStore:
    """Implements `TranscriptStore`. `url` is the service's own address, above `/threads`."""

    def __init__(self, url: str) -> None:
        self.name = f"http:{url}"
        self._url = url
        self._client: Any = None

    def __repr__(self) -> str:
        return f"<HttpStore at {self._url}>"

    def shares(self, tables: object) -> bool:
        return False

    async def create(self) -> str:
        thread = new_id("thread_")
        await self._ask("PUT", thread, {"messages": []})
        return thread

    async def read(self, thread: str, begin: int = 0, end: int | None = None) -> Sequence[Raw]:
        found = await self._ask("GET", thread)
        messages = found.get("messages") if isinstance(found, dict) else found
        if not isinstance(messages, list):
            raise StoreUnreachable(f"{self._url} gave no list of messages for {thread}")
        return items_of(thread, messages)[begin:end]

    async def append(self, thread: str, at: int, items: Sequence[Raw]) -> None:
        if items:
            await self._ask("PATCH", thread, {"messages": [message_of(item) for item in items]})

    async def delete(self, thread: str) -> None:
        with contextlib.suppress(Gone):
            await self._ask("DELETE", thread)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def _ask(self, method: str, thread: str, body: Json = None) -> Json:
        import httpx2

        if self._client is None:
            self._client = httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False)
        url = f"{self._url}/threads/{quote(thread, safe='')}"
        try:
            answer = await self._client.request(
                method, url, content=None if body is None else dumps(body), headers=_JSON if body is not None else None
            )
            if answer.status_code in (404, 410):
                raise Gone(f"{self._url} has no thread {thread}")
            if answer.status_code >= 400:
                raise StoreUnreachable(f"{self._url} answered {method} of a thread with status {answer.status_code}")
            return loads(answer.content) if answer.content else None
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, httpx2.CookieConflict) as error:
            raise StoreUnreachable(f"{self._url} cannot be reached: {error or type(error).__name__}") from error
        except ValueError as error:
            raise StoreUnreachable(f"{self._url} answered with what is no JSON") from error
