"""The inferencer on Anthropic's SDK, against a real server on loopback."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests import upstream
from tests.dialects.recordings import Recording
from tests.upstream import ScriptedUpstream
from woollama.domain.errors import (
    RouterError,
    UnsupportedField,
    UpstreamBroke,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from woollama.domain.events import Event, Rewrote, RoundBegan, Stopped, TextDelta
from woollama.domain.messages import Audio, Message, Text
from woollama.domain.turns import Call, Params, Target
from woollama.inferencers.anthropic.inferencer import AnthropicInferencer
from woollama.inferencers.anthropic.sdk import Sdk

CALL = Call(Target("maker", "claude-sonnet"), (Message("user", (Text("Hi"),)),), system="Be brief.")
TIMEOUTS = ("first_byte_timeout_s", "idle_timeout_s")
RECORDED = Recording("anthropic", "thinking_and_two_tools")


def frames_of(name: str) -> list[bytes]:
    raw = Recording("anthropic", name).raw
    return [frame + b"\n\n" for frame in raw.split(b"\n\n") if frame]


def streamed(name: str, **how: Any) -> upstream.Answer:
    return upstream.sse(frames_of(name), **how)


def refused(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> upstream.Answer:
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return upstream.json(body, status=status, headers=headers)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as scripted:
        yield scripted


def inferencer_at(base_url: str, **options: Any) -> AnthropicInferencer:
    own = {name: options.pop(name) for name in ("extra_body", "max_tokens", *TIMEOUTS) if name in options}
    silence_s = max(own.get(name, 120.0) for name in TIMEOUTS)
    sdk = Sdk("maker", base_url=base_url, silence_s=silence_s, **{"key": lambda: "sk-ant-1", **options})
    return AnthropicInferencer(sdk, **own)


@pytest.fixture
async def claude(server: ScriptedUpstream) -> AsyncIterator[AnthropicInferencer]:
    inferencer = inferencer_at(server.origin)
    yield inferencer
    await inferencer.aclose()


async def answered(inferencer: AnthropicInferencer, call: Call = CALL) -> list[Event]:
    async with inferencer.answer(call) as events:
        return [event async for event in events]


async def test_a_stream_becomes_the_events_of_one_round(server: ScriptedUpstream, claude: AnthropicInferencer) -> None:
    server.answers(streamed("thinking_and_two_tools"))
    events = await answered(claude)
    assert [type(event) for event in events] == [type(event) for event in RECORDED.events]
    assert events[1:] == RECORDED.events[1:]
    assert events[0] == RoundBegan(0, CALL.target, "msg_01XFDUDYJgAACzvnptvVoYEL", "claude-sonnet-4-5-20250929")


async def test_the_request_is_what_the_api_wants(server: ScriptedUpstream, claude: AnthropicInferencer) -> None:
    server.answers(streamed("text"))
    await answered(claude, Call(CALL.target, CALL.items, "Be brief.", params=Params(temperature=0.5, top_k=3)))
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/messages")
    assert request.json == {
        "model": "claude-sonnet",
        "max_tokens": 16384,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "temperature": 0.5,
        "top_k": 3,
        "stream": True,
    }
    assert request.headers["authorization"] == "Bearer sk-ant-1"
    assert request.headers["x-api-key"] == "sk-ant-1"


async def test_the_key_is_asked_for_at_every_call(server: ScriptedUpstream) -> None:
    keys = iter(["first", "second"])
    inferencer = inferencer_at(server.origin, key=lambda: next(keys))
    server.always(streamed("text"))
    await answered(inferencer)
    await answered(inferencer)
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer first", "Bearer second"]
    assert server.connections == 1
    await inferencer.aclose()


async def test_without_a_key_none_is_sent_whatever_the_environment_holds(
    server: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-somebody-else")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-somebody-else")
    inferencer = inferencer_at(server.origin, key=lambda: None)
    server.answers(streamed("text"))
    await answered(inferencer)
    headers = server.requests[0].headers
    assert "authorization" not in headers
    assert "x-api-key" not in headers
    assert "somebody-else" not in str(headers)
    await inferencer.aclose()


async def test_anthropics_own_address_is_not_asked_without_a_key() -> None:
    inferencer = AnthropicInferencer(Sdk("claude", key=lambda: None))
    with pytest.raises(UpstreamRefused, match="no key") as caught:
        await answered(inferencer)
    assert caught.value.status_hint == 401
    await inferencer.aclose()


async def test_configured_headers_and_settings_go_along(server: ScriptedUpstream) -> None:
    inferencer = inferencer_at(
        f"{server.origin}/v1/",
        headers={"anthropic-version": "2023-06-01", "anthropic-beta": "context-1m"},
        extra_body={"speed": "fast", "temperature": 1.0},
        max_tokens=512,
    )
    server.answers(streamed("text"))
    await answered(inferencer, Call(CALL.target, CALL.items, params=Params(temperature=0.5)))
    (request,) = server.requests
    assert request.path == "/v1/messages"
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert request.headers["anthropic-beta"] == "context-1m"
    assert (request.json["speed"], request.json["temperature"], request.json["max_tokens"]) == ("fast", 0.5, 512)
    await inferencer.aclose()


async def test_what_was_changed_is_told_after_the_beginning(
    server: ScriptedUpstream, claude: AnthropicInferencer
) -> None:
    server.answers(streamed("text"))
    events = await answered(claude, Call(CALL.target, CALL.items, params=Params(seed=7)))
    assert isinstance(events[0], RoundBegan)
    assert [event.what for event in events if isinstance(event, Rewrote)] == [
        "seed was left out: the target has no such setting"
    ]


async def test_what_the_api_cannot_take_is_never_sent(server: ScriptedUpstream, claude: AnthropicInferencer) -> None:
    with pytest.raises(UnsupportedField):
        await answered(claude, Call(CALL.target, (Message("user", (Audio("UklGRg==", "wav"),)),)))
    assert server.requests == []


# --- what goes wrong


async def test_a_stream_that_is_cut_is_no_answer(server: ScriptedUpstream, claude: AnthropicInferencer) -> None:
    seen: list[Event] = []

    async def read() -> None:
        async with claude.answer(CALL) as events:
            async for event in events:
                seen.append(event)

    server.answers(streamed("cut"))  # the body ends as it should, the answer does not
    with pytest.raises(UpstreamBroke, match="broke off"):
        await read()
    assert [event.text for event in seen if isinstance(event, TextDelta)] == [
        "The three laws are",
        " as follows: first",
    ]
    assert not any(isinstance(event, Stopped) for event in seen)


async def test_a_connection_that_is_cut_is_no_answer(server: ScriptedUpstream, claude: AnthropicInferencer) -> None:
    server.answers(streamed("text", cut_after=4))
    with pytest.raises(UpstreamBroke):
        await answered(claude)


async def test_an_error_inside_the_stream_keeps_its_kind(server: ScriptedUpstream, claude: AnthropicInferencer) -> None:
    server.answers(streamed("overloaded"))
    with pytest.raises(UpstreamRefused, match="Overloaded") as caught:
        await answered(claude)
    assert caught.value.status_hint == 529
    assert caught.value.payload["request_id"] == "req_011CVJ3kRb8nWqXz5Tt7PmYs"


async def test_a_refusal_is_passed_on_and_not_tried_again(
    server: ScriptedUpstream, claude: AnthropicInferencer
) -> None:
    server.answers(refused(429, "rate_limit_error", "Slow down", {"retry-after": "3"}))
    with pytest.raises(UpstreamRefused, match="Slow down") as caught:
        await answered(claude)
    assert (caught.value.status_hint, caught.value.retry_after, caught.value.code) == (429, 3.0, "rate_limit_error")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 529])
async def test_an_error_page_is_a_refusal(server: ScriptedUpstream, claude: AnthropicInferencer, status: int) -> None:
    server.answers(upstream.html(status))
    with pytest.raises(UpstreamRefused) as caught:
        await answered(claude)
    assert caught.value.status_hint == status
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        upstream.html(200),
        upstream.json({"type": "message", "content": []}),
        upstream.sse([]),
        upstream.sse([b"event: message_start\ndata: {not json\n\n"]),
        upstream.sse([b"event: message_start\ndata: \xff\xfe\n\n"]),
        upstream.sse([b"event: message_start\ndata: [1, 2]\n\n"]),
    ],
    ids=["html", "json", "nothing", "no json", "no text", "no object"],
)
async def test_an_answer_that_is_no_stream_of_events_is_no_answer(
    server: ScriptedUpstream, claude: AnthropicInferencer, answer: upstream.Answer
) -> None:
    server.answers(answer)
    with pytest.raises(UpstreamBroke):
        await answered(claude)


async def test_nobody_there_is_told_from_silence(server: ScriptedUpstream) -> None:
    async with ScriptedUpstream() as gone:
        address = gone.origin
    inferencer = inferencer_at(address)
    with pytest.raises(UpstreamUnreachable, match="cannot be reached"):
        await answered(inferencer)
    await inferencer.aclose()

    impatient = inferencer_at(server.origin, first_byte_timeout_s=0.05, idle_timeout_s=30.0)
    server.answers(upstream.raw(upstream.STALL), upstream.sse([b": hello\n\n", asyncio.Event()]))
    with pytest.raises(UpstreamTimeout):
        await answered(impatient)
    with pytest.raises(UpstreamTimeout):
        await answered(impatient)
    await impatient.aclose()


async def test_silence_in_the_middle_of_an_answer_ends_it(server: ScriptedUpstream) -> None:
    inferencer = inferencer_at(server.origin, idle_timeout_s=0.05)
    server.answers(streamed("text", stall_after=4))
    with pytest.raises(UpstreamTimeout):
        await answered(inferencer)
    await server.until(lambda: server.open_connections == 0)
    await inferencer.aclose()


# --- leaving


async def test_leaving_early_closes_the_request(server: ScriptedUpstream, claude: AnthropicInferencer) -> None:
    server.answers(streamed("text", stall_after=4))
    async with claude.answer(CALL) as events:
        assert isinstance(await anext(events), RoundBegan)
    await server.until(lambda: server.requests[0].left_early and server.open_connections == 0)


async def test_being_cancelled_closes_the_request(server: ScriptedUpstream, claude: AnthropicInferencer) -> None:
    server.answers(streamed("text", stall_after=4))
    task = asyncio.create_task(answered(claude))
    await server.until(lambda: server.active_requests == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await server.until(lambda: server.open_connections == 0)


async def test_an_answer_ends_with_its_last_event_though_the_connection_stays(
    server: ScriptedUpstream, claude: AnthropicInferencer
) -> None:
    server.answers(upstream.sse([*frames_of("text"), asyncio.Event()]))
    assert isinstance((await answered(claude))[-1], Stopped)
    await server.until(lambda: server.open_connections == 0)


async def test_answers_are_given_side_by_side(server: ScriptedUpstream, claude: AnthropicInferencer) -> None:
    server.always(streamed("text"))
    all_events = await asyncio.gather(*(answered(claude) for _ in range(20)))
    assert all(isinstance(events[-1], Stopped) for events in all_events)
    assert len(server.requests) == 20


# --- models


async def test_models_are_listed_over_all_pages(server: ScriptedUpstream, claude: AnthropicInferencer) -> None:
    server.models = None

    def page(first: str, last: str, more: bool) -> upstream.Answer:
        data = [
            {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
            for name in (first, last)
        ]
        return upstream.json({"data": data, "has_more": more, "first_id": first, "last_id": last})

    server.answers(page("claude-a", "claude-b", True), page("claude-c", "claude-d", False))
    assert await claude.list_models() == ["claude-a", "claude-b", "claude-c", "claude-d"]
    assert [request.path.partition("?")[0] for request in server.requests] == ["/v1/models"] * 2


async def test_models_that_cannot_be_listed_are_an_error_of_ours(
    server: ScriptedUpstream, claude: AnthropicInferencer
) -> None:
    server.models = None
    server.answers(refused(401, "authentication_error", "invalid x-api-key"))
    with pytest.raises(RouterError, match="invalid x-api-key"):
        await claude.list_models()


@pytest.mark.parametrize("answer", [upstream.html(200), upstream.json([]), upstream.json({"data": ["claude"]})])
async def test_a_list_of_models_that_is_none_is_an_error_of_ours(
    server: ScriptedUpstream, claude: AnthropicInferencer, answer: upstream.Answer
) -> None:
    server.models = None
    server.answers(answer)
    with pytest.raises(UpstreamBroke, match="lists its models in an unknown shape"):
        await claude.list_models()


# --- what it costs to have one


def test_the_sdk_is_not_loaded_before_the_first_call() -> None:
    program = (
        "import sys; from woollama.inferencers.anthropic.inferencer import AnthropicInferencer;"
        "from woollama.inferencers.anthropic.sdk import Sdk; "
        "AnthropicInferencer(Sdk('claude', key=lambda: 'k')); print(sorted({'anthropic', 'httpx2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_it_says_what_it_is_and_not_its_key() -> None:
    assert repr(inferencer_at("http://127.0.0.1:9/")) == "<AnthropicInferencer 'maker' at http://127.0.0.1:9>"
