"""A streaming response: status line, heartbeats, whole frames."""

from __future__ import annotations

import asyncio

from starlette.types import Message

from woollama.surfaces.event_stream import EventStream


class Sent:
    """What went out, and an event that is set when something new did."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.news = asyncio.Event()

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)
        self.news.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.messages) < count:
                self.news.clear()
                await self.news.wait()

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.messages if message["type"] == "http.response.body"]


def stream(sent: Sent, *, heartbeat_s: float = 60, commit_after_s: float = 60) -> EventStream:
    return EventStream(sent, heartbeat=b": hb\n\n", heartbeat_s=heartbeat_s, commit_after_s=commit_after_s)


async def test_the_status_line_goes_out_once_with_its_headers() -> None:
    sent = Sent()
    async with stream(sent) as events:
        await events.begin([(b"x-a", b"1")])
        await events.begin([(b"x-b", b"2")])
        await events.write(b"data: 1\n\n")
        await events.end()
    start = dict(sent.messages[0]["headers"])
    assert (start[b"x-a"], start[b"cache-control"], start[b"x-accel-buffering"]) == (b"1", b"no-cache", b"no")
    assert b"x-b" not in start
    assert sent.bodies == [b"data: 1\n\n", b""]
    assert sent.messages[-1]["more_body"] is False


async def test_nothing_goes_out_before_there_is_something_to_say() -> None:
    sent = Sent()
    async with stream(sent) as events:
        await events.write(b"")
        await asyncio.sleep(0)
        assert not events.begun
    assert sent.messages == []


async def test_a_long_wait_commits_to_200_with_a_heartbeat() -> None:
    sent = Sent()
    async with stream(sent, commit_after_s=0.01) as events:
        await sent.until(2)
        assert events.begun
        assert sent.messages[0]["status"] == 200
        assert sent.bodies == [b": hb\n\n"]


async def test_who_stands_aside_says_nothing_more_and_cannot_once_it_has_begun() -> None:
    sent = Sent()
    async with stream(sent, commit_after_s=0.001) as events:
        assert await events.stand_aside()
        await asyncio.sleep(0.01)
        assert sent.messages == []
        await events.begin()
        assert not await events.stand_aside()


async def test_silence_is_filled_with_heartbeats_between_frames() -> None:
    sent = Sent()
    async with stream(sent, heartbeat_s=0.01) as events:
        await events.write(b"data: 1\n\n")
        await sent.until(4)
        await events.write(b"data: 2\n\n")
        await events.end()
    assert sent.bodies[0] == b"data: 1\n\n"
    assert set(sent.bodies[1:-2]) == {b": hb\n\n"}
    assert sent.bodies[-2:] == [b"data: 2\n\n", b""]


async def test_a_client_that_reads_slowly_is_sent_no_heartbeats() -> None:
    release = asyncio.Event()
    bodies: list[bytes] = []

    async def slow(message: Message) -> None:
        if message["type"] == "http.response.body":
            bodies.append(message["body"])
            await release.wait()

    async with EventStream(slow, heartbeat=b": hb\n\n", heartbeat_s=0.001) as events:
        writing = asyncio.create_task(events.write(b"data: 1\n\n"))
        await asyncio.sleep(0.02)
        assert bodies == [b"data: 1\n\n"]
        release.set()
        await writing
