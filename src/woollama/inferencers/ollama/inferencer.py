"""Ollama in its own words, `/api/chat`: they say more than its OpenAI-compatible ones (`num_ctx`, `keep_alive`,
`think`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from woollama.domain.errors import RouterError, UpstreamBroke, UpstreamRefused
from woollama.domain.events import Event, Rewrote
from woollama.domain.turns import Call, Target
from woollama.domain.wire_json import dumps, loads
from woollama.http.answer_bodies import read_out, read_whole
from woollama.http.connection import HttpAnswer
from woollama.http.content_coding import decoded
from woollama.http.lines import Lines
from woollama.http.request import HttpRequest
from woollama.http.transport import HttpClient
from woollama.inferencers.http.endpoint import Endpoint
from woollama.inferencers.http.refusals import read_refusal
from woollama.inferencers.ollama.decode import OllamaStreamDecoder
from woollama.inferencers.ollama.encode import EncodedCall, encode

_NO_THOUGHT = "does not support thinking"
_NOT_THINKING = "reasoning settings were left out: the model does not think"


def root_of(base_url: str) -> str:
    """Where both of Ollama's APIs begin: its own in `/api`, the OpenAI-compatible one in `/v1`."""
    return base_url.rstrip("/").removesuffix("/v1")


class OllamaInferencer:
    """Implements `domain.ports.Inferencer`. The endpoint's base URL is `root_of` the configured one."""

    def __init__(self, endpoint: Endpoint, client: HttpClient) -> None:
        self.name = endpoint.name
        self._endpoint = endpoint
        self._client = client

    def __repr__(self) -> str:
        return f"<OllamaInferencer {self.name!r} at {self._endpoint.base_url}>"

    @asynccontextmanager
    async def answer(self, call: Call) -> AsyncIterator[AsyncIterator[Event]]:
        encoded = encode(call, extra_body=self._endpoint.extra_body)
        async with (
            self._asked(call, encoded) as (answer, rewrites),
            aclosing(_events(call.target, answer, rewrites, self._endpoint.frame_limit_bytes)) as events,
        ):
            yield events

    async def list_models(self) -> Sequence[str]:
        key = self._endpoint.key_for(None)
        async with self._client.exchange(self._request("GET", "/api/tags", None, key)) as answer:
            if answer.status != 200:
                raise await read_refusal(self._endpoint, self.name, answer, key)
            body = await read_whole(decoded(answer, answer.header(b"content-encoding")), self.name)
        listed = _parsed(body, self.name)
        models = listed.get("models") if isinstance(listed, Mapping) else None
        if not isinstance(models, list):
            raise UpstreamBroke(f"{self.name} lists its models as no Ollama does; is its base_url right?")
        entries = [entry for entry in models if isinstance(entry, Mapping)]
        return [name for entry in entries if isinstance(name := entry.get("model") or entry.get("name"), str)]

    @asynccontextmanager
    async def _asked(self, call: Call, encoded: EncodedCall) -> AsyncIterator[tuple[HttpAnswer, Sequence[str]]]:
        """The answer to a request that was taken; asked again without `think` where that was only a guess of ours and
        the model does not think."""
        target, key = call.target, self._endpoint.key_for(call.key)
        body, rewrites, may_drop = dict(encoded.body), encoded.rewrites, encoded.think_is_a_guess
        while True:
            async with self._client.exchange(self._request("POST", "/api/chat", body, key)) as answer:
                if 200 <= answer.status < 300:
                    yield answer, rewrites
                    return
                error = await read_refusal(self._endpoint, target, answer, key)
            if not (may_drop and error.status_hint == 400 and _NO_THOUGHT in error.message):
                raise _explained(error, target)
            del body["think"]
            rewrites, may_drop = (*rewrites, _NOT_THINKING), False

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None, key: str | None) -> HttpRequest:
        endpoint = self._endpoint
        headers = [(b"accept-encoding", b"identity"), *endpoint.own_headers(key)]
        if body is not None:
            headers.append((b"content-type", b"application/json"))
        return HttpRequest(
            endpoint.origin,
            method,
            endpoint.base_path + path,
            tuple(headers),
            b"" if body is None else dumps(body),
            endpoint.patience,
        )


def _explained(error: RouterError, target: Target) -> RouterError:
    """A model that was never pulled is the usual reason for a 404, and easily mended."""
    if not (isinstance(error, UpstreamRefused) and error.status_hint == 404 and "model" in error.message):
        return error
    return UpstreamRefused(
        f"{target.inferencer} has no model {target.model!r}: ollama pull {target.model}",
        status=404,
        payload=error.payload,
        headers=error.headers,
        param="model",
        code="model_not_found",
    )


async def _events(
    target: Target, answer: HttpAnswer, rewrites: Sequence[str], line_limit_bytes: int
) -> AsyncGenerator[Event, None]:
    if answer.header(b"content-type").lower().startswith(b"text/html"):
        raise UpstreamBroke(f"{target} answered with a web page; is its base_url right?")
    decoder = OllamaStreamDecoder(target)
    async for line in Lines(decoded(answer, answer.header(b"content-encoding")), line_limit_bytes):
        began = decoder.began
        events = decoder.feed(_parsed(line, target))
        if not began:
            events[1:1] = [Rewrote(what) for what in rewrites]  # after the event that begins the round
        if decoder.done:
            await read_out(answer)
        for event in events:
            yield event
        if decoder.done:
            return
    decoder.close()


def _parsed(data: bytes, who: Target | str) -> Any:
    try:
        return loads(data)
    except ValueError:
        raise UpstreamBroke(f"{who} sent something that is not JSON") from None
