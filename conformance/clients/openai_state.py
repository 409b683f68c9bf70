"""OpenAI's SDK for Python where the daemon remembers: responses, conversations, the background, the WebSocket."""

from __future__ import annotations

import openai
from checks import PLAIN, RELAYED, TOOLS, check, main
from openai import AsyncOpenAI, OpenAI

MODELS = (RELAYED, PLAIN, TOOLS)
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
TEXTOPS = {"type": "mcp", "server_label": "textops", "require_approval": "never"}
UPPERCASE = '@call textops__uppercase {"text": "abc"}'


def client(base: str) -> OpenAI:
    return OpenAI(base_url=f"{base}/v1", api_key="unused", max_retries=0)


@check
def a_response_is_kept_read_and_deleted(base: str) -> None:
    responses = client(base).responses
    for model in MODELS:
        made = responses.create(model=model, input="hello", metadata={"a": "b"})
        read = responses.retrieve(made.id)
        assert (read.output_text, read.metadata) == ("You said: hello", {"a": "b"})
        assert [item.id for item in read.output] == [item.id for item in made.output]
        assert [item.content[0].text for item in responses.input_items.list(made.id)] == ["hello"]
        responses.delete(made.id)
        try:
            responses.retrieve(made.id)
        except openai.NotFoundError:
            continue
        raise AssertionError("it was deleted")


@check
def a_stream_has_the_ids_that_are_read_later(base: str) -> None:
    for model in MODELS:
        with client(base).responses.stream(model=model, input="one two") as stream:
            numbers = [event.sequence_number for event in stream]
            final = stream.get_final_response()
        assert numbers == list(range(len(numbers)))
        read = client(base).responses.retrieve(final.id)
        assert [item.id for item in read.output] == [item.id for item in final.output]


@check
def a_chain_goes_on_and_forks_and_keeps_its_tools(base: str) -> None:
    responses = client(base).responses
    for model in (RELAYED, PLAIN):
        first = responses.create(model=model, input='@call get_weather {"city": "Oslo"}', tools=[WEATHER])
        (call,) = [item for item in first.output if item.type == "function_call"]
        for answer in ("sunny", "rainy"):
            output = {"type": "function_call_output", "call_id": call.call_id, "output": answer}
            said = responses.create(model=model, input=[output], previous_response_id=first.id, tools=[WEATHER])
            assert said.output_text == f"The tools said: {answer}", said
            on = responses.create(model=model, input="and now?", previous_response_id=said.id, tools=[WEATHER])
            assert on.output_text == "You said: and now?"


@check
def a_tool_turn_of_ours_can_be_continued(base: str) -> None:
    responses = client(base).responses
    for model, tools in ((RELAYED, [TEXTOPS]), (TOOLS, [])):
        first = responses.create(model=model, input=UPPERCASE, tools=tools)
        assert [item.output for item in first.output if item.type == "mcp_call"] == ["ABC"], first.output
        assert "ABC" in first.output_text
        on = responses.create(model=model, input="thanks", previous_response_id=first.id, tools=tools)
        assert on.output_text == "You said: thanks"


@check
def an_approval_is_given_in_the_next_turn(base: str) -> None:
    responses = client(base).responses
    asking = [{**TEXTOPS, "require_approval": "always"}]
    for approve in (True, False):
        first = responses.create(model=RELAYED, input=UPPERCASE, tools=asking)
        (ask,) = [item for item in first.output if item.type == "mcp_approval_request"]
        given = {"type": "mcp_approval_response", "approval_request_id": ask.id, "approve": approve}
        on = responses.create(model=RELAYED, input=[given], previous_response_id=first.id, tools=asking)
        assert ("ABC" in on.output_text) is approve, on.output_text


@check
def the_background_is_polled_streamed_again_and_cancelled(base: str) -> None:
    responses = client(base).responses
    for model in MODELS:
        made = responses.create(model=model, input="one two three", background=True)
        assert made.status == "queued"
        while made.status in ("queued", "in_progress"):
            made = responses.retrieve(made.id)
        assert made.output_text == "You said: one two three"
        whole = list(responses.retrieve(made.id, stream=True))
        rest = list(responses.retrieve(made.id, stream=True, starting_after=whole[4].sequence_number))
        assert [event.sequence_number for event in rest] == [event.sequence_number for event in whole[5:]]
        assert rest[-1].type == "response.completed"
        assert responses.cancel(made.id).status == "completed"


