"""One hosted session: it is told events, and what it says of them is one round."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from woollama.domain.errors import RouterError, UpstreamBroke, UpstreamTimeout
from woollama.domain.events import Event, Rewrote
from woollama.domain.turns import Target
from woollama.inferencers.anthropic.errors import mapped
from woollama.inferencers.managed_agents.decode import NOTHING, SessionDecoder, Waiting
from woollama.inferencers.managed_agents.encode import INTERRUPT, EventParams, denial

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

DENIED = "the agent may not use one of its tools without a yes, and nobody could be asked: it was told no"
_END_S = 10.0
_POLL_S = 0.25
_log = logging.getLogger("woollama.inferencers")


class Session:
    """`model` is that of its agent, as the service calls it. Waits are in seconds.

    One that is `kept` outlasts its turn: it is a conversation.
    """

    def __init__(
        self,
        client: AsyncAnthropic,
        target: Target,
        session_id: str,
        model: str | None,
        first_s: float,
        idle_s: float,
        *,
        kept: bool = False,
    ) -> None:
        self.id = session_id
        self.whole = True
        """Whether it has said all that it had to say to what it was told."""
        self.open_calls: Sequence[str] = ()
        """What it waits for, when it does."""
        self.kept = kept
        self._client = client
        self._target = target
        self._model = model
        self._first_s = first_s
        self._idle_s = idle_s

    def __repr__(self) -> str:
        return f"<Session {self.id} of {self._target}>"

    @asynccontextmanager
    async def round(
        self,
        told: Sequence[EventParams],
        rewrites: Sequence[str] = (),
        known: Collection[str] | None = None,
        waiting: Waiting = NOTHING,
    ) -> AsyncIterator[AsyncIterator[Event]]:
        """Tell it `told`; the events of what it does, until it is idle. Raises `RouterError`.

        `rewrites` is what was changed in what it is told; `known` and `waiting` are as the decoder takes them.

        It is listened to first and told then: what was said before one listens is not said again.
        """
        who = str(self._target)
        async with AsyncExitStack() as held:
            with mapped(who):
                events = self._client.beta.sessions.events
                stream = events.with_streaming_response.stream(self.id, event_deltas=["agent.message"], timeout=None)
                async with asyncio.timeout(self._first_s):
                    response = await held.enter_async_context(stream)
                if not response.headers.get("content-type", "").startswith("text/event-stream"):
                    raise UpstreamBroke(f"{who} did not answer with a stream of events")
                import anthropic

                raw = cast("AsyncGenerator[Any, None]", anthropic.AsyncStream.raw_events(response.http_response))
                held.push_async_callback(raw.aclose)
                self.whole = False
                await self.tell(told)
            decoder = SessionDecoder(self._target, self.id, self._model, known, waiting)
            yield await held.enter_async_context(aclosing(self._events(raw, decoder, rewrites)))

    async def tell(self, events: Sequence[EventParams]) -> None:
        await self._client.beta.sessions.events.send(self.id, events=cast("Any", events))

    async def stop(self) -> None:
        """Interrupt it where it is at work, and delete it unless it is kept. What goes wrong is logged: whoever used it
        has left."""
        try:
            with mapped(str(self._target)):
                async with asyncio.timeout(_END_S):
                    if not self.whole:
                        await self.tell(INTERRUPT)
                    if not self.kept:
                        await self.delete()
        except RouterError as error:
            _log.warning("the session %s of %s could not be ended: %s", self.id, self._target, error.message)

    async def delete(self) -> None:
        """One that is at work cannot be deleted, and an interrupt takes a moment."""
        import anthropic

        while True:
            try:
                await self._client.beta.sessions.delete(self.id)
                return
            except anthropic.NotFoundError:
                return
            except (anthropic.BadRequestError, anthropic.ConflictError):
                if self.whole:
                    raise
                await asyncio.sleep(_POLL_S)

    async def _events(
        self, raw: AsyncIterator[Any], decoder: SessionDecoder, rewrites: Sequence[str]
    ) -> AsyncGenerator[Event]:
        ready: deque[Event] = deque()
        if self.kept:  # it has been told, and must not be told again by somebody who tries anew
            ready += decoder.begin()
        began = False
        with mapped(str(self._target)):
            while True:
                if ready and not began:
                    began = True
                    yield ready.popleft()
                    ready.extendleft(Rewrote(what) for what in reversed(rewrites))
                while ready:
                    yield ready.popleft()
                if decoder.ended:
                    return
                frame = await self._next(raw, self._idle_s if began else self._first_s)
                ready += decoder.feed(frame.json()) if frame.data else []
                if decoder.confirmable:
                    await self.tell([denial(call_id) for call_id in decoder.confirmable])
                    decoder.confirmable = []
                    ready.append(Rewrote(DENIED))
                if decoder.ended:
                    self.whole, self.open_calls = True, tuple(decoder.open_calls)

    async def _next(self, raw: AsyncIterator[Any], patience_s: float) -> Any:
        """The next event of the stream. An agent that runs a tool may say nothing for long: then it is asked for."""
        reading = asyncio.ensure_future(anext(raw))
        try:
            while True:
                done, _ = await asyncio.wait([reading], timeout=patience_s)
                if done:
                    return reading.result()
                if not await self._is_at_work():
                    raise UpstreamTimeout(f"{self._target} said nothing for {patience_s:g} s")
        except StopAsyncIteration:
            raise UpstreamBroke(f"{self._target} broke off in the middle of its answer") from None
        finally:
            if not reading.done():
                reading.cancel()
                await asyncio.wait([reading])

    async def _is_at_work(self) -> bool:
        async with asyncio.timeout(_END_S):
            session = await self._client.beta.sessions.retrieve(self.id)
        return session.status in ("running", "rescheduling")
