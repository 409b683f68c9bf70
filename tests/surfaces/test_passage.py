"""The endpoints that are only relayed, asked with OpenAI's own client over a whole daemon."""

from __future__ import annotations

import asyncio
import json as jsonlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from tests.chat_wire import frame
from tests.daemon import daemon
from tests.upstream import CUT, ScriptedUpstream, body, error, head, html, in_chunks, json, raw, sse
from woollama.surfaces.spool import IN_MEMORY_BYTES

CALLERS_KEY = "the-callers-own-key"
WAV = b"RIFF\0\xff\r\n--" + os.urandom(2 * IN_MEMORY_BYTES)
CONFIG = """
[inferencers.mock]
base_url = "{url}"
api_key_env = "MOCK_KEY"
discover = false
retries = 1

[inferencers.nobody]
api = "scripted"
models = ["m"]
"""


@dataclass
class Table:
    sdk: openai.AsyncOpenAI
    client: httpx2.AsyncClient
    upstream: ScriptedUpstream


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[Table]:
    async with ScriptedUpstream() as upstream:
        (tmp_path / "inferencers.toml").write_text(CONFIG.replace("{url}", upstream.base_url))
        (tmp_path / "recipes.toml").write_text('[aliases]\n"whisper-1" = "mock/whisper"\n')
        async with (
            daemon(tmp_path, {"MOCK_KEY": "upstream-key", "HOME": str(tmp_path)}) as running,
            httpx2.AsyncClient(base_url=running.url, trust_env=False, timeout=60) as client,
            openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key=CALLERS_KEY, max_retries=0) as sdk,
        ):
            yield Table(sdk, client, upstream)


def field_of(form: bytes, name: str) -> bytes:
    return form.partition(b'name="%s"' % name.encode())[2].partition(b"\r\n\r\n")[2].partition(b"\r\n--")[0]


async def test_a_recording_goes_up_whole_under_the_targets_own_model_name(table: Table):
    table.upstream.answers(json({"text": "hello"}))
    said = await table.sdk.audio.transcriptions.create(model="mock/whisper", file=("a.wav", WAV), language="en")
    assert said.text == "hello"
    (seen,) = table.upstream.requests
    assert seen.path == "/v1/audio/transcriptions"
    assert field_of(seen.body, "model") == b"whisper"
    assert field_of(seen.body, "language") == b"en"
    assert WAV in seen.body
    assert seen.headers["authorization"] == "Bearer upstream-key"
    assert CALLERS_KEY not in str(seen.raw_headers)
    assert seen.headers["content-length"] == str(len(seen.body))


@pytest.mark.parametrize("path", ["/audio/transcriptions", "/v1/audio/transcriptions", "/v1/v1/audio/transcriptions"])
async def test_a_file_may_come_before_the_model_on_every_spelling_of_the_path(table: Table, path: str):
    table.upstream.answers(json({"text": "hello"}))
    form = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n%b\r\n'
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--\r\n'
    )
    answer = await table.client.post(
        path, content=form % WAV, headers={"content-type": "multipart/form-data; boundary=b"}
    )
    assert answer.json() == {"text": "hello"}
    assert answer.headers["x-woollama-target"] == "mock/whisper"
    assert table.upstream.requests[0].body == (form % WAV).replace(b"whisper-1", b"whisper")


async def test_a_form_is_sent_again_when_the_first_try_failed(table: Table):
    table.upstream.answers(error(503), json({"text": "hello"}))
    said = await table.sdk.audio.transcriptions.create(model="mock/whisper", file=("a.wav", WAV))
    assert said.text == "hello"
    first, second = table.upstream.requests
    assert first.body == second.body


async def test_a_form_without_a_model_is_refused_and_never_sent(table: Table):
    for path in ("/v1/audio/transcriptions", "/v1/images/edits"):
        answer = await table.client.post(path, files={"file": ("a", b"x")}, data={"prompt": "p"})
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "model"
    assert table.upstream.requests == []


