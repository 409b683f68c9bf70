"""What an upstream can do wrong, on each way to it: the relay, a recipe, and what is only ever relayed."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.daemon import daemon
from tests.upstream import (
    CUT,
    RESET,
    STALL,
    Answer,
    Received,
    Scripted,
    ScriptedUpstream,
    chat,
    chat_stream,
    error,
    head,
    html,
    json,
    raw,
)

PATIENCE_S = 60.0
WAYS = pytest.mark.parametrize("way", ["relay", "recipe", "embeddings"])
TWO_FALLBACKS = """
[recipes.plain]
inferencer = "mock/m"
fallbacks = ["other/m"]
"""


class Table:
    """A daemon before two upstreams, `mock` and `other`; the recipe falls back from the one to the other."""

    def __init__(self, client: httpx2.AsyncClient, upstream: ScriptedUpstream, other: ScriptedUpstream) -> None:
        self.client = client
        self.upstream = upstream
        self.other = other

    async def ask(self, way: str, **body: Any) -> httpx2.Response:
        """The recipe without a fallback is `woollama/alone`."""
        if way == "embeddings":
            return await self.client.post("/v1/embeddings", json={"model": "mock/m", "input": "hi"})
        model = "mock/m" if way == "relay" else "woollama/alone"
        messages = [{"role": "user", "content": "hi"}]
        return await self.client.post("/v1/chat/completions", json={"model": model, "messages": messages, **body})


@asynccontextmanager
async def table(directory: Path, *, base_url: str = "", **keys: Any) -> AsyncIterator[Table]:
    async with ScriptedUpstream() as upstream, ScriptedUpstream() as other:
        more = "".join(f"{key} = {value}\n" for key, value in keys.items())
        mock, second = base_url or upstream.base_url, other.base_url
        (directory / "inferencers.toml").write_text(
            f'[inferencers.mock]\nbase_url = "{mock}"\nmodels = ["m"]\ndiscover = false\n{more}'
            f'[inferencers.other]\nbase_url = "{second}"\nmodels = ["m"]\ndiscover = false\nretries = 0\n'
        )
        (directory / "recipes.toml").write_text('[recipes.alone]\ninferencer = "mock/m"\n' + TWO_FALLBACKS)
        (directory / "mcp.json").write_text("{}")
        async with (
            daemon(directory, {**os.environ, "HOME": str(directory)}) as running,
            httpx2.AsyncClient(base_url=running.url, timeout=PATIENCE_S, trust_env=False) as client,
        ):
            yield Table(client, upstream, other)


def fine(request: Received) -> Answer:
    if request.path.endswith("/embeddings"):
        return json({"object": "list", "data": [{"index": 0, "embedding": [1.0]}], "model": "m"})
    whole = chat("fine")
    return whole(request) if callable(whole) else whole


def told(response: httpx2.Response) -> dict[str, Any]:
    """The error in a response that is one, whoever's dialect."""
    assert response.headers["content-type"] == "application/json"
    found: dict[str, Any] = response.json()["error"]
    assert set(found) >= {"message", "type", "param", "code"}
    return found


@WAYS
async def test_refused(tmp_path: Path, way: str) -> None:
    with socket.socket() as unheard:  # bound, and nobody listens
        unheard.bind(("127.0.0.1", 0))
        base_url = f"http://127.0.0.1:{unheard.getsockname()[1]}/v1"
        async with table(tmp_path, base_url=base_url, retries=0) as at:
            response = await at.ask(way)
            assert response.status_code == 502
            assert told(response)["at_fault"] == "upstream"
            assert "nothing listens there" in told(response)["message"]
            assert response.headers["x-woollama-target"] == "mock/m"


@WAYS
async def test_reset(tmp_path: Path, way: str) -> None:
    async with table(tmp_path, retries=1) as at:
        at.upstream.always(raw(RESET))
        response = await at.ask(way)
        assert (response.status_code, told(response)["at_fault"]) == (502, "upstream")
        assert len(at.upstream.requests) == 2  # a try after the first, and no more
        assert response.headers["x-woollama-attempts"] == "2"


@WAYS
async def test_slow(tmp_path: Path, way: str) -> None:
    async with table(tmp_path, retries=0, first_byte_timeout_s=0.1) as at:
        at.upstream.always(raw(STALL))
        response = await at.ask(way)
        assert (response.status_code, told(response)["at_fault"]) == (504, "upstream")
        await at.upstream.until(lambda: at.upstream.requests and at.upstream.requests[0].left_early)


@WAYS
@pytest.mark.parametrize("busy", [error(429), error(429, headers={"retry-after": "0"}), error(500), error(503)])
async def test_busy_or_broken_for_a_moment(tmp_path: Path, way: str, busy: Scripted) -> None:
    async with table(tmp_path, retries=2) as at:
        at.upstream.answers(busy, fine)
        response = await at.ask(way)
        assert response.status_code == 200
        assert response.headers["x-woollama-attempts"] == "2"


