"""Every promise of the surface, held against a daemon in this process or any other (`--base-url`)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from conformance.case import HERE, VOLATILE, Case, Names, differences, environment, frames_of, load_all
from conformance.invariants import BY_NAME
from tests import upstream as scripted
from tests.chat_wire import frame
from tests.daemon import daemon

ASK_AGAIN_AFTER_S = 0.02
RECORDED_HEADERS = ("content-type", "x-woollama-path", "x-woollama-target", "retry-after", "www-authenticate", "allow")


@dataclass
class Surface:
    client: httpx2.AsyncClient
    upstream: scripted.ScriptedUpstream


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def surface(request: pytest.FixtureRequest) -> AsyncIterator[Surface]:
    """The daemon and its only upstream, for all cases."""
    elsewhere: str | None = request.config.getoption("--base-url")
    port = int(request.config.getoption("--upstream-port"))
    async with scripted.ScriptedUpstream(port=port) as upstream:
        environ = {**environment(upstream.origin), "HOME": "/nonexistent"}
        if elsewhere:
            async with httpx2.AsyncClient(base_url=elsewhere, timeout=60) as client:
                yield Surface(client, upstream)
        else:
            async with (
                daemon(HERE / "config", environ) as running,
                httpx2.AsyncClient(base_url=running.url, timeout=60) as client,
            ):
                yield Surface(client, upstream)


@pytest.mark.parametrize("case", load_all(), ids=lambda case: case.name)
async def test_a_promise_is_kept(case: Case, surface: Surface, request: pytest.FixtureRequest) -> None:
    names = Names()
    recording = bool(request.config.getoption("--record"))
    for number, exchange in enumerate(case.exchanges):
        surface.upstream.requests.clear()
        surface.upstream.answers(*map(answer_of, exchange.get("upstream", [])))
        promised = exchange["response"]
        expected = {key: promised[key] for key in promised if key not in ("invariants", "headers")}
        deadline = time.monotonic() + exchange.get("within_s", 0)
        while True:
            seen, named = await named_answer(surface.client, exchange["request"], names)
            broken = "\n".join(differences(expected, seen))
            wrong = wrong_headers(promised.get("headers", {}), seen["headers"])
            if not (broken or wrong) or time.monotonic() >= deadline:
                break
            await asyncio.sleep(ASK_AGAIN_AFTER_S)
        names = named
        for invariant in promised.get("invariants", []):
            BY_NAME[invariant](seen)
        assert surface.upstream.unused == 0, "the upstream was asked less often than the case says"
        if recording and "status" not in promised:
            record(case, number, seen)
            continue
        assert (broken, wrong) == ("", {})
        if "forwarded" in exchange:
            assert len(surface.upstream.requests) == len(exchange["forwarded"])
            for wanted, received in zip(exchange["forwarded"], surface.upstream.requests, strict=True):
                assert wrong_headers(wanted.get("headers", {}), received.headers) == {}
                got = {"method": received.method, "path": received.path, "text": received.body.decode()}
                if "json" in wanted:
                    got["json"] = received.json
                wanted = {key: wanted[key] for key in wanted if key != "headers"}
                assert "\n".join(differences(wanted, got)) == ""


async def named_answer(
    client: httpx2.AsyncClient, request: Mapping[str, Any], names: Names
) -> tuple[dict[str, Any], Names]:
    """What a client sees, and what its volatile values are called from then on."""
    named = Names(dict(names.by_value))
    seen = await ask(client, named.fill(request))
    opaque = {name: value for name, value in seen["headers"].items() if name in VOLATILE["opaque"]}
    volatile = {key: seen[key] for key in ("json", "frames", "lines", "text") if key in seen}
    return {**seen, "headers": {**seen["headers"], **named.normalise(opaque)}, **named.normalise(volatile)}, named


async def ask(client: httpx2.AsyncClient, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a client sees. A stream that breaks off is no exception: what had come is judged."""
    content = asked.get("text") or (json.dumps(asked["json"]) if "json" in asked else None)
    headers = {"content-type": "application/json"} if "json" in asked else {}
    request = client.build_request(
        asked["method"], asked["path"], content=content, headers={**headers, **asked.get("headers", {})}
    )
    if "leave_after" in asked:
        return await overheard(client, request, asked["leave_after"], asked.get("meanwhile", ()))
    answer = await client.send(request)
    seen: dict[str, Any] = {"status": answer.status_code, "headers": dict(answer.headers)}
    kind = answer.headers.get("content-type", "")
    if kind.startswith("text/event-stream"):
        return {**seen, "frames": frames_of(answer.text)}
    if kind.startswith("application/x-ndjson"):
        return {**seen, "lines": [json.loads(line) for line in answer.text.splitlines()]}
    if "json" not in kind or not answer.content:
        return {**seen, "text": answer.text}
    message = answer.json()
    # Over MCP a message is plain or an event, as the server likes: what a case says of events holds for both.
    as_event = {"frames": [{"data": message}]} if asked["path"] == "/mcp" else {}
    return {**seen, "json": message, **as_event}


