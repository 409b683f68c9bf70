from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from woollama.domain.answers import Answer
from woollama.domain.errors import BadRequest, UpstreamBroke
from woollama.domain.events import Event, Failed, RoundBegan, Stopped, TextDelta
from woollama.domain.messages import Message, Text, ToolCall, ToolResult
from woollama.domain.tools import Example, Function, Returned
from woollama.domain.turns import Call, Params, ResponseFormat, Target, ToolChoice
from woollama.inferencers.scripted import ScriptedInferencer, calling, saying

ECHO = Target("scripted", "echo")
CLOCK = Function(
    "clock__now",
    parameters={
        "type": "object",
        "properties": {"timezone": {"type": "string", "examples": ["UTC", "Asia/Tokyo", "Europe/Berlin"]}},
        "required": ["timezone"],
    },
)


def asked(text: str, **more: object) -> Call:
    return Call(ECHO, (Message("user", (Text(text),)),), **more)  # type: ignore[arg-type]


async def events_of(inferencer: ScriptedInferencer, call: Call, seen: list[Event] | None = None) -> Sequence[Event]:
    seen = [] if seen is None else seen
    async with inferencer.answer(call) as events:
        async for event in events:
            seen.append(event)
    return seen


async def answer_of(inferencer: ScriptedInferencer, call: Call) -> Answer:
    return Answer(await events_of(inferencer, call))


async def test_it_says_what_it_was_asked_and_that_no_model_said_it() -> None:
    answer = await answer_of(ScriptedInferencer(), asked("Good  morning\n"))
    assert answer.text == "[scripted, no model] You said: Good  morning\n"
    assert answer.ending == Stopped("end")
    assert answer.usage.total.total_tokens > 0


async def test_it_keeps_to_a_schema_with_words_of_the_question() -> None:
    schema = {"type": "object", "properties": {"mood": {"enum": ["sad", "glad"]}}, "required": ["mood"]}
    params = Params(response_format=ResponseFormat("json_schema", schema=schema))
    answer = await answer_of(ScriptedInferencer(), asked("I am GLAD today", params=params))
    assert json.loads(answer.text) == {"mood": "glad"}


@pytest.mark.parametrize("choice", [ToolChoice("required"), ToolChoice("named", "clock__now")])
async def test_it_calls_a_tool_where_it_must(choice: ToolChoice) -> None:
    answer = await answer_of(ScriptedInferencer(), asked("Time in Tokyo?", tools=(CLOCK,), choice=choice))
    (call,) = answer.calls
    assert (call.name, json.loads(call.arguments)) == ("clock__now", {"timezone": "Asia/Tokyo"})
    assert answer.ending == Stopped("tool_calls")


async def test_it_calls_as_the_worked_call_for_that_question_shows() -> None:
    shown = Function("greet", parameters=CLOCK.parameters, examples=(Example({"timezone": "Mars"}, "Time on Mars?"),))
    answer = await answer_of(
        ScriptedInferencer(), asked("Time on Mars?", tools=(shown,), choice=ToolChoice("required"))
    )
    assert json.loads(answer.calls[0].arguments) == {"timezone": "Mars"}


async def test_it_refuses_to_call_a_tool_that_is_not_there() -> None:
    with pytest.raises(BadRequest, match="no tool 'other'"):
        await events_of(ScriptedInferencer(), asked("?", tools=(CLOCK,), choice=ToolChoice("named", "other")))


async def test_it_tells_the_result_of_a_tool() -> None:
    items = (ToolCall("c1", "clock__now", "{}"), ToolResult("c1", Returned.of_text("It is 12:34.")))
    answer = await answer_of(ScriptedInferencer(), Call(ECHO, items, tools=(CLOCK,)))
    assert answer.text == "[scripted, no model] It is 12:34."


async def test_it_plays_its_script_first_and_remembers_the_calls() -> None:
    inferencer = ScriptedInferencer(script=[calling(CLOCK, "Berlin"), lambda call: saying(f"{len(call.items)} item")])
    first, second = asked("one"), asked("two")
    assert (await answer_of(inferencer, first)).calls[0].arguments == '{"timezone": "Europe/Berlin"}'
    assert (await answer_of(inferencer, second)).text == "1 item"
    assert (await answer_of(inferencer, first)).text.endswith("You said: one")
    assert inferencer.calls == [first, second, first]


async def test_a_failure_in_the_script_is_raised_where_it_stands() -> None:
    inferencer = ScriptedInferencer(script=[[TextDelta("half"), Failed(UpstreamBroke("gone"))]])
    seen: list[Event] = []
    with pytest.raises(UpstreamBroke, match="gone"):
        await events_of(inferencer, asked("?"), seen)
    assert [type(event) for event in seen] == [RoundBegan, TextDelta]
