"""Turns that go on without their client: polled, cancelled, listened to again, and lost with their daemon."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.dialects.responses_wire import check_response
from tests.stateful import MODEL, Table, table
from tests.upstream import STALL, chat, chat_stream, error, raw


async def numbers(stream: Any) -> list[int]:
    return [event.sequence_number async for event in stream]


async def started(at: Table, **asked: Any) -> tuple[Any, asyncio.Event]:
    """A response in the background whose upstream has not answered yet; it does when the event is set."""
    may_answer = asyncio.Event()
    at.upstream.answers(chat_stream("one two three", delay_event=may_answer))
    response = await at.client.responses.create(model=MODEL, input="hi", background=True, **asked)
    return response, may_answer


async def test_it_is_queued_at_once_and_completes_without_its_client(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        queued, may_answer = await started(at)
        assert (queued.status, queued.background, queued.output) == ("queued", True, [])
        await at.upstream.until(lambda: at.upstream.active_requests)
        running = await at.client.responses.retrieve(queued.id)
        assert running.status == "in_progress"
        items = [item async for item in at.client.responses.input_items.list(queued.id)]
        assert items[0].content[0].text == "hi"  # type: ignore[union-attr]
        may_answer.set()
        done = await at.ended(queued.id)
        assert (done.status, done.output_text, done.created_at) == ("completed", "one two three", queued.created_at)
        check_response((await at.http.get(f"/v1/responses/{queued.id}")).json())


async def test_its_stream_can_be_heard_again_from_any_number_while_it_runs_and_afterwards(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        response, may_answer = await started(at)
        listening = await at.client.responses.retrieve(response.id, stream=True)
        may_answer.set()
        heard = [event async for event in listening]
        kinds = [event.type for event in heard]
        assert kinds[:3] == ["response.created", "response.queued", "response.in_progress"]
        assert kinds[-1] == "response.completed"
        assert [event.sequence_number for event in heard] == list(range(len(heard)))
        for after in (0, 4, len(heard) - 2):
            again = await at.client.responses.retrieve(response.id, stream=True, starting_after=after)
            assert [event.model_dump() async for event in again] == [e.model_dump() for e in heard[after + 1 :]]
        beyond = await at.client.responses.retrieve(response.id, stream=True, starting_after=len(heard))
        assert await numbers(beyond) == []
    async with table(tmp_path) as at:
        again = await at.client.responses.retrieve(response.id, stream=True, starting_after=2)
        assert await numbers(again) == list(range(3, len(heard)))


async def test_a_client_that_streams_may_leave_and_come_back(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        may_end = asyncio.Event()
        frames = chat_stream("one two three").steps
        at.upstream.answers(raw(*frames[:3], may_end, *frames[3:]))
        async with await at.client.responses.create(model=MODEL, input="x", background=True, stream=True) as stream:
            seen = [await anext(stream) for _ in range(5)]
        may_end.set()
        first: Any = seen[0]
        done = await at.ended(first.response.id)
        assert done.output_text == "one two three"


async def test_only_what_was_made_in_the_background_can_be_heard_again(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        at.upstream.answers(chat("hello"))
        given = await at.client.responses.create(model=MODEL, input="hi")
        with pytest.raises(openai.BadRequestError, match="not made in the background"):
            await at.client.responses.retrieve(given.id, stream=True)
        with pytest.raises(openai.BadRequestError, match="does not run in the background"):
            await at.client.responses.cancel(given.id)


async def test_it_can_be_cancelled_and_nothing_goes_on(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        response, _ = await started(at, extra_body={"key": "k"})
        await at.upstream.until(lambda: at.upstream.active_requests)
        cancelled = await at.client.responses.cancel(response.id)
        assert cancelled.status == "cancelled"
        await at.upstream.until(lambda: not at.upstream.active_requests)
        assert (await at.client.responses.cancel(response.id)).status == "cancelled"
        check_response((await at.http.get(f"/v1/responses/{response.id}")).json())
        assert (await at.http.get("/v1/conversations")).json()["data"] == []


async def test_deleting_it_ends_it(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        response, _ = await started(at)
        await at.upstream.until(lambda: at.upstream.active_requests)
        await at.client.responses.delete(response.id)
        await at.upstream.until(lambda: not at.upstream.active_requests)
        with pytest.raises(openai.NotFoundError):
            await at.client.responses.retrieve(response.id)


async def test_what_failed_says_why(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        at.upstream.answers(error(500, "the engine is on fire"))
        response = await at.client.responses.create(model=MODEL, input="x", background=True)
        failed = await at.ended(response.id)
        assert failed.status == "failed"
        assert failed.error is not None
        assert "the engine is on fire" in failed.error.message
        events = [e async for e in await at.client.responses.retrieve(response.id, stream=True)]
        assert events[-1].type == "response.failed"


async def test_one_that_goes_on_from_another_waits_for_it(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        first, may_answer = await started(at)
        at.upstream.answers(chat("second"))
        second = asyncio.create_task(
            at.client.responses.create(model=MODEL, input="and?", previous_response_id=first.id)
        )
        await at.upstream.until(lambda: at.upstream.active_requests)
        may_answer.set()
        assert (await second).output_text == "second"
        assert [text for _, text in at.asked()] == ["hi", "one two three", "and?"]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_conversation_is_gone_on_with_while_its_first_turn_runs(tmp_path: Path, fails: bool) -> None:
    async with table(tmp_path) as at:
        may_answer = asyncio.Event()
        first = error(500) if fails else chat_stream("one")
        at.upstream.answers(raw(may_answer, *first.steps), chat("two"))
        opening = await at.client.responses.create(model=MODEL, input="1", background=True, extra_body={"key": "k"})
        talk: Any = opening.conversation
        read = await at.http.get(f"/v1/conversations/{talk.id}")
        assert (read.status_code, read.json()["status"]) == (200, "opening")
        assert [item async for item in at.client.conversations.items.list(talk.id)] == []
        next_turn = asyncio.create_task(at.client.responses.create(model=MODEL, input="2", conversation=talk.id))
        await at.upstream.until(lambda: at.upstream.active_requests)
        may_answer.set()
        if fails:
            with pytest.raises(openai.NotFoundError):
                await next_turn
            assert (await at.http.get(f"/v1/conversations/{talk.id}")).status_code == 404
        else:
            assert (await next_turn).output_text == "two"
            assert [text for _, text in at.asked()] == ["1", "one", "2"]


async def test_it_must_be_stored(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        with pytest.raises(openai.BadRequestError, match="must be stored"):
            await at.client.responses.create(model=MODEL, input="x", background=True, store=False)


async def test_an_orderly_end_of_the_daemon_fails_what_runs(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        at.upstream.answers(raw(STALL))
        response = await at.client.responses.create(model=MODEL, input="x", background=True)
        await at.upstream.until(lambda: at.upstream.active_requests)
    async with table(tmp_path) as at:
        failed = await at.client.responses.retrieve(response.id)
        assert failed.status == "failed"
        assert "shut down" in (failed.error.message if failed.error else "")