async def overheard(
    client: httpx2.AsyncClient, request: httpx2.Request, leave_after: int, meanwhile: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The first frames of a stream that does not end by itself. Once there is one, the other requests are made."""
    text, waiting = "", list(meanwhile)
    frames: list[dict[str, Any]] = []
    answer = await client.send(request, stream=True)
    try:
        async for piece in answer.aiter_text():
            text += piece
            frames = frames_of(text.replace("\r\n", "\n").rpartition("\n\n")[0])
            while frames and waiting:
                await ask(client, waiting.pop(0))
            if len(frames) >= leave_after:
                break
    finally:
        await answer.aclose()
    return {"status": answer.status_code, "headers": dict(answer.headers), "frames": frames}


def answer_of(written: Mapping[str, Any]) -> scripted.Answer:
    status, headers = written.get("status", 200), written.get("headers", {})
    if "sse" in written:
        frames = [frame_of(each) for each in written["sse"]]
        return scripted.sse(frames, cut_after=written.get("cut_after"), status=status, headers=headers)
    if "lines" in written:
        return scripted.ollama_lines(written["lines"], cut_after=written.get("cut_after"), status=status)
    if "text" in written:
        return scripted.body(written["text"].encode(), status=status, headers=headers)
    return scripted.json(written["json"], status=status, headers=headers)


def frame_of(written: Any) -> bytes:
    """An object becomes an event's data, one that has an `event` is a named event; a text stands for itself."""
    match written:
        case {"event": name, "data": data}:
            return f"event: {name}\n".encode() + frame(data)
        case dict():
            return frame(written)
        case _:
            return f"data: {written}\n\n".encode()


def wrong_headers(wanted: Mapping[str, str | None], held: Mapping[str, str]) -> dict[str, str | None]:
    return {name: held.get(name) for name, value in wanted.items() if held.get(name) != value}


def record(case: Case, number: int, seen: Mapping[str, Any]) -> None:
    whole = json.loads(Path(case.path).read_text(encoding="utf-8"))
    promised = whole["exchanges"][number]["response"]
    headers = {name: seen["headers"][name] for name in RECORDED_HEADERS if name in seen["headers"]}
    body = {key: without_wording(seen[key]) for key in ("json", "text", "frames", "lines") if key in seen}
    whole["exchanges"][number]["response"] = {"status": seen["status"], "headers": headers, **body, **promised}
    case.path.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def without_wording(value: Any) -> Any:
    """An error's message may be said better one day; that there is one is the promise."""
    match value:
        case {"error": {"message": str(), **others}, **rest}:
            return {**rest, "error": {"message": {"$matches": "\\S"}, **others}}
        case {"error": str(), **rest}:
            return {**rest, "error": {"$matches": "\\S"}}
        case dict():
            return {key: without_wording(inner) for key, inner in value.items()}
        case list():
            return [without_wording(inner) for inner in value]
        case _:
            return value
