"""Claude, and whatever else speaks Messages, through Anthropic's own SDK.

The SDK loads some three thousand modules, so it is imported by the first call, in a thread. Its retries are off: the
router's are the only ones. Its stream is read below its models, which would drop what they do not know and which take
a connection that was cut for an answer that is done.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Self, cast

from woollama.domain.errors import UpstreamBroke
from woollama.domain.events import Event, Rewrote, Stopped
from woollama.domain.messages import Json
from woollama.domain.turns import Call, Target
from woollama.inferencers.anthropic.decode import MessagesStreamDecoder
from woollama.inferencers.anthropic.encode import DEFAULT_MAX_TOKENS, encode
from woollama.inferencers.anthropic.errors import mapped
from woollama.inferencers.anthropic.sdk import Sdk

_MODELS_A_PAGE = 1000
_LINGER_S = 0.25
_COUNTING_S = 10.0
_COUNTED = frozenset({"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"})
"""What of a request is part of the prompt. The endpoint refuses the rest."""


class AnthropicInferencer:
    """Timeouts are in seconds; `idle_timeout_s` is the longest silence inside an answer. `aclose` closes `sdk`, too."""

    def __init__(
        self,
        sdk: Sdk,
        *,
        extra_body: Mapping[str, Json] | None = None,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        first_byte_timeout_s: float = 120.0,
        idle_timeout_s: float = 120.0,
    ) -> None:
        self.name = sdk.name
        self._sdk = sdk
        self._extra_body = dict(extra_body or {})
        self._max_tokens = max_tokens
        self._first_byte_timeout_s = first_byte_timeout_s
        self._idle_timeout_s = idle_timeout_s

    def __repr__(self) -> str:
        return f"<AnthropicInferencer {self.name!r} at {self._sdk.base_url}>"

    @asynccontextmanager
    async def answer(self, call: Call) -> AsyncIterator[AsyncIterator[Event]]:
        request = encode(call, max_tokens=self._max_tokens, defaults=self._extra_body)
        who = str(call.target)
        async with AsyncExitStack() as held:
            with mapped(who):
                client = await self._sdk.client(call.key)
                body = dict(request.body)
                create = client.messages.with_streaming_response.create(
                    model=body.pop("model"),
                    max_tokens=body.pop("max_tokens"),
                    messages=body.pop("messages"),
                    stream=True,
                    extra_body=body,
                )
                async with asyncio.timeout(self._first_byte_timeout_s):
                    response = await held.enter_async_context(create)
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise UpstreamBroke(f"{who} did not answer with a stream of events")
            import anthropic

            events = anthropic.AsyncStream.raw_events(response.http_response)
            frames = cast("AsyncGenerator[Any, None]", events)
            held.push_async_callback(frames.aclose)
            yield _Events(call.target, frames, request.rewrites, self._first_byte_timeout_s, self._idle_timeout_s)

    async def list_models(self) -> Sequence[str]:
        with mapped(self.name):
            client = await self._sdk.client(None)
            try:
                return [model.id async for model in client.models.list(limit=_MODELS_A_PAGE)]
            except (AttributeError, TypeError):  # all that the SDK makes of a page that is none
                raise UpstreamBroke(f"{self.name} lists its models in an unknown shape") from None

    async def count_tokens(self, call: Call) -> int:
        """The size of the prompt that `answer` would send. Raises `RouterError`."""
        request = encode(call, max_tokens=self._max_tokens, defaults=self._extra_body)
        body = {name: value for name, value in request.body.items() if name in _COUNTED}
        who = str(call.target)
        with mapped(who):
            client = await self._sdk.client(call.key)
            async with asyncio.timeout(_COUNTING_S):
                counted: Any = await client.post("/v1/messages/count_tokens", cast_to=object, body=body)
        tokens = counted.get("input_tokens") if isinstance(counted, dict) else None
        if not isinstance(tokens, int):
            raise UpstreamBroke(f"{who} counts tokens in an unknown shape")
        return tokens

    async def aclose(self) -> None:
        await self._sdk.aclose()


class _Events:
    """The events of one stream. A class and not an async generator: leaving the block must close what it reads."""

    def __init__(
        self,
        target: Target,
        frames: AsyncIterator[Any],
        rewrites: Sequence[str],
        first_byte_timeout_s: float,
        idle_timeout_s: float,
    ) -> None:
        self._who = str(target)
        self._decoder = MessagesStreamDecoder(target)
        self._frames = frames
        self._rewrites = rewrites
        self._first_byte_timeout_s = first_byte_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._ready: deque[Event] = deque()
        self._began = False
        self._whole = False
        self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._ready:
            if self._whole and not self._over:
                await self._read_out()
            if self._over:
                raise StopAsyncIteration
            with mapped(self._who):
                self._take(await self._read())
        return self._ready.popleft()

    async def _read(self) -> list[Event]:
        try:
            async with asyncio.timeout(self._idle_timeout_s if self._began else self._first_byte_timeout_s):
                frame = await anext(self._frames)
        except StopAsyncIteration:
            self._over = True
            return self._decoder.close()
        return self._decoder.feed(frame.json()) if frame.data else []

    def _take(self, events: Sequence[Event]) -> None:
        self._ready += events
        if events and not self._began:
            self._began = True
            self._ready += (Rewrote(what) for what in self._rewrites)
        self._whole = self._whole or any(isinstance(event, Stopped) for event in events)

    async def _read_out(self) -> None:
        """Read the little that follows the last event: only then can the connection be used again."""
        self._over = True
        with suppress(Exception):  # the answer is whole, whatever becomes of the connection
            async with asyncio.timeout(_LINGER_S):
                async for _ in self._frames:
                    pass