@pytest.mark.parametrize("path", ["images/generations", "audio/speech", "rerank", "moderations"])
async def test_json_without_a_model_is_refused_and_never_sent(table: Table, path: str):
    answer = await table.client.post(f"/v1/{path}", json={"input": "x"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "model"
    assert table.upstream.requests == []


async def test_an_inferencer_of_another_shape_is_refused_by_name(table: Table):
    with pytest.raises(openai.BadRequestError, match="'nobody' has no moderations"):
        await table.sdk.moderations.create(model="nobody/m", input="x")


async def test_a_transcript_streams_event_by_event_and_ends_without_a_marker(table: Table):
    go_on = asyncio.Event()
    events: list[Any] = [
        {"type": "transcript.text.delta", "delta": "hel"},
        {"type": "transcript.text.delta", "delta": "lo"},
        {"type": "transcript.text.done", "text": "hello", "logprobs": None},
    ]
    table.upstream.answers(sse([frame(events[0]), go_on, frame(events[1]), frame(events[2])]))
    stream = await table.sdk.audio.transcriptions.create(model="mock/whisper", file=("a.wav", WAV), stream=True)
    seen = []
    async for event in stream:
        seen.append(event.type)
        go_on.set()
    assert seen == [event["type"] for event in events]


async def test_a_wish_for_a_stream_may_be_answered_with_one_object(table: Table):
    table.upstream.answers(json({"text": "hello"}))
    answer = await table.client.post(
        "/v1/audio/transcriptions", data={"model": "whisper-1", "stream": "true"}, files={"file": ("a", b"x")}
    )
    assert answer.json() == {"text": "hello"}


async def test_a_transcript_can_be_plain_text(table: Table):
    table.upstream.answers(body(b"1\n00:00 --> 00:01\nhello\n", headers={"content-type": "text/plain"}))
    said = await table.sdk.audio.transcriptions.create(model="mock/w", file=("a.wav", b"x"), response_format="srt")
    assert "hello" in said


async def test_sound_arrives_while_it_is_made(table: Table):
    go_on = asyncio.Event()
    opening = head(200, {"content-type": "audio/mpeg"}, "transfer-encoding: chunked")
    table.upstream.answers(raw(opening, *in_chunks([b"\xff\xfbone", go_on, b"\0two"]), b"0\r\n\r\n"))
    heard = []
    asked = table.sdk.audio.speech.with_streaming_response.create(model="mock/tts", voice="alloy", input="Say it")
    async with asked as answer:
        assert answer.headers["content-type"] == "audio/mpeg"
        async for chunk in answer.iter_bytes():
            heard.append(chunk)
            go_on.set()
    assert b"".join(heard) == b"\xff\xfbone\0two"
    assert table.upstream.requests[0].json == {"model": "tts", "voice": "alloy", "input": "Say it"}


async def test_sound_that_breaks_off_does_not_look_finished(table: Table):
    opening = head(200, {"content-type": "audio/mpeg"}, "transfer-encoding: chunked")
    table.upstream.answers(raw(opening, *in_chunks([b"\xff\xfbone"]), CUT))
    with pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)):
        await table.client.post("/v1/audio/speech", json={"model": "mock/tts", "voice": "a", "input": "x"})


async def test_images_are_made_and_edited(table: Table):
    table.upstream.answers(json({"created": 1, "data": [{"b64_json": "aGk="}]}), json({"created": 1, "data": []}))
    made = await table.sdk.images.generate(model="mock/draw", prompt="a llama")
    assert made.data
    assert made.data[0].b64_json == "aGk="
    await table.sdk.images.edit(model="mock/draw", prompt="a hat", image=[("a.png", WAV), ("b.png", b"b")])
    generated, edited = table.upstream.requests
    assert (generated.path, edited.path) == ("/v1/images/generations", "/v1/images/edits")
    assert field_of(edited.body, "model") == b"draw"
    assert WAV in edited.body


async def test_an_image_streams_as_its_upstream_ends_it(table: Table):
    partial = {"type": "image_generation.partial_image", "b64_json": "aA==", "partial_image_index": 0}
    table.upstream.answers(sse([frame(partial), frame({"type": "image_generation.completed", "b64_json": "aGk="})]))
    stream = await table.sdk.images.generate(model="mock/draw", prompt="a llama", stream=True)
    assert [event.type async for event in stream] == ["image_generation.partial_image", "image_generation.completed"]


async def test_moderations_and_rerankings_come_back_as_they_were(table: Table):
    table.upstream.answers(json({"id": "m", "model": "mod", "results": []}), json({"results": [{"index": 1}]}))
    assert (await table.sdk.moderations.create(model="mock/mod", input="x")).results == []
    ranked = await table.client.post("/rerank", json={"model": "mock/r", "query": "q", "documents": ["a", "b"]})
    assert ranked.json() == {"results": [{"index": 1}]}
    assert jsonlib.loads(table.upstream.requests[1].body)["model"] == "r"


async def test_a_page_of_errors_in_place_of_sound_is_an_error_object(table: Table):
    table.upstream.answers(html(502), html(502))
    answer = await table.client.post("/v1/audio/speech", json={"model": "mock/tts", "voice": "a", "input": "x"})
    assert answer.status_code == 502
    assert answer.json()["error"]["at_fault"] == "upstream"