@check
def a_stream_in_the_background_goes_on_where_it_was_left(base: str) -> None:
    responses = client(base).responses
    for model in MODELS:
        with responses.create(model=model, input="one two three", background=True, stream=True) as stream:
            first = next(iter(stream))
        rest = list(responses.retrieve(first.response.id, stream=True, starting_after=first.sequence_number))
        assert [event.sequence_number for event in rest] == list(range(1, len(rest) + 1))
        assert rest[-1].response.output_text == "You said: one two three"


@check
def tokens_are_counted_and_a_talk_is_compacted(base: str) -> None:
    responses = client(base).responses
    said = [{"role": "user", "content": "We launch on Tuesday, and support is told first. " * 20}]
    for model in (RELAYED, PLAIN):
        before = responses.input_tokens.count(model=model, input=said).input_tokens
        compacted = responses.compact(model=model, input=said)
        kept = [item.model_dump(exclude_unset=True) for item in compacted.output]
        assert 0 < responses.input_tokens.count(model=model, input=kept).input_tokens < before
        on = responses.create(model=model, input=[*kept, {"role": "user", "content": "when?"}])
        assert on.output_text == "You said: when?"


@check
def a_conversation_has_all_its_verbs(base: str) -> None:
    sdk = client(base)
    for model in MODELS:
        talk = sdk.conversations.create(metadata={"a": "b"}, items=[{"role": "user", "content": "before"}])
        sdk.responses.create(model=model, input="one", conversation=talk.id)
        sdk.responses.create(model=model, input="two", conversation={"id": talk.id})
        items = list(sdk.conversations.items.list(talk.id, order="asc", limit=2))
        assert [item.content[0].text for item in items] == ["before", "one", "You said: one", "two", "You said: two"]
        assert [item.id for item in sdk.conversations.items.list(talk.id)] == [item.id for item in reversed(items)]
        added = sdk.conversations.items.create(talk.id, items=[{"role": "user", "content": "after"}])
        assert sdk.conversations.items.retrieve(added.data[0].id, conversation_id=talk.id).id == added.data[0].id
        sdk.conversations.items.delete(added.data[0].id, conversation_id=talk.id)
        assert len(list(sdk.conversations.items.list(talk.id))) == len(items)
        assert sdk.conversations.update(talk.id, metadata={"a": "c"}).metadata == {"a": "c"}
        assert sdk.conversations.retrieve(talk.id).metadata == {"a": "c"}
        assert sdk.conversations.delete(talk.id).deleted
        try:
            sdk.conversations.retrieve(talk.id)
        except openai.NotFoundError:
            continue
        raise AssertionError("it was deleted")


@check
def a_failed_turn_is_an_exception_and_leaves_nothing(base: str) -> None:
    sdk = client(base)
    for model in MODELS:
        talk = sdk.conversations.create()
        try:
            sdk.responses.create(model=model, input="@error 503", conversation=talk.id)
        except openai.InternalServerError as error:
            assert "as you wished" in str(error)
        else:
            raise AssertionError("it was refused upstream")
        assert list(sdk.conversations.items.list(talk.id)) == []
        events = list(sdk.responses.create(model=model, input="@cut one two three", stream=True))
        assert [event.type for event in events if event.type in ENDS] == ["response.failed"]


ENDS = ("response.completed", "response.incomplete", "response.failed")


@check
async def a_websocket_takes_turns(base: str) -> None:
    sdk = AsyncOpenAI(base_url=f"{base}/v1", api_key="unused")
    for model in MODELS:
        async with sdk.responses.connect() as connection:
            previous: str | None = None
            for words in ("one", "two"):
                more = {"previous_response_id": previous} if previous else {}
                await connection.send(
                    {"type": "response.create", "model": model, "input": words, "store": False, **more}
                )
                async for event in connection:
                    if event.type in (*ENDS, "error"):
                        break
                assert event.type == "response.completed", event
                assert event.response.output_text == f"You said: {words}"
                previous = event.response.id


if __name__ == "__main__":
    raise SystemExit(main())
