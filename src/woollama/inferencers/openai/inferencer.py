"""Every upstream that speaks OpenAI's chat completions: hosted ones, and the local engines that took over its shape."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Self

from woollama.domain.errors import UpstreamBroke
from woollama.domain.events import Event, Rewrote
from woollama.domain.turns import Call, Target
from woollama.domain.wire_json import dumps, loads
from woollama.http.answer_bodies import read_out, read_whole
from woollama.http.connection import HttpAnswer
from woollama.http.content_coding import decoded
from woollama.http.frames import Frames, data_of
from woollama.http.request import HttpRequest
from woollama.http.transport import HttpClient
from woollama.inferencers.http.endpoint import Endpoint
from woollama.inferencers.http.refusals import read_refusal
from woollama.inferencers.openai.decode import ChatStreamDecoder
from woollama.inferencers.openai.encode import encode


class OpenAIInferencer:
    """Implements `domain.ports.Inferencer`. One object for an endpoint; the client is shared by all of them."""

    def __init__(self, endpoint: Endpoint, client: HttpClient) -> None:
        self.name = endpoint.name
        self._endpoint = endpoint
        self._client = client
        self._takes_stream_options = True

    def __repr__(self) -> str:
        return f"<OpenAIInferencer {self.name!r} at {self._endpoint.base_url}>"

    @asynccontextmanager
    async def answer(self, call: Call) -> AsyncIterator[AsyncIterator[Event]]:
        endpoint = self._endpoint
        encoded = encode(call, extra_body=endpoint.extra_body, max_tokens_field=endpoint.max_tokens_field)
        async with (
            self._asked(call, encoded.body) as answer,
            aclosing(_events(call.target, answer, encoded.rewrites, endpoint.frame_limit_bytes)) as events,
        ):
            yield events

    async def list_models(self) -> Sequence[str]:
        key = self._endpoint.key_for(None)
        async with self._client.exchange(self._request("GET", "/models", None, key)) as answer:
            if answer.status != 200:
                raise await read_refusal(self._endpoint, self.name, answer, key)
            body = await read_whole(decoded(answer, answer.header(b"content-encoding")), self.name)
        try:
            listed = loads(body)
        except ValueError:
            raise UpstreamBroke(f"{self.name} lists its models as something that is not JSON") from None
        if isinstance(listed, Mapping):
            listed = listed.get("data") or listed.get("models") or []
        models = [entry for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []
        return [name for model in models if isinstance(name := model.get("id") or model.get("name"), str)]

    @asynccontextmanager
    async def _asked(self, call: Call, body: Mapping[str, Any]) -> AsyncIterator[HttpAnswer]:
        """The answer to a request that was taken; asked again without the usage where that wish is not understood."""
        target, key = call.target, self._endpoint.key_for(call.key)
        while True:
            wants_usage = self._takes_stream_options
            sent = body if wants_usage else {key: body[key] for key in body if key != "stream_options"}
            async with self._client.exchange(self._request("POST", "/chat/completions", sent, key)) as answer:
                if 200 <= answer.status < 300:
                    yield answer
                    return
                error = await read_refusal(self._endpoint, target, answer, key)
            if not (wants_usage and error.status_hint in (400, 422) and "stream_options" in error.message):
                raise error
            self._takes_stream_options = False

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None, key: str | None) -> HttpRequest:
        endpoint = self._endpoint
        headers = [(b"accept-encoding", b"identity"), *endpoint.own_headers(key)]
        if body is None:
            headers.append((b"accept", b"application/json"))
        else:
            headers += [(b"accept", b"text/event-stream, application/json"), (b"content-type", b"application/json")]
        return HttpRequest(
            endpoint.origin,
            method,
            endpoint.base_path + path,
            tuple(headers),
            b"" if body is None else dumps(body),
            endpoint.patience,
        )


class _Chunks:
    """The JSON values of an answer, streamed or not; `done` once the upstream has said that there are no more."""

    def __init__(self, target: Target, answer: HttpAnswer, frame_limit_bytes: int) -> None:
        self.done = False
        self._target = target
        self._bytes = decoded(answer, answer.header(b"content-encoding"))
        self._frames = Frames(self._bytes, frame_limit_bytes)
        kind = answer.header(b"content-type").lower()
        if kind.startswith(b"text/html"):
            raise UpstreamBroke(f"{target} answered with a web page; is its base_url right?")
        self._streamed = not kind.startswith(b"application/json")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if not self._streamed and not self.done:
            self.done = True
            return self._parsed(await read_whole(self._bytes, self._target))
        while not self.done:
            data = data_of(await anext(self._frames))
            if data == b"[DONE]":
                self.done = True
            elif data:
                return self._parsed(data)
        raise StopAsyncIteration

    def _parsed(self, data: bytes) -> Any:
        try:
            return loads(data)
        except ValueError:
            raise UpstreamBroke(f"{self._target} sent something that is not JSON") from None


async def _events(
    target: Target, answer: HttpAnswer, rewrites: Sequence[str], frame_limit_bytes: int
) -> AsyncGenerator[Event, None]:
    decoder = ChatStreamDecoder(target)
    chunks = _Chunks(target, answer, frame_limit_bytes)
    async for chunk in chunks:
        began = decoder.began
        events = decoder.feed(chunk)
        if not began:
            events[1:1] = [Rewrote(what) for what in rewrites]  # after the event that begins the round
        for event in events:
            yield event
    if chunks.done:
        await read_out(answer)
    for event in decoder.close(done=chunks.done):
        yield event