@WAYS
async def test_429_with_a_long_retry_after_goes_to_the_client_at_once(tmp_path: Path, way: str) -> None:
    async with table(tmp_path, retries=2) as at:
        at.upstream.answers(error(429, "slow down", headers={"retry-after": "3600"}))
        response = await at.ask(way)
        assert response.status_code == 429
        assert "slow down" in told(response)["message"]
        assert response.headers["retry-after"] == "3600"
        assert len(at.upstream.requests) == 1


@WAYS
@pytest.mark.parametrize("status", [429, 500])
async def test_it_never_recovers(tmp_path: Path, way: str, status: int) -> None:
    async with table(tmp_path, retries=1) as at:
        at.upstream.always(error(status, "still not"))
        response = await at.ask(way)
        assert response.status_code == status
        assert "still not" in told(response)["message"]
        assert len(at.upstream.requests) == 2


@WAYS
@pytest.mark.parametrize("status", [200, 502])
async def test_html(tmp_path: Path, way: str, status: int) -> None:
    async with table(tmp_path, retries=0) as at:
        at.upstream.answers(html(status))
        response = await at.ask(way)
        assert (response.status_code, told(response)["at_fault"]) == (502, "upstream")


@WAYS
async def test_cut(tmp_path: Path, way: str) -> None:
    half = raw(head(200, {"content-type": "application/json"}, "content-length: 1000") + b'{"id": "x"', CUT)
    async with table(tmp_path, retries=0) as at:
        at.upstream.answers(half)
        response = await at.ask(way)
        assert (response.status_code, told(response)["at_fault"]) == (502, "upstream")


@WAYS
async def test_stalled(tmp_path: Path, way: str) -> None:
    half = raw(head(200, {"content-type": "application/json"}, "content-length: 1000") + b'{"id": "x"', STALL)
    async with table(tmp_path, retries=0, idle_timeout_s=0.1) as at:
        at.upstream.answers(half)
        response = await at.ask(way)
        assert (response.status_code, told(response)["at_fault"]) == (504, "upstream")


@pytest.mark.parametrize("way", ["relay", "recipe"])
@pytest.mark.parametrize("ends", ["cut", "stalled"])
async def test_a_stream_that_ends_badly_does_not_look_finished(tmp_path: Path, way: str, ends: str) -> None:
    how = {"cut_after": 2} if ends == "cut" else {"stall_after": 2}
    async with table(tmp_path, retries=2, idle_timeout_s=0.2) as at:
        at.upstream.answers(chat_stream("one two three", **how))
        response = await at.ask(way, stream=True)
        assert response.status_code == 200
        assert '"error"' in response.text.split("\n\n")[-2]
        assert "[DONE]" not in response.text
        assert len(at.upstream.requests) == 1  # what has begun is never begun again


@WAYS
async def test_it_comes_back(tmp_path: Path, way: str) -> None:
    """After failures enough to cool it, the only one there is tried all the same, and is as good as new."""
    async with table(tmp_path, retries=0) as at:
        at.upstream.answers(*[error(500)] * 5)
        assert [(await at.ask(way)).status_code for _ in range(5)] == [500] * 5
        at.upstream.always(fine)
        assert [(await at.ask(way)).status_code for _ in range(3)] == [200] * 3


async def test_a_target_that_failed_often_is_tried_last_until_it_has_cooled(tmp_path: Path) -> None:
    async with table(tmp_path, retries=0, cooldown_s=600) as at:
        at.upstream.always(error(500))
        at.other.always(fine)
        body = {"model": "woollama/plain", "messages": [{"role": "user", "content": "hi"}]}
        for _ in range(5):
            response = await at.client.post("/v1/chat/completions", json=body)
            assert response.headers["x-woollama-target"] == "other/m"
        assert len(at.upstream.requests) == 3
        at.other.always(error(500))
        at.upstream.always(fine)
        response = await at.client.post("/v1/chat/completions", json=body)
        assert response.headers["x-woollama-target"] == "mock/m"


@WAYS
async def test_a_full_queue_is_told_with_when_to_come_again(tmp_path: Path, way: str) -> None:
    async with table(tmp_path, retries=0, max_concurrency=1, queue_max=1, cooldown_s=7) as at:
        goes_on = asyncio.Event()
        at.upstream.answers(raw(goes_on, RESET))
        at.upstream.always(fine)
        held = asyncio.create_task(at.ask(way))
        await at.upstream.until(lambda: at.upstream.active_requests == 1)
        two = {asyncio.create_task(at.ask(way)) for _ in range(2)}  # whoever comes first waits
        async with asyncio.timeout(PATIENCE_S):
            (refusal,), (waits,) = await asyncio.wait(two, return_when=asyncio.FIRST_COMPLETED)
        refused = await refusal
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "7"
        goes_on.set()
        assert (await held).status_code == 502
        assert (await waits).status_code == 200
