"""Messages as its clients use it: Anthropic's SDK and programs like Claude Code, before a whole daemon."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic

from tests import upstream as scripted
from tests.surfaces.tables import GOLDEN, KEYS, PATIENCE_S, Table, recorded, table
from tests.upstream import chat_stream
from woollama.server import ServeOptions

ASK: list[Any] = [{"role": "user", "content": "What is the weather?"}]
WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "The weather",
    "input_schema": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "opus",
    "content": [{"type": "text", "text": "Sunny."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 11, "cache_read_input_tokens": 100, "output_tokens": 3},
    "context_management": {"applied_edits": []},
}
CLAUDE_CODE: dict[str, Any] = {
    "max_tokens": 32000,
    "stream": True,
    "system": [
        {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Be careful.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Fix it", "cache_control": {"type": "ephemeral"}}]}
    ],
    "tools": [{**WEATHER, "cache_control": {"type": "ephemeral"}, "eager_input_streaming": True}],
    "metadata": {"user_id": "user_abc_session_def"},
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "high"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "something_of_next_year": {"deep": [1, 2.50]},
}
CLAUDE_CODE_HEADERS = {
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219,something-of-next-year-2027-01-01",
    "anthropic-dangerous-direct-browser-access": "true",
    "authorization": "Bearer the-clients-own",
    "x-api-key": "the-clients-own",
    "x-app": "cli",
    "user-agent": "claude-cli/2.1.0 (external, cli)",
}


@pytest.fixture
async def seated(tmp_path: Path) -> AsyncIterator[tuple[Table, AsyncAnthropic]]:
    async with table(tmp_path) as sat, sdk(sat.url) as client:
        yield sat, client


def sdk(url: str, key: str = "any") -> AsyncAnthropic:
    return AsyncAnthropic(base_url=url, api_key=key, max_retries=0, timeout=PATIENCE_S)


# --- relayed


@pytest.mark.parametrize("path", ["/v1/messages", "/messages", "/v1/v1/messages"])
async def test_a_request_like_claude_codes_is_relayed_as_it_came(
    seated: tuple[Table, AsyncAnthropic], path: str
) -> None:
    sat, _ = seated
    sat.upstream.answers(recorded("anthropic", "thinking_and_two_tools"))
    body = json.dumps({"model": "claude-sonnet-4-5", **CLAUDE_CODE})
    answer = await sat.client.post(
        f"{path}?beta=true", content=body, headers={**CLAUDE_CODE_HEADERS, "content-type": "application/json"}
    )
    (request,) = sat.upstream.requests

    assert (answer.status_code, answer.headers["x-woollama-path"]) == (200, "relay")
    assert answer.content == (GOLDEN / "anthropic/thinking_and_two_tools.sse").read_bytes()
    assert request.path == "/v1/messages?beta=true"
    assert request.body.decode() == body.replace('"claude-sonnet-4-5"', '"opus"', 1)
    assert request.headers["anthropic-beta"] == CLAUDE_CODE_HEADERS["anthropic-beta"]
    assert (request.headers["authorization"], request.headers["x-api-key"]) == (
        f"Bearer {KEYS['CLAUDE_KEY']}",
        KEYS["CLAUDE_KEY"],
    )
    assert "x-app" not in request.headers
    assert not [value for _, value in request.raw_headers if b"the-clients-own" in value]


async def test_a_whole_answer_is_relayed_as_it_came_and_a_version_is_said_for_who_says_none(
    seated: tuple[Table, AsyncAnthropic],
) -> None:
    sat, _ = seated
    sat.upstream.answers(scripted.json(MESSAGE, headers={"request-id": "req_7"}))
    asked = {"model": "claude/opus", "max_tokens": 9, "messages": ASK}
    answer = await sat.client.post("/v1/messages?key=secret", json=asked)

    assert answer.json() == MESSAGE
    assert answer.headers["request-id"] == "req_7"
    (request,) = sat.upstream.requests
    assert (request.path, request.headers["anthropic-version"]) == ("/v1/messages", "2023-06-01")


async def test_a_relayed_stream_that_is_cut_ends_with_an_error_and_no_success(
    seated: tuple[Table, AsyncAnthropic],
) -> None:
    sat, client = seated
    sat.upstream.answers(recorded("anthropic", "text", cut_after=4))
    with pytest.raises(anthropic.APIStatusError, match=r"broke off|ended"):
        async with client.messages.stream(model="claude/opus", max_tokens=9, messages=ASK) as stream:
            await stream.until_done()


async def test_a_relayed_stream_that_forgot_its_last_event_gets_it(seated: tuple[Table, AsyncAnthropic]) -> None:
    sat, client = seated
    raw = (GOLDEN / "anthropic/text.sse").read_bytes()
    frames = [frame + b"\n\n" for frame in raw.split(b"\n\n") if frame.strip() and b"message_stop" not in frame]
    sat.upstream.answers(scripted.sse(frames))
    async with client.messages.stream(model="claude/opus", max_tokens=9, messages=ASK) as stream:
        kinds = [event.type async for event in stream]
    assert kinds[-1] == "message_stop"


# --- through the engine


async def test_a_model_of_another_dialect_answers_with_calls_side_by_side(
    seated: tuple[Table, AsyncAnthropic],
) -> None:
    sat, client = seated
    calls = [("get_weather", {"location": "Zürich"}), ("get_weather", {"location": "Bern"})]
    sat.upstream.answers(chat_stream("I look.", reasoning="Two places.", calls=calls), scripted.chat("Sunny in both."))
    asked: dict[str, Any] = {"model": "mock/m", "max_tokens": 99, "tools": [WEATHER]}
    async with client.messages.stream(messages=ASK, **asked) as stream:
        first = await stream.get_final_message()

    assert first.stop_reason == "tool_use"
    assert [block.type for block in first.content] == ["thinking", "text", "tool_use", "tool_use"]
    uses = [block for block in first.content if block.type == "tool_use"]
    assert [use.input for use in uses] == [{"location": "Zürich"}, {"location": "Bern"}]

    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    results = [
        {"type": "tool_result", "tool_use_id": uses[0].id, "content": "sunny"},
        {
            "type": "tool_result",
            "tool_use_id": uses[1].id,
            "is_error": True,
            "content": [{"type": "text", "text": "?"}],
        },
        image,
        {"type": "text", "text": "Go on", "cache_control": {"type": "ephemeral"}},
    ]
    history = [*ASK, {"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    second = await client.messages.create(messages=history, **asked)  # type: ignore[call-overload]

    assert (second.content[0].text, second.stop_reason) == ("Sunny in both.", "end_turn")
    told = sat.asked[1]["messages"]
    assert [message["role"] for message in told] == ["user", "assistant", "tool", "tool", "user"]
    assert [message["content"] for message in told[2:4]] == ["sunny", "Error: ?"]
    assert [part["type"] for part in told[4]["content"]] == ["image_url", "text"]


async def test_a_request_like_claude_codes_is_understood_for_any_model(seated: tuple[Table, AsyncAnthropic]) -> None:
    sat, _ = seated
    sat.upstream.answers(chat_stream("Done."))
    answer = await sat.client.post(
        "/v1/messages?beta=true", json={"model": "woollama/plain", **CLAUDE_CODE}, headers=CLAUDE_CODE_HEADERS
    )

    assert (answer.status_code, answer.headers["x-woollama-path"]) == (200, "engine; recipe")
    assert "context_management" in answer.text.partition("event: message_stop")[2]
    kinds = [line.removeprefix("event: ") for line in answer.text.splitlines() if line.startswith("event: ")]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    (asked,) = sat.asked
    systems = [message["content"] for message in asked["messages"] if message["role"] == "system"]
    assert "Be brief." in str(systems[0])
    assert "You are Claude Code." in str(systems)
    assert asked["user"] == "user_abc_session_def"


async def test_a_thought_goes_back_to_who_signed_it_and_to_nobody_else(seated: tuple[Table, AsyncAnthropic]) -> None:
    sat, client = seated
    sat.upstream.answers(recorded("anthropic", "thinking_and_two_tools"), recorded("anthropic", "text"))
    asked: dict[str, Any] = {"max_tokens": 99, "tools": [WEATHER]}
    async with client.messages.stream(model="woollama/thinker", messages=ASK, **asked) as stream:
        first = await stream.get_final_message()
    thought = next(block for block in first.content if block.type == "thinking")
    assert thought.signature.startswith("woollama:claude:")
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "12 °C"}
        for block in first.content
        if block.type == "tool_use"
    ]
    history = [*ASK, {"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    async with client.messages.stream(model="woollama/thinker", messages=history, **asked) as stream:  # type: ignore[arg-type]
        await stream.until_done()
    sat.upstream.answers(chat_stream("12 °C."))
    async with client.messages.stream(model="woollama/plain", messages=history, **asked) as stream:  # type: ignore[arg-type]
        await stream.until_done()

    original = next(
        json.loads(line[6:])["delta"]["signature"]
        for line in (GOLDEN / "anthropic/thinking_and_two_tools.sse").read_text().splitlines()
        if "signature_delta" in line
    )
    replayed = sat.asked[1]["messages"][1]["content"][0]
    assert (replayed["type"], replayed["signature"]) == ("thinking", original)
    assert original not in json.dumps(sat.asked[2])


async def test_rounds_with_our_tools_are_hidden_and_the_input_is_the_last_rounds(tmp_path: Path) -> None:
    async with table(tmp_path, tools=True) as sat, sdk(sat.url) as client:
        sat.upstream.answers(
            chat_stream(calls=[("textops__word_count", {"text": "a b c"})]),
            chat_stream("Three."),
        )
        message = await client.messages.create(model="woollama/clerk", max_tokens=99, messages=ASK)

    assert [block.type for block in message.content] == ["text"]
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (11, 14)
    notes = message.model_extra["x_woollama"] if message.model_extra else {}
    assert [call["name"] for call in notes["tool_calls"]] == ["textops__word_count"]


async def test_a_choice_and_stop_sequences_reach_the_model(seated: tuple[Table, AsyncAnthropic]) -> None:
    sat, client = seated
    sat.upstream.answers(scripted.chat_tool_call("get_weather", {"location": "Bern"}))
    await client.messages.create(
        model="mock/m",
        max_tokens=99,
        messages=ASK,
        tools=[WEATHER],  # type: ignore[list-item]
        tool_choice={"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True},
        stop_sequences=["END"],
        system="Be kind.",
    )
    (asked,) = sat.asked
    assert asked["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}
    assert (asked["stop"], asked["parallel_tool_calls"], asked["max_tokens"]) == (["END"], False, 99)


# --- errors


@pytest.mark.parametrize("model", ["claude/opus", "mock/m"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "kind", "raised"),
    [
        (400, "invalid_request_error", anthropic.BadRequestError),
        (401, "authentication_error", anthropic.AuthenticationError),
        (403, "permission_error", anthropic.PermissionDeniedError),
        (404, "not_found_error", anthropic.NotFoundError),
        (429, "rate_limit_error", anthropic.RateLimitError),
        (500, "api_error", anthropic.InternalServerError),
        (529, "overloaded_error", anthropic.InternalServerError),
    ],
)
async def test_an_upstreams_refusal_is_the_sdks_own_exception(
    seated: tuple[Table, AsyncAnthropic],
    model: str,
    stream: bool,
    status: int,
    kind: str,
    raised: type[anthropic.APIStatusError],
) -> None:
    sat, client = seated
    theirs = {"type": "error", "error": {"type": kind, "message": "no"}}
    headers = {"retry-after": "7"} if status == 429 else {}
    sat.upstream.answers(scripted.json(theirs, status=status, headers=headers))
    with pytest.raises(raised) as caught:
        await client.messages.create(model=model, max_tokens=9, messages=ASK, stream=stream)
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", kind)
    assert caught.value.response.headers.get("retry-after") == headers.get("retry-after")


@pytest.mark.parametrize(
    ("change", "status", "kind", "said"),
    [
        ({"messages": []}, 400, "invalid_request_error", "messages"),
        ({"model": "nobody/x"}, 404, "not_found_error", "nobody/x"),
        ({"model": 7}, 400, "invalid_request_error", "model"),
        ({"tools": [{}]}, 400, "invalid_request_error", "tools[0].name"),
        ({"max_tokens": 0}, 400, "invalid_request_error", "max_tokens"),
    ],
)
async def test_a_mistake_is_named_in_this_dialects_shape(
    seated: tuple[Table, AsyncAnthropic], change: dict[str, Any], status: int, kind: str, said: str
) -> None:
    sat, _ = seated
    asked = {"model": "mock/m", "max_tokens": 9, "messages": ASK, **change}
    answer = await sat.client.post("/v1/messages", json=asked)
    body = answer.json()
    assert (answer.status_code, body["type"], body["error"]["type"]) == (status, "error", kind)
    assert said in body["error"]["message"]


async def test_the_token_is_taken_in_both_of_the_sdks_ways(tmp_path: Path) -> None:
    async with table(tmp_path, ServeOptions(token="letmein", shutdown_timeout_s=1)) as sat:
        sat.upstream.always(scripted.json(MESSAGE))
        asked: dict[str, Any] = {"model": "claude/opus", "max_tokens": 9, "messages": ASK}
        async with sdk(sat.url, "wrong") as client:
            with pytest.raises(anthropic.AuthenticationError):
                await client.messages.create(**asked)
        for keys in ({"api_key": "letmein"}, {"auth_token": "letmein"}):
            async with AsyncAnthropic(base_url=sat.url, max_retries=0, **keys) as client:
                assert (await client.messages.create(**asked)).id == "msg_1"


# --- counting


async def test_a_native_target_counts_the_body_as_it_came(seated: tuple[Table, AsyncAnthropic]) -> None:
    sat, client = seated
    sat.upstream.answers(scripted.json({"input_tokens": 4711}))
    counted = await client.messages.count_tokens(
        model="claude/opus", messages=ASK, system="S", extra_body={"next_year": 1}
    )
    assert counted.input_tokens == 4711
    (request,) = sat.upstream.requests
    assert request.path == "/v1/messages/count_tokens"
    assert (request.json["model"], request.json["next_year"]) == ("opus", 1)


async def test_for_a_recipe_the_target_counts_what_it_would_be_sent(seated: tuple[Table, AsyncAnthropic]) -> None:
    sat, client = seated
    sat.upstream.answers(scripted.json({"input_tokens": 99}))
    counted = await client.messages.count_tokens(model="woollama/thinker", messages=ASK, tools=[WEATHER])  # type: ignore[list-item]
    assert counted.input_tokens == 99
    (asked,) = sat.asked
    assert asked["model"] == "opus"
    assert "Think." in json.dumps(asked["system"])
    assert asked["tools"][0]["name"] == "get_weather"
    assert "max_tokens" not in asked


@pytest.mark.parametrize("model", ["mock/m", "woollama/plain", "claude/opus", "woollama/thinker"])
async def test_where_nobody_can_count_the_number_is_an_estimate_and_says_so(
    seated: tuple[Table, AsyncAnthropic], model: str
) -> None:
    sat, client = seated
    sat.upstream.always(scripted.error(404, "no such page"))
    small = await client.messages.count_tokens(model=model, messages=[{"role": "user", "content": "a"}])
    large = await client.messages.count_tokens(model=model, messages=[{"role": "user", "content": "word " * 1000}])
    assert small.input_tokens >= 1
    assert 1250 <= large.input_tokens <= 2000
    assert large.model_extra is not None
    assert large.model_extra["x_woollama"]["estimated"] is True


async def test_what_the_counting_target_refuses_is_refused(seated: tuple[Table, AsyncAnthropic]) -> None:
    sat, client = seated
    theirs = {"type": "error", "error": {"type": "invalid_request_error", "message": "messages.0: no"}}
    sat.upstream.answers(scripted.json(theirs, status=400))
    with pytest.raises(anthropic.BadRequestError, match="messages"):
        await client.messages.count_tokens(model="claude/opus", messages=ASK)


async def test_models_are_listed_for_this_sdk_too(seated: tuple[Table, AsyncAnthropic]) -> None:
    _, client = seated
    found = [model.id async for model in client.models.list()]
    assert {"woollama/plain", "claude/m"} <= set(found)
