"""One run as this dialect tells it: told once, whoever listens and whenever, and kept if it was claimed.

The frames are made here and nowhere else, so a client that streams, one that polls and one that reads the response a
week later see the same ids, the same numbers and the same object.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from woollama.core.claims import Claim
from woollama.core.conversations import STORE
from woollama.domain.errors import BadRequest, Conflict, Gone, InternalFault, RouterError, StoreUnreachable
from woollama.domain.events import Event, Failed, Stopped, Terminal
from woollama.domain.messages import Answer, Ask, Item, ToolCall, ToolResult
from woollama.domain.state import Raw
from woollama.domain.tools import Tool
from woollama.domain.turns import Turn
from woollama.surfaces.openai_responses.builder import ResponseBuilder
from woollama.surfaces.openai_responses.frames import frame_of
from woollama.surfaces.openai_responses.parts import Wire
from woollama.surfaces.openai_responses.resuming import Collect, resumed, waits_for
from woollama.surfaces.openai_responses.stored_items import new_items, replayed, title_of

ToolsOf = Callable[[Sequence[str]], Awaitable[Sequence[Tool]]]
"""The tools of these servers, once they have started."""
SHARE_EVERY_S = 0.5
"""How often other instances get to read what a turn in the background says."""
_log = logging.getLogger("woollama.state")


class Recording:
    """The keeper of a run. `inputs` are the turn's own items, `frames` the stream so far, `claim` its place if any.

    `answered` when it has ended, and not as a failure.
    """

    def __init__(
        self,
        turn: Turn,
        inputs: Sequence[Raw],
        claim: Claim | None = None,
        tools: ToolsOf | None = None,
        scrub: Callable[[RouterError], RouterError] = lambda error: error,
        collect: Collect = lambda ask_id: None,
        before: Sequence[Raw] = (),
    ) -> None:
        """`before` is what was said earlier, where no claim knows it."""
        self.turn = turn
        self.inputs = inputs
        self.frames: list[bytes] = []
        self.ended = False
        self.answered = False
        self._claim = claim
        self._builder = ResponseBuilder(turn)
        self._tools = tools
        self._scrub = scrub
        self._collect = collect
        self._before = before
        self._sharing: asyncio.Task[None] | None = None
        self._place()

    def __repr__(self) -> str:
        return f"<Recording {self._builder!r}, {len(self.frames)} frames>"

    def response(self) -> dict[str, Any]:
        return self._builder.response()

    async def prepare(self, turn: Turn, *, only_to_look: bool = False) -> Turn:
        history = await self._claim.begin() if self._claim is not None else self._before
        self._place()
        self.inputs = new_items(history, self.inputs)
        self._builder.avoid(item["id"] for item in (*history, *self.inputs))
        before, new = replayed(history), replayed(self.inputs)
        past = [*before, *new]
        if self._claim is None or self._claim.backend == STORE:  # what others keep to themselves cannot be looked at
            if not past:
                raise BadRequest("`input` is empty, and nothing was said before it", param="input")
            _refuse_strays(past)
            _refuse_stray_answers(before, new)
        if self._tools is not None and turn.tool_grants:
            offered = await self._tools([grant.server for grant in turn.tool_grants])
            self._builder.offer([tool for tool in offered if turn.caller.scope.allows_tool([tool.qualified])])
        self._tell(self._builder.begin())
        instructions = turn.items[:1] if turn.echo.get("instructions") else ()
        items, paused = resumed(past, _no_answer if only_to_look else self._collect)
        self._builder.resume(paused)
        session = self._claim.session if self._claim is not None else None
        if self._claim is not None and self._claim.is_shared and turn.state.background:
            self._sharing = asyncio.create_task(self._share(self._claim), name=f"shared {turn.id}")
        return replace(turn, items=(*instructions, *items), resumes=paused, session=session)

    def see(self, event: Event) -> None:
        self._tell(self._builder.see(event))

    async def _share(self, claim: Claim) -> None:
        """Who listens at another instance reads there what was said here, a moment later."""
        shared = 0
        while True:
            frames = self.frames[shared:]
            with contextlib.suppress(StoreUnreachable):  # the next time, then
                if frames:
                    await claim.share(shared, frames)
                shared += len(frames)
            await asyncio.sleep(SHARE_EVERY_S)

    async def settle(self, ending: Terminal) -> None:
        if self._sharing is not None:
            self._sharing.cancel()
            await asyncio.wait([self._sharing])
        if isinstance(ending, Failed):
            ending = Failed(self._scrub(ending.error))
        wires = self._builder.see(ending)
        if self._claim is not None:
            await self._keep(self._claim, ending, wires)
        self._tell(wires)
        self.ended, self.answered = True, isinstance(ending, Stopped)

    def _tell(self, wires: Sequence[Wire]) -> None:
        self.frames += [frame_of(wire, number) for number, wire in enumerate(wires, len(self.frames))]

    async def _keep(self, claim: Claim, ending: Terminal, wires: list[Wire]) -> None:
        try:
            if claim.kept:
                await self._write(claim, ending, wires)
        except RouterError as error:
            self._give_up(claim, error, wires)
        except Exception:  # whatever it is: the client gets its answer, and hears the truth about it
            _log.exception("a defect where %s was to be stored", self.response()["id"])
            self._give_up(claim, InternalFault("woollama met a defect of its own; its log has the details"), wires)
        finally:
            await claim.release()

    def _give_up(self, claim: Claim, error: RouterError, wires: list[Wire]) -> None:
        _log.warning("%s was answered and is not stored: %s", self.response()["id"], error.message)
        claim.give_up(error)
        self._place()
        wires[-1]["response"] = response = self.response()
        claim.hold(self.inputs, status=response["status"], body=response, frames=self._again(wires))

    async def _write(self, claim: Claim, ending: Terminal, wires: Sequence[Wire]) -> None:
        response = self.response()
        again = self._again(wires)
        if isinstance(ending, Stopped) and ending.reason != "cancelled":
            outputs = response.pop("output")
            title = title_of(self.inputs)
            await claim.keep(self.inputs, outputs, status=response["status"], body=response, title=title, frames=again)
        else:
            if isinstance(ending, Failed) and isinstance(ending.error, Gone):
                await claim.lose()
            await claim.drop(status=response["status"], body=response, frames=again)

    def _again(self, wires: Sequence[Wire]) -> bytes | None:
        """The whole stream that ends with these, if it can be listened to again."""
        if not self.turn.state.background:
            return None
        return b"".join(
            [*self.frames, *(frame_of(wire, number) for number, wire in enumerate(wires, len(self.frames)))]
        )

    def _place(self) -> None:
        claim = self._claim
        self._builder.place(kept=claim is not None and claim.kept, conversation=claim.conversation if claim else None)
        if claim is not None and claim.why_not is not None:
            self._builder.leave_out(claim.why_not)


def _no_answer(ask_id: str) -> None:
    """Of a question that is left open."""


def _refuse_strays(items: Sequence[Item]) -> None:
    """Raises `BadRequest` for a result of a call that nobody made: no model could make sense of it."""
    called: set[str] = set()
    for item in items:
        if isinstance(item, ToolCall):
            called.add(item.id)
        elif isinstance(item, ToolResult) and item.call_id not in called:
            raise BadRequest(f"there is an output of {item.call_id!r} and no call of that id before it", param="input")


def _refuse_stray_answers(before: Sequence[Item], new: Sequence[Item]) -> None:
    """Raises `BadRequest` for an answer to what nobody has asked, and `Conflict` for a second one to what is over."""
    calls = (waits_for(item) for item in (*before, *new) if isinstance(item, ToolCall))
    asked = {*calls, *(item.id for item in (*before, *new) if isinstance(item, Ask))}
    answered = {item.ask_id for item in before if isinstance(item, Answer)}
    for item in new:
        if isinstance(item, Answer) and item.ask_id in answered:
            raise Conflict(f"{item.ask_id!r} was answered already", param="input", code="approval_over")
        if isinstance(item, Answer) and item.ask_id not in asked:
            raise BadRequest(f"nothing that this goes on from waits for an answer to {item.ask_id!r}", param="input")
