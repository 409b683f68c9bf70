"""`/v1/responses`: turns that are remembered, in the foreground and in the background, and reading them again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.types import Receive, Scope, Send

from woollama.core.claims import Claim, nothing_to_continue
from woollama.core.conversations import NATIVE, STORE, Conversations
from woollama.core.counting import Counting
from woollama.core.names import Route
from woollama.core.route_of import Engine, Relay
from woollama.core.runs import Run
from woollama.core.session_claims import SessionClaim, other_model
from woollama.domain.errors import BadRequest, StoreUnreachable, UnknownResponse, UnsupportedField
from woollama.domain.events import Event
from woollama.domain.ids import new_id
from woollama.domain.ports import Forwarder
from woollama.domain.sessions import Sessions
from woollama.domain.state import UNFINISHED, Raw, StoredResponse, is_open_to
from woollama.domain.turns import Caller, StateWish, Target, Turn
from woollama.surfaces import openai_responses
from woollama.surfaces.bodies import parse_json, read_json, send_json
from woollama.surfaces.body_head import ScannedHead
from woollama.surfaces.departure import Departure
from woollama.surfaces.exchange import Exchange, Note, Surroundings
from woollama.surfaces.openai_responses.builder import ResponseBuilder
from woollama.surfaces.openai_responses.compact import compacted
from woollama.surfaces.openai_responses.decode import decode
from woollama.surfaces.openai_responses.frames import frame_of
from woollama.surfaces.openai_responses.native import NativeResponses, Overhearing, elsewhere
from woollama.surfaces.openai_responses.object import response_id
from woollama.surfaces.openai_responses.recording import Recording, ToolsOf
from woollama.surfaces.openai_responses.resuming import Collect
from woollama.surfaces.openai_responses.stored_items import stored_items
from woollama.surfaces.query import Query, listed
from woollama.surfaces.relay import Relayed
from woollama.surfaces.sse import DONE

ELSEWHERE_POLL_S = 0.5
"""How often is asked for a response that another instance runs, while somebody waits for its stream."""
_WISHES = ("previous_response_id", "conversation", "key", "background", "store")


class Responses(Exchange):
    """The endpoints of this dialect. `tools` gives those of all tool servers."""

    def __init__(
        self,
        around: Surroundings,
        conversations: Conversations,
        counting: Counting,
        forwarder: Forwarder,
        tools: ToolsOf | None = None,
        collect: Collect = lambda ask_id: None,
    ) -> None:
        super().__init__("responses", openai_responses, "/responses", around)
        self._all = conversations
        self._counting = counting
        self._native = NativeResponses(
            conversations, forwarder, any_keeps_state=any(each.keeps_state for each in around.traits.values())
        )
        self._tools = tools
        self._collect = collect

    @property
    def stopping(self) -> asyncio.Event:
        """Set when no new turns are taken any more."""
        return self._around.runs.stopping

    # --- a new one

    async def _decide(self, head: ScannedHead, route: Route, caller: Caller) -> Relay | Engine:
        """A response that is kept here goes on here, whoever answers; one that an upstream keeps goes on there."""
        decision = await super()._decide(head, route, caller)
        row = await self._native.row(head.body.get("previous_response_id"))
        if row is not None and not is_open_to(caller.scope.token, row):
            raise nothing_to_continue(row.id)
        if row is not None and row.backend != NATIVE:
            return Engine("state")
        if isinstance(decision, Relay):
            return await self._native.narrowed(decision, row)
        if row is not None:
            raise elsewhere(row)
        return decision

    async def _relay(self, relayed: Relayed, head: ScannedHead, send: Send, departure: Departure) -> None:
        if head.body.get("store") is False:
            await super()._relay(relayed, head, send, departure)
            return
        parent, token = head.body.get("previous_response_id"), relayed.caller.scope.token
        heard = partial(self._native.remember, relayed.targets[0], parent, token)
        await super()._relay(relayed, head, Overhearing(send, heard), departure)

    async def _ask(self, head: ScannedHead, caller: Caller, decision: Engine, send: Send, note: Note) -> None:
        recording = await self.recorded(head.body, caller)
        turn = recording.turn
        async with self.started(recording) as run:
            if head.stream:
                await self._stream_run(run, Told(recording), decision, send, note)
            elif turn.state.background:
                await send_json(send, 200, recording.response())
            else:
                await self._answer_run(run, lambda _: recording.response(), decision, send, note)

    async def recorded(self, body: Mapping[str, Any], caller: Caller, before: Sequence[Raw] | None = None) -> Recording:
        """A turn that is ready to run: decoded, with its place among what is remembered.

        `before` is what its previous response ended with, where that is remembered by the connection alone.
        """
        given = await self._with_items(body.get("input"), caller.scope.token)
        turn = decode({**body, "input": given}, turn_id=new_id("turn_"), caller=caller)
        inputs = stored_items(given)
        if before is None or turn.state.store is not False:
            wish = turn.state if before is None else replace(turn.state, previous_response_id=None)
            claim = await self._claim(turn, wish)
            return self._recording_of(turn, [*(before or ()), *inputs], claim)
        return self._recording_of(turn, inputs, None, before)

    def _recording_of(
        self, turn: Turn, inputs: Sequence[Raw], claim: Claim | None, before: Sequence[Raw] = ()
    ) -> Recording:
        return Recording(turn, inputs, claim, self._tools, self._around.scrub, self._collect, before)

    @asynccontextmanager
    async def started(self, recording: Recording) -> AsyncIterator[Run]:
        turn = recording.turn
        async with self._around.runs.start(turn, background=turn.state.background, keeper=recording) as run:
            yield run

    async def _claim(self, turn: Turn, state: StateWish) -> Claim | None:
        """The turn's place in a conversation; None where nothing is remembered and nothing was asked for."""
        asked = [wish for wish in _WISHES if getattr(state, wish)]
        hosted = None if state.store is False and not asked else self._hosted(turn)
        if self._all.store is None and hosted is None:
            if asked:
                self._all.needed_store(f"the state of {turn.model!r}, which `{asked[0]}` asks for", asked[0])
            return None
        row = StoredResponse(
            response_id(turn),
            turn.model,
            "queued" if state.background else "in_progress",
            parent=state.previous_response_id,
            background=state.background,
            instance=self._all.instance,
            body=ResponseBuilder(replace(turn, state=replace(state, store=True))).response(),
            created_at=self._all.now(),
            token=turn.caller.scope.token,
        )
        claim = Claim(self._all, state, row, kept=state.store is not False)
        try:
            await claim.find()
            claim = self._in_session(claim, hosted, turn)
            if claim.kept:
                await claim.enter()
        except StoreUnreachable as error:
            if asked:
                raise
            claim.give_up(error)
        return claim

    def _hosted(self, turn: Turn) -> tuple[Sessions, Target] | None:
        """Who keeps conversations with this very model itself: that is never a recipe, which has words of its own."""
        route = self._around.names.resolve(turn.model, turn.caller.scope, turn.recipe)
        target = route.targets[0]
        sessions = self._all.sessions.get(target.inferencer)
        return (sessions, target) if sessions is not None and route.recipe is None else None

    def _in_session(self, claim: Claim, hosted: tuple[Sessions, Target] | None, turn: Turn) -> Claim:
        """The claim, on a session where the conversation is one or becomes one."""
        handle = claim.handle
        is_session = handle is not None and handle.backend != STORE
        if hosted is None:
            if handle is not None and is_session:
                raise other_model(handle, turn.model)
            return claim
        if is_session or (claim.kept and (handle is None or handle.native_id is None)):
            return SessionClaim(claim, *hosted, str(turn.echo.get("instructions") or ""))
        return claim

    async def _with_items(self, given: Any, token: str | None) -> Any:
        """The input with the items that it refers to in their places."""
        if not isinstance(given, list):
            return given
        return [
            await self._item(each, index, token) if isinstance(each, Mapping) and _refers(each) else each
            for index, each in enumerate(given)
        ]

    async def _item(self, reference: Mapping[str, Any], index: int, token: str | None) -> Mapping[str, Any]:
        item_id, param = reference.get("id"), f"input[{index}].id"
        if not isinstance(item_id, str):
            raise BadRequest(f"`{param}` must name an item", param=param)
        item = await self._all.find_item(item_id, token)
        if item is None:
            raise BadRequest(f"there is no stored item {item_id!r}; send the item itself", param=param)
        return item

    # --- what is asked of a turn that is not run

    async def count(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`POST …/input_tokens`: the prompt's size, what it continues included."""
        body = parse_json(await read_json(scope, receive))
        if body.get("personality") is not None:
            raise UnsupportedField("models have no personalities to choose from here", param="personality")
        async with Departure(receive):
            counted = await self._counting.count(await self.whole_turn(body, scope["state"]["caller"]))
            scope["state"]["span"].note(surface="input_tokens", model=str(body.get("model")))
            told: dict[str, Any] = {"object": "response.input_tokens", "input_tokens": counted.input_tokens}
            if counted.estimated is not None:
                told["x_woollama"] = {"estimated": True, "why": counted.estimated}
            await send_json(send, 200, told)

    async def compact(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = parse_json(await read_json(scope, receive))
        caller = scope["state"]["caller"]
        scope["state"]["span"].note(surface="compact", model=str(body.get("model")), by="engine")
        async with Departure(receive):
            turn = await self.whole_turn(body, caller)
            await send_json(send, 200, await compacted(turn, self._around.runs))

    async def whole_turn(self, body: Mapping[str, Any], caller: Caller) -> Turn:
        """A turn with all that it continues, of which nothing will be written; no open question is touched."""
        recording = await self.recorded({**body, "store": False}, caller)
        return await recording.prepare(recording.turn, only_to_look=True)

    # --- those that there are

    async def retrieve(self, scope: Scope, receive: Receive, send: Send) -> None:
        query, wanted = Query(scope), scope["path_params"]["response_id"]
        if await self._asked_upstream(scope, send, ""):
            return
        if query.flag("stream"):
            await self._stream_again(wanted, query.whole("starting_after", 0), receive, send)
        else:
            await send_json(send, 200, await self._response(wanted))

    async def delete(self, scope: Scope, receive: Receive, send: Send) -> None:
        wanted = scope["path_params"]["response_id"]
        if await self._asked_upstream(scope, send, ""):
            return
        if (run := self._run(wanted)) is not None:
            await run.cancel()
        await self._all.delete_response(wanted)
        await send_json(send, 200, {"id": wanted, "object": "response", "deleted": True})

    async def cancel(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Only what runs in the background: a response in the foreground ends when its client leaves."""
        wanted = scope["path_params"]["response_id"]
        if await self._asked_upstream(scope, send, "/cancel"):
            return
        response = await self._all.response(wanted)
        if not response.background:
            raise BadRequest(f"{wanted!r} does not run in the background: only such can be cancelled")
        if response.status in UNFINISHED:
            await self.cancel_run(wanted)
            if response.instance != self._all.instance:
                await self._all.tables.change_response(wanted, cancelling=True)
        await send_json(send, 200, await self._response(wanted))

    async def cancel_run(self, wanted: str) -> None:
        """Cancel a response that runs in this process; nothing where it does not."""
        if (run := self._run(wanted)) is not None:
            await run.cancel()

    async def input_items(self, scope: Scope, receive: Receive, send: Send) -> None:
        if await self._asked_upstream(scope, send, "/input_items"):
            return
        page, wanted = Query(scope).page(), scope["path_params"]["response_id"]
        recording = self._recording(wanted)
        inputs = list(recording.inputs if recording else await self._all.inputs(wanted))
        if page.newest_first:
            inputs.reverse()
        if page.after is not None:
            ids = [item["id"] for item in inputs]
            if page.after not in ids:
                raise BadRequest(f"{wanted!r} has no input item {page.after!r}", param="after")
            inputs = inputs[ids.index(page.after) + 1 :]
        await send_json(send, 200, listed([dict(item) for item in inputs[: page.limit]], page))

    async def _asked_upstream(self, scope: Scope, send: Send, suffix: str) -> bool:
        """Whether the response is kept by an upstream, which then has answered.

        Raises `UnknownResponse` for one that another token's bearer has made.
        """
        wanted, token = scope["path_params"]["response_id"], scope["state"]["caller"].scope.token
        row = await self._native.row(wanted)
        run = self._run(wanted)
        maker = run.turn.caller.scope.token if run is not None else row.token if row is not None else token
        if token is not None and maker != token:
            raise UnknownResponse(f"there is no response {wanted!r}", param="response_id")
        if row is None or row.backend != NATIVE:
            return False
        await self._native.pass_on(row, scope, send, suffix, scope["state"]["caller"])
        return True

    async def _response(self, wanted: str) -> dict[str, Any]:
        recording = self._recording(wanted)
        if recording is not None and not recording.ended:
            return recording.response()
        transcript = await self._all.transcript(wanted)
        row = transcript.response
        body = dict(row.body)
        output = list(transcript.outputs) or body.pop("output", [])
        return {**body, "status": row.status, "output": output}

    async def _stream_again(self, wanted: str, after: int | None, receive: Receive, send: Send) -> None:
        begin = 0 if after is None else after + 1
        run = self._run(wanted)
        recording = self._recording(wanted)
        if run is not None and recording is not None:
            async with self._around.runs.hold(run), Departure(receive), self._stream(send) as stream:
                told = Told(recording, begin)
                async for event in run.watch():
                    await stream.write(b"".join(told.encode(event)))
                await stream.write(b"".join(told.encode()))
                await stream.end()
            return
        await self._stream_kept(wanted, begin, receive, send)

    async def _stream_kept(self, wanted: str, begin: int, receive: Receive, send: Send) -> None:
        """The stream of a response that has ended, or that another instance runs: what that has told so far, too."""
        response = await self._all.response(wanted)
        if not response.background:
            raise BadRequest(f"{wanted!r} was not made in the background: only such can be streamed", param="stream")
        async with Departure(receive), self._stream(send) as stream:
            while response.status in UNFINISHED:
                for begins_at, part in await self._all.tables.parts(wanted, begin):
                    told = _split(part)[max(0, begin - begins_at) :]
                    begin += len(told)
                    await stream.write(b"".join(told))
                await asyncio.sleep(ELSEWHERE_POLL_S)
                response = await self._all.response(wanted)
            if (whole := await self._all.frames(wanted)) is not None:
                rest = _split(whole)[begin:]
            else:  # whoever ran it is gone, and has left no stream
                rest = [frame_of({"type": "response.failed", "response": await self._response(wanted)}, begin)]
            await stream.write(b"".join([*rest, *_ending(response)]))
            await stream.end()

    def _run(self, wanted: str) -> Run | None:
        return self._around.runs.get(wanted.replace("resp_", "turn_", 1))

    def _recording(self, wanted: str) -> Recording | None:
        run = self._run(wanted)
        return run.keeper if run is not None and isinstance(run.keeper, Recording) else None


class Told:
    """What a recording tells, as the encoder of one who listens: from frame `at` on, whatever the event."""

    def __init__(self, recording: Recording, at: int = 0) -> None:
        self._recording = recording
        self._at = at
        self._done = False

    def encode(self, event: Event | None = None) -> list[bytes]:
        recording = self._recording
        frames = recording.frames[self._at :]
        self._at += len(frames)
        if recording.answered and not self._done:
            self._done = True
            frames.append(DONE)
        return frames


def _refers(item: Mapping[str, Any]) -> bool:
    return item.get("type") == "item_reference" or (item.get("type") is None and "role" not in item and "id" in item)


def _split(frames: bytes) -> list[bytes]:
    return [frame + b"\n\n" for frame in frames.split(b"\n\n")[:-1]]


def _ending(row: StoredResponse) -> list[bytes]:
    return [] if row.status == "failed" else [DONE]
