"""OpenAI's SDK for Python: what its users do with it, relayed and through recipes."""

from __future__ import annotations

import base64
import io

import openai
from checks import PLAIN, RELAYED, TOOLS, check, main
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
TWO_CALLS = '@call get_weather {"city": "Oslo"}\n@call get_weather {"city": "Rome"}'


def client(base: str) -> OpenAI:
    return OpenAI(base_url=f"{base}/v1", api_key="unused", max_retries=0)


def asked(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@check
def models_are_listed_and_found_one_by_one(base: str) -> None:
    ids = [model.id for model in client(base).models.list()]
    assert {RELAYED, PLAIN, TOOLS} <= set(ids), ids
    assert client(base).models.retrieve(RELAYED).owned_by == "mock"


@check
def a_chat_is_answered_whole_and_streamed(base: str) -> None:
    for model in (RELAYED, PLAIN):
        whole = client(base).chat.completions.create(model=model, messages=asked("hello"))
        assert whole.choices[0].message.content == "You said: hello"
        assert whole.choices[0].finish_reason == "stop"
        stream = client(base).chat.completions.create(model=model, messages=asked("hello"), stream=True)
        chunks = list(stream)
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "You said: hello"
        assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
        assert all(chunk.usage is None for chunk in chunks)


@check
def usage_comes_in_a_last_chunk_exactly_when_it_is_wished(base: str) -> None:
    for model in (RELAYED, PLAIN):
        stream = client(base).chat.completions.create(
            model=model, messages=asked("hello"), stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
        assert [bool(chunk.choices) for chunk in chunks if chunk.usage] == [False]
        assert chunks[-1].usage.total_tokens == 18


@check
async def the_asynchronous_client_does_the_same(base: str) -> None:
    async with AsyncOpenAI(base_url=f"{base}/v1", api_key="unused") as sdk:
        for model in (RELAYED, PLAIN):
            whole = await sdk.chat.completions.create(model=model, messages=asked("hello"))
            assert whole.choices[0].message.content == "You said: hello"
            text = ""
            async for chunk in await sdk.chat.completions.create(model=model, messages=asked("hi"), stream=True):
                text += chunk.choices[0].delta.content or "" if chunk.choices else ""
            assert text == "You said: hi"


@check
def tools_of_the_client_are_called_in_parallel_and_answered(base: str) -> None:
    for model in (RELAYED, PLAIN):
        messages: list[object] = asked(TWO_CALLS)
        first = client(base).chat.completions.create(model=model, messages=messages, tools=[WEATHER])
        calls = first.choices[0].message.tool_calls
        assert [call.function.arguments for call in calls] == ['{"city": "Oslo"}', '{"city": "Rome"}']
        assert first.choices[0].finish_reason == "tool_calls"
        messages.append(first.choices[0].message)
        messages += [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls]
        second = client(base).chat.completions.create(model=model, messages=messages, tools=[WEATHER])
        assert second.choices[0].message.content == "The tools said: sunny; sunny"


@check
def streamed_tool_calls_are_put_together_by_the_stream_helper(base: str) -> None:
    for model in (RELAYED, PLAIN):
        with client(base).chat.completions.stream(model=model, messages=asked(TWO_CALLS), tools=[WEATHER]) as stream:
            done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
            final = stream.get_final_completion()
        assert [event.index for event in done] == [0, 1]
        calls = final.choices[0].message.tool_calls
        assert [call.function.name for call in calls] == ["get_weather"] * 2
        assert len({call.id for call in calls}) == 2


@check
def a_demanded_tool_is_called(base: str) -> None:
    for model in (RELAYED, PLAIN):
        for choice in ("required", {"type": "function", "function": {"name": "get_weather"}}):
            answer = client(base).chat.completions.create(
                model=model, messages=asked("hello"), tools=[WEATHER], tool_choice=choice
            )
            assert answer.choices[0].message.tool_calls[0].function.name == "get_weather"


@check
def tools_that_the_daemon_runs_stay_its_own_business(base: str) -> None:
    text = '@call textops__uppercase {"text": "abc"}'
    whole = client(base).chat.completions.create(model=TOOLS, messages=asked(text))
    assert "ABC" in whole.choices[0].message.content
    assert whole.choices[0].message.tool_calls is None
    assert whole.usage.total_tokens == 36
    chunks = list(client(base).chat.completions.create(model=TOOLS, messages=asked(text), stream=True))
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    assert not any(c.choices[0].delta.tool_calls for c in chunks if c.choices)


class Person(BaseModel):
    name: str
    age: int


@check
def structured_output_is_parsed(base: str) -> None:
    for model in (RELAYED, PLAIN):
        answer = client(base).chat.completions.parse(model=model, messages=asked("who?"), response_format=Person)
        assert isinstance(answer.choices[0].message.parsed, Person)
        with client(base).chat.completions.stream(
            model=model, messages=asked("who?"), response_format=Person
        ) as stream:
            assert isinstance(stream.get_final_completion().choices[0].message.parsed, Person)


@check
def pictures_are_seen(base: str) -> None:
    picture = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    parts = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": picture}}]
    for model in (RELAYED, PLAIN):
        answer = client(base).chat.completions.create(model=model, messages=[{"role": "user", "content": parts}])
        assert answer.choices[0].message.content == "You said: what is it? I see 1 image."


@check
def responses_are_created_streamed_and_parsed(base: str) -> None:
    for model in (RELAYED, PLAIN):
        whole = client(base).responses.create(model=model, input="hello", store=False)
        assert (whole.output_text, whole.status) == ("You said: hello", "completed")
        with client(base).responses.stream(model=model, input="hello", store=False) as stream:
            deltas = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
            assert deltas == stream.get_final_response().output_text == "You said: hello"
        parsed = client(base).responses.parse(model=model, input="who?", text_format=Person, store=False)
        assert isinstance(parsed.output_parsed, Person)


@check
def embeddings_are_numbers(base: str) -> None:
    answer = client(base).embeddings.create(model=RELAYED, input=["a", "b"])
    assert [item.embedding for item in answer.data] == [[0.25, -0.5, 0.75]] * 2


@check
def sound_goes_in_and_comes_out(base: str) -> None:
    speech = client(base).audio.speech.create(model=RELAYED, voice="alloy", input="hello")
    assert speech.read() == b"RIFF a sound"
    heard = client(base).audio.transcriptions.create(model=RELAYED, file=("a.wav", io.BytesIO(b"RIFF" * 1000)))
    assert heard.text == "I heard True"


@check
def images_are_made_and_edited(base: str) -> None:
    made = client(base).images.generate(model=RELAYED, prompt="a llama")
    edited = client(base).images.edit(model=RELAYED, prompt="woollier", image=("a.png", b"\x89PNG", "image/png"))
    for answer in (made, edited):
        assert base64.b64decode(answer.data[0].b64_json) == b"\x89PNG one pixel"


@check
def completions_and_moderations_are_relayed(base: str) -> None:
    said = client(base).completions.create(model=RELAYED, prompt="once")
    assert said.choices[0].text == "once, and so on"
    assert client(base).moderations.create(model=RELAYED, input="hello").results[0].flagged is False


EXCEPTIONS = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    503: openai.InternalServerError,
}


@check
def each_refusal_of_an_upstream_is_the_exception_of_its_status(base: str) -> None:
    for model in (RELAYED, PLAIN):
        for status, wanted in EXCEPTIONS.items():
            for stream in (False, True):
                try:
                    client(base).chat.completions.create(model=model, messages=asked(f"@error {status}"), stream=stream)
                except openai.APIStatusError as error:
                    assert type(error) is wanted, (model, status, stream, error)
                    assert "as you wished" in str(error), error
                else:
                    raise AssertionError(f"{model}: {status} was no error")


@check
def our_own_refusals_are_exceptions_that_help(base: str) -> None:
    try:
        client(base).chat.completions.create(model="woollama/case-plane", messages=asked("hi"))
    except openai.NotFoundError as error:
        assert error.code == "model_not_found"
        assert PLAIN in str(error)
    else:
        raise AssertionError("there is no such model")
    try:
        client(base).chat.completions.create(model=PLAIN, messages="none")
    except openai.BadRequestError as error:
        assert error.param == "messages", error.body
    else:
        raise AssertionError("these are no messages")


@check
def a_stream_that_breaks_off_is_an_exception_and_no_end(base: str) -> None:
    for model in (RELAYED, PLAIN):
        seen = ""
        try:
            for chunk in client(base).chat.completions.create(
                model=model, messages=asked("@cut one two three four"), stream=True
            ):
                seen += chunk.choices[0].delta.content or "" if chunk.choices else ""
        except openai.APIError:
            assert seen, "what had come before was lost"
        else:
            raise AssertionError(f"{model}: a cut stream looked complete: {seen!r}")


@check
def nobody_at_the_address_is_a_connection_error(base: str) -> None:
    try:
        client("http://127.0.0.1:9").models.list()
    except openai.APIConnectionError:
        return
    raise AssertionError("nobody listens there")


@check
async def twenty_clients_at_once_get_each_their_own_answer(base: str) -> None:
    import asyncio

    async def one(number: int) -> None:
        async with AsyncOpenAI(base_url=f"{base}/v1", api_key=f"key-{number}") as sdk:
            for model in (RELAYED, PLAIN):
                whole = await sdk.chat.completions.create(model=model, messages=asked(f"number {number}"))
                assert whole.choices[0].message.content == f"You said: number {number}"

    await asyncio.gather(*map(one, range(20)))


if __name__ == "__main__":
    raise SystemExit(main())
