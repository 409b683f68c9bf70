"""Tool calling by constrained output, over an inferencer that plays what a model would say."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from woollama.domain.answers import Answer
from woollama.domain.errors import BadRequest, UpstreamBroke
from woollama.domain.events import (
    ArgumentsDelta,
    CallClosed,
    CallOpened,
    Event,
    ItemOpened,
    RefusalDelta,
    RoundBegan,
    Stopped,
    TextDelta,
    ThinkingDelta,
    Usage,
    UsageSeen,
)
from woollama.domain.messages import Item, Message, Role, Text, ToolCall, ToolResult
from woollama.domain.tools import Example, Function, Returned
from woollama.domain.turns import AUTO, NO_TOOLS, Call, Params, ResponseFormat, Target, ToolChoice
from woollama.inferencers.emulated_tools.inferencer import EmulatedTools
from woollama.inferencers.scripted import Round, ScriptedInferencer, saying

SMALL = Target("box", "small")
REQUIRED = ToolChoice("required")
WEATHER = Function(
    "weather__of",
    "Tell the weather of a place.",
    {
        "type": "object",
        "properties": {
            "place": {"type": "string", "description": "City", "examples": ["Oslo", "Rome"]},
            "unit": {"enum": ["C", "F"]},
        },
        "required": ["place"],
    },
)
ADD = Function("add", "Add numbers.", {"type": "object", "properties": {"of": {"type": "array"}}, "required": ["of"]})


def said(role: Role, text: str) -> Message:
    return Message(role, (Text(text),))


def question(text: str = "How is the weather in Oslo?", *items: Item, **more: Any) -> Call:
    return Call(SMALL, (said("user", text), *items), **{"tools": (WEATHER, ADD), **more})


def over(*script: Round) -> tuple[EmulatedTools, ScriptedInferencer]:
    inner = ScriptedInferencer("box", script)
    return EmulatedTools(inner), inner


async def play(emulated: EmulatedTools, call: Call) -> list[Event]:
    async with emulated.answer(call) as events:
        return [event async for event in events]


def calls_of(events: Sequence[Event]) -> list[tuple[str, Any]]:
    return [(call.name, json.loads(call.arguments)) for call in Answer(events).calls]


def deciding(*calls: tuple[str, Any]) -> Round:
    return saying(json.dumps({"calls": [{"name": name, "arguments": arguments} for name, arguments in calls]}))


def texts(call: Call) -> list[tuple[str, str]]:
    return [(item.role, item.text) for item in call.items if isinstance(item, Message)]


# --- one tool that must be called ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [question(tools=(WEATHER,), choice=REQUIRED), question(choice=ToolChoice("named", "weather__of"))],
    ids=["required", "named"],
)
async def test_the_arguments_of_the_one_required_tool_are_written_by_its_own_schema(call: Call) -> None:
    emulated, inner = over(saying('{"place": "Oslo"}'))
    events = await play(emulated, call)
    assert calls_of(events) == [("weather__of", {"place": "Oslo"})]
    assert events[-1] == Stopped("tool_calls")
    (asked,) = inner.calls
    assert asked.tools == ()
    assert asked.params.response_format == ResponseFormat("json_schema", "weather__of", WEATHER.parameters)
    assert asked.params.temperature == 0


async def test_arguments_stream_as_they_are_written() -> None:
    emulated, _ = over([ItemOpened("message"), TextDelta('{"place":'), TextDelta(' "Oslo"}'), Stopped("end")])
    events = await play(emulated, question(tools=(WEATHER,), choice=REQUIRED))
    began, opened, *rest = events
    assert isinstance(began, RoundBegan)
    assert isinstance(opened, CallOpened)
    assert opened.id.startswith("call_")
    assert rest == [
        ArgumentsDelta(0, '{"place":'),
        ArgumentsDelta(0, ' "Oslo"}'),
        CallClosed(0, '{"place": "Oslo"}'),
        Stopped("tool_calls"),
    ]


async def test_a_worked_call_is_shown_as_an_earlier_exchange_after_what_the_client_told_the_model() -> None:
    shown = Function(
        WEATHER.name, WEATHER.description, WEATHER.parameters, examples=(Example({"place": "Bern"}, "A?"),)
    )
    call = Call(SMALL, (said("developer", "Be kind."), said("user", "B?")), "Be brief.", (shown,), REQUIRED)
    emulated, inner = over(saying("{}"))
    await play(emulated, call)
    assert texts(inner.calls[0]) == [
        ("developer", "Be kind."),
        ("user", "A?"),
        ("assistant", '{"place": "Bern"}'),
        ("user", "B?"),
    ]
    system = inner.calls[0].system
    assert system.startswith("Be brief.\n\nYou call tools.")
    assert '- place (string, required): City\n- unit (one of "C", "F", optional)' in system
    assert "Rome" not in system


async def test_without_a_worked_call_the_examples_of_the_schema_are_shown() -> None:
    emulated, inner = over(saying("{}"))
    await play(emulated, question(tools=(WEATHER,), choice=REQUIRED))
    assert '- place (string, required): City (e.g. "Oslo", "Rome")' in inner.calls[0].system


async def test_a_tool_with_a_nested_schema_is_shown_with_all_of_it() -> None:
    emulated, inner = over(saying("{}"))
    await play(emulated, question(tools=(ADD,), choice=REQUIRED))
    assert json.dumps(ADD.parameters) in inner.calls[0].system


async def test_arguments_that_were_cut_off_end_with_the_reason() -> None:
    emulated, _ = over([TextDelta('{"pla'), Stopped("length", detail="length")])
    events = await play(emulated, question(tools=(WEATHER,), choice=REQUIRED))
    assert events[-2:] == [CallClosed(0, '{"pla'), Stopped("length", detail="length")]


async def test_a_refusal_to_write_arguments_stays_a_refusal() -> None:
    emulated, _ = over([RefusalDelta("No."), Stopped("refusal")])
    events = await play(emulated, question(tools=(WEATHER,), choice=REQUIRED))
    assert events[1:] == [RefusalDelta("No."), Stopped("refusal")]


async def test_a_model_that_writes_nothing_has_broken_off() -> None:
    emulated, _ = over([Stopped("end")])
    with pytest.raises(UpstreamBroke, match="no arguments for weather__of"):
        await play(emulated, question(tools=(WEATHER,), choice=REQUIRED))


async def test_a_named_tool_that_is_not_there_is_the_clients_mistake() -> None:
    emulated, _ = over()
    with pytest.raises(BadRequest, match="no tool 'other'"):
        await play(emulated, question(choice=ToolChoice("named", "other")))


# --- a choice --------------------------------------------------------------------------------------------------------


async def test_several_tools_can_be_called_at_once() -> None:
    emulated, inner = over(deciding(("weather__of", {"place": "Oslo"}), ("add", {"of": [1, 2]})))
    events = await play(emulated, question(choice=REQUIRED))
    assert calls_of(events) == [("weather__of", {"place": "Oslo"}), ("add", {"of": [1, 2]})]
    assert [event.index for event in events if isinstance(event, CallOpened)] == [0, 1]
    assert events[-1] == Stopped("tool_calls")
    form = inner.calls[0].params.response_format
    assert form is not None
    assert form.schema is not None
    assert form.schema["properties"]["calls"]["minItems"] == 1


async def test_one_at_a_time_where_the_client_wants_no_parallel_calls() -> None:
    emulated, inner = over(deciding())
    await play(emulated, question(params=Params(parallel_tool_calls=False)))
    form = inner.calls[0].params.response_format
    assert form is not None
    assert form.schema is not None
    assert form.schema["properties"]["calls"]["maxItems"] == 1


async def test_a_model_that_wants_no_call_answers_in_words_and_both_count_as_one_round() -> None:
    emulated, inner = over(
        [*deciding(), UsageSeen(0, Usage(10, 2))],  # type: ignore[misc]
        [TextDelta("Hel"), TextDelta("lo."), UsageSeen(0, Usage(7, 3))],
    )
    events = await play(emulated, question("Hello!"))
    assert [event for event in events if not isinstance(event, UsageSeen)][1:] == [
        TextDelta("Hel"),
        TextDelta("lo."),
        Stopped("end"),
    ]
    assert sum(isinstance(event, RoundBegan) for event in events) == 1
    assert Answer(events).usage.total == Usage(17, 5)
    decision, answer = inner.calls
    assert decision.params.response_format is not None
    assert (answer.tools, answer.params.response_format, answer.system) == ((), None, "")
    assert texts(answer) == [("user", "Hello!")]


async def test_worked_calls_of_all_tools_are_shown_in_the_form_that_is_asked_for() -> None:
    shown = Function("add", "", ADD.parameters, examples=(Example({"of": [1, 1]}, "1 and 1?"),))
    emulated, inner = over(deciding(), saying("2"))
    await play(emulated, question("1 and 2?", tools=(WEATHER, shown)))
    assert texts(inner.calls[0])[:2] == [
        ("user", "1 and 1?"),
        ("assistant", '{"calls": [{"name": "add", "arguments": {"of": [1, 1]}}]}'),
    ]


async def test_an_inferencer_that_honours_schemas_is_enough() -> None:
    emulated, _ = over()
    assert calls_of(await play(emulated, question("Weather in Rome?", choice=REQUIRED))) == [
        ("weather__of", {"place": "Rome"})
    ]
    assert Answer(await play(emulated, question("Weather in Rome?"))).text.endswith("You said: Weather in Rome?")


@pytest.mark.parametrize(
    "nonsense", ["Sure, I will!", '{"calls": 3}', '{"calls": [{"name": "dance", "arguments": {}}]}']
)
async def test_a_server_that_ignores_the_schema_is_named_as_the_fault(nonsense: str) -> None:
    emulated, _ = over(saying(nonsense))
    with pytest.raises(UpstreamBroke, match="box/small did not keep to the JSON Schema"):
        await play(emulated, question())


async def test_a_decision_that_was_cut_off_is_no_decision() -> None:
    emulated, _ = over([TextDelta('{"calls": [{"na'), Stopped("length")])
    events = await play(emulated, question())
    assert events[1:] == [Stopped("length")]


# --- answers from results --------------------------------------------------------------------------------------------

CALLED = (
    ToolCall("c1", "weather__of", '{"place":"Oslo"}'),
    ToolResult("c1", Returned.of_text("Rain, 4 degrees.")),
)
FROM_RESULT = 'How is the weather in Oslo?\n\nResult of weather__of({"place":"Oslo"}):\nRain, 4 degrees.'


async def test_the_answer_is_asked_for_with_the_results_as_facts() -> None:
    emulated, inner = over(saying("It rains."))
    events = await play(emulated, question("How is the weather in Oslo?", *CALLED, system="Be kind.", choice=NO_TOOLS))
    assert Answer(events).text == "It rains."
    assert inner.calls[0].system == "Be kind.\n\nAnswer from the results of the tools."
    assert texts(inner.calls[0]) == [("user", FROM_RESULT)]
    assert not any(isinstance(item, ToolCall | ToolResult) for item in inner.calls[0].items)


async def test_a_call_that_was_answered_already_is_not_made_again() -> None:
    emulated, inner = over(deciding(("weather__of", {"place": "Oslo"})), saying("It rains."))
    events = await play(emulated, question("How is the weather in Oslo?", *CALLED))
    assert Answer(events).calls == ()
    assert Answer(events).text == "It rains."
    assert texts(inner.calls[1]) == [("user", FROM_RESULT)]


async def test_another_call_can_follow_a_result() -> None:
    emulated, inner = over(deciding(("weather__of", {"place": "Rome"})))
    events = await play(emulated, question("How is the weather in Oslo and Rome?", *CALLED))
    assert calls_of(events) == [("weather__of", {"place": "Rome"})]
    assert "Rain, 4 degrees." in texts(inner.calls[0])[-1][1]


async def test_the_same_call_may_be_made_for_the_next_question() -> None:
    emulated, _ = over(deciding(("weather__of", {"place": "Oslo"})))
    later = (*CALLED, said("assistant", "It rains."), said("user", "And now?"))
    assert calls_of(await play(emulated, question("How is it?", *later))) == [("weather__of", {"place": "Oslo"})]


async def test_a_history_with_calls_is_told_in_words_also_where_there_are_no_tools() -> None:
    emulated, inner = over(saying("You are welcome."))
    history = (said("assistant", "Let me see."), *CALLED, said("assistant", "It rains."), said("user", "Thanks."))
    await play(emulated, question("How is it?", *history, tools=()))
    assert texts(inner.calls[0]) == [
        ("user", "How is it?"),
        ("assistant", "Let me see."),
        ("user", 'Result of weather__of({"place":"Oslo"}):\nRain, 4 degrees.'),
        ("assistant", "It rains."),
        ("user", "Thanks."),
    ]


# --- settings --------------------------------------------------------------------------------------------------------


async def test_the_clients_settings_are_for_its_answer_and_do_not_cut_a_decision() -> None:
    params = Params(temperature=0.7, stop=("}",), max_tokens=50, response_format=ResponseFormat("json_object"))
    emulated, inner = over(deciding(), saying("{}"))
    await play(emulated, question(params=params))
    decision, answer = (call.params for call in inner.calls)
    assert (decision.temperature, decision.stop, decision.max_tokens) == (0.7, (), 50)
    assert answer == params


async def test_thoughts_are_shown_while_a_call_is_decided() -> None:
    emulated, _ = over([ItemOpened("reasoning"), ThinkingDelta("Hm."), *saying('{"place": "Oslo"}')])
    events = await play(emulated, question(tools=(WEATHER,), choice=REQUIRED))
    assert events[1:3] == [ItemOpened("reasoning"), ThinkingDelta("Hm.")]


async def test_it_is_named_like_what_it_wraps_and_lists_its_models() -> None:
    emulated, inner = over()
    assert emulated.name == "box"
    assert await emulated.list_models() == await inner.list_models()


class Watched:
    """Counts how many answers of the inner inferencer are open."""

    name = "box"

    def __init__(self, inner: ScriptedInferencer) -> None:
        self._inner = inner
        self.open = self.most = 0

    async def list_models(self) -> Sequence[str]:
        return ()

    @asynccontextmanager
    async def answer(self, call: Call) -> AsyncIterator[AsyncIterator[Event]]:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            async with self._inner.answer(call) as events:
                yield events
        finally:
            self.open -= 1


@pytest.mark.parametrize("leave_after", range(8))
async def test_whoever_leaves_early_leaves_no_answer_open_and_never_are_two(leave_after: int) -> None:
    watched = Watched(ScriptedInferencer(script=[deciding(), saying("one two three")]))
    async with EmulatedTools(watched).answer(question(choice=AUTO)) as events:
        for _ in range(leave_after):
            if await anext(events, None) is None:
                break
    assert (watched.open, watched.most) == (0, min(leave_after, 1))
