"""The chat loop, told as transcripts."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.core.rounds import Box, Round, Rounds, Table, calls, noon, says
from woollama.domain.errors import (
    Backpressure,
    BadRequest,
    ShuttingDown,
    UnknownModel,
    UpstreamBroke,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from woollama.domain.events import (
    Event,
    Failed,
    Rewrote,
    RoundBegan,
    SealedSeen,
    Stopped,
    ThinkingDelta,
    ToolProgressed,
    ToolReturned,
)
from woollama.domain.messages import Json, Message, Reasoning, Sealed, Text, ToolCall, ToolResult
from woollama.domain.ports import ToolContext
from woollama.domain.tools import Denied, Example, Function, Invalid, Offline, Returned, TimedOut, Tool, ToolOutcome
from woollama.domain.turns import INTERNAL, NO_TOOLS, Params, ToolChoice, ToolGrant, Turn

ASKED = Message("user", (Text("what time is it?"),))
DOOR = Function("open_door", "opens the door")


def turn(**more: Any) -> Turn:
    return replace(Turn("turn_1", INTERNAL, "chat", "r", (ASKED,)), **more)


def failure(events: list[Event]) -> BaseException:
    ending = events[-1]
    assert isinstance(ending, Failed)
    return ending.error


async def test_a_plain_answer_is_passed_through() -> None:
    answer = await Table(Rounds(says("hello"))).answer(turn())
    assert (answer.text, answer.ending) == ("hello", Stopped("end", "stop"))


async def test_a_tool_is_called_and_its_result_given_back() -> None:
    model = Rounds(calls(("clock__now", "{}")), says("it is noon"))
    answer = await Table(model).answer(turn())
    assert answer.text == "it is noon"
    assert answer.ending == Stopped("end", "stop")
    first, second = model.calls
    assert [function.name for function in first.tools] == ["clock__now"]
    assert second.items == (
        ASKED,
        ToolCall("call_clock__now_0", "clock__now", "{}", "server", server="clock", tool="now"),
        ToolResult("call_clock__now_0", Returned.of_text("noon")),
    )


async def test_usage_counts_every_round_and_rounds_are_numbered() -> None:
    answer = await Table(Rounds(calls(("clock__now", "{}")), calls(("clock__now", '{"a": 1}')), says("x"))).answer(
        turn()
    )
    assert (answer.usage.total.input_tokens, answer.usage.total.output_tokens) == (30, 15)
    assert answer.usage.last_round.input_tokens == 10
    assert [began.round for began in answer.rounds] == [0, 1, 2]


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        (("clock__now", "{not json"), "not valid JSON"),
        (("clock__now", "[]"), "an array"),
        (("clock__now", '{"a":' + "[" * 100_000), "not valid JSON: nested too deeply"),
        (("clock__noon", "{}"), "there is no tool 'clock__noon'; there is: clock__now"),
        (("clock__now", '{"zone": 3}'), "zone: 3 is not of type 'string'"),
    ],
)
async def test_a_wrong_call_never_reaches_the_tool_and_the_model_is_told(wish: tuple[str, str], told: str) -> None:
    reached = False

    async def now(arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        nonlocal reached
        reached = True
        return Returned.of_text("noon")

    box = Box(clock__now=now)
    box.raw["clock.now"] = {"inputSchema": {"type": "object", "properties": {"zone": {"type": "string"}}}}
    events = await Table(Rounds(calls(wish), says("sorry")), box=box).play(turn())
    (returned,) = [event for event in events if isinstance(event, ToolReturned)]
    assert isinstance(returned.outcome, Invalid)
    assert told in returned.outcome.for_model()
    assert not reached
    assert isinstance(events[-1], Stopped)


async def test_only_what_a_recipe_allows_is_offered_and_only_that_can_be_called() -> None:
    box = Box(clock__now=noon, door__open=noon)
    model = Rounds(calls(("door__open", "{}")), says("no"))
    answer = await Table(model, box=box, tools=("clock.*",)).answer(turn())
    assert [function.name for function in model.calls[0].tools] == ["clock__now"]
    (result,) = [item for item in answer.items if isinstance(item, ToolResult)]
    assert "there is no tool 'door__open'" in result.outcome.for_model()


def kept_away(name: str) -> tuple[Tool, ToolOutcome] | None:
    """`git.push` is in quarantine, and nothing is known of what `mail` has."""
    if name in ("git.push", "git__push"):
        return Tool("git", "push", {}), Denied("its pin", "`woollama trust git` shows why.")
    if name.startswith(("mail.", "mail__")):
        return Tool("mail", name[4:].lstrip("._"), {}), Offline("server 'mail' is down: it has left")
    return None


@pytest.mark.parametrize(
    ("called", "allowed", "budget", "told"),
    [
        ("git__push", ("clock.*", "git.*"), 0, "`woollama trust git` shows why."),
        ("git__push", ("clock.*", "git.*"), 1, "`woollama trust git` shows why."),
        ("mail__send", ("clock.*", "mail.send"), 0, "server 'mail' is down: it has left"),
        ("git__push", ("clock.*",), 0, "there is no tool 'git__push'"),
        ("mail__send", ("clock.*", "mail.read"), 0, "there is no tool 'mail__send'"),
    ],
)
async def test_of_a_tool_that_is_kept_away_the_model_is_told_why_where_it_might_use_it(
    called: str, allowed: tuple[str, ...], budget: int, told: str
) -> None:
    through = ("woollama__call_tool", json.dumps({"name": called})) if budget else (called, "{}")
    model = Rounds(calls(through), says("so be it"))
    answer = await Table(model, absent=kept_away, tools=allowed, tools_budget_tokens=budget).answer(turn())
    (result,) = [item for item in answer.items if isinstance(item, ToolResult)]
    assert told in result.outcome.for_model()


async def test_a_recipe_that_must_call_what_is_kept_away_says_why() -> None:
    for tools, choice, told in (
        (("git.push",), "required", "none of its tools is there now: The call was denied by its pin. `woollama trust"),
        (("mail.*",), "required", "The tool is offline, because server 'mail' is down"),
        (("clock.*", "git.*"), "git.push", "`woollama trust git`"),
    ):
        table = Table(Rounds(says("x")), absent=kept_away, tools=tools, tool_choice=choice)
        error = failure(await table.play(turn()))
        assert isinstance(error, Backpressure)
        assert told in error.message


async def test_a_client_tool_ends_the_turn_and_what_the_client_did_not_see_is_kept() -> None:
    model = Rounds(calls(("clock__now", "{}")), calls(("open_door", "{}")), says("done"))
    table = Table(model)
    answer = await table.answer(turn(client_tools=(DOOR,)))
    assert answer.ending is not None
    assert isinstance(answer.ending, Stopped)
    assert answer.ending.reason == "tool_calls"
    (call,) = [item for item in answer.items if isinstance(item, ToolCall) and item.runs == "client"]
    history = (ASKED, call, ToolResult(call.id, Returned.of_text("opened")))
    assert (await table.answer(turn(items=history, client_tools=(DOOR,)))).text == "done"
    sent = model.calls[-1].items
    assert [type(item) for item in sent] == [Message, ToolCall, ToolResult, ToolCall, ToolResult]


async def test_a_clients_call_that_was_cut_off_is_not_told_as_whole() -> None:
    cut = [*calls(("open_door", '{"na'))[:-1], Stopped("length", "max_tokens")]
    answer = await Table(Rounds(cut)).answer(turn(client_tools=(DOOR,)))
    assert answer.ending == Stopped("length", "max_tokens")


async def test_what_a_model_thought_before_a_clients_call_is_given_back_to_it() -> None:
    sealed = Sealed("signature", "fake")
    thinks = [ThinkingDelta("a door?"), SealedSeen(sealed), *calls(("open_door", "{}"))]
    model = Rounds(thinks, says("done"))
    table = Table(model)
    answer = await table.answer(turn(client_tools=(DOOR,)))
    (call,) = [item for item in answer.items if isinstance(item, ToolCall)]
    history = (ASKED, call, ToolResult(call.id, Returned.of_text("opened")))
    await table.answer(turn(items=history, client_tools=(DOOR,)))
    assert Reasoning("a door?", sealed=sealed) in model.calls[-1].items


async def test_our_calls_beside_a_clients_run_before_the_turn_ends() -> None:
    model = Rounds(calls(("clock__now", "{}"), ("open_door", "{}")))
    events = await Table(model).play(turn(client_tools=(DOOR,)))
    assert [event.outcome for event in events if isinstance(event, ToolReturned)] == [Returned.of_text("noon")]
    assert events[-1] == Stopped("tool_calls", "tool_calls")


async def test_a_client_tool_named_like_a_tool_of_the_recipe_is_refused() -> None:
    events = await Table(Rounds(says("x"))).play(turn(client_tools=(Function("clock__now"),)))
    assert isinstance(failure(events), BadRequest)


async def test_the_rounds_are_bounded_and_the_last_one_keeps_its_tools_but_may_not_call() -> None:
    model = Rounds(calls(("clock__now", '{"a": 1}')), calls(("clock__now", '{"a": 2}')), says("enough"))
    answer = await Table(model, max_turns=2).answer(turn())
    assert answer.ending == Stopped("end", "stop")
    assert model.calls[-1].choice == NO_TOOLS
    assert model.calls[-1].tools == model.calls[0].tools
    stubborn = Table(Rounds(calls(("clock__now", '{"a": 1}'))), max_turns=2)
    ending = (await stubborn.answer(turn())).ending
    assert isinstance(ending, Stopped)
    assert ending.reason == "max_rounds"


async def test_the_same_call_with_the_same_result_three_times_in_a_row_is_stopped() -> None:
    model = Rounds(calls(("clock__now", "{}")))
    await Table(model).play(turn())
    assert [call.choice.mode for call in model.calls] == ["auto", "auto", "auto", "none"]


async def test_a_request_can_limit_the_calls_that_are_made_for_it() -> None:
    model = Rounds(calls(("clock__now", '{"a": 1}'), ("clock__now", '{"a": 2}')), says("enough"))
    answer = await Table(model).answer(turn(max_tool_calls=1))
    outcomes = [item.outcome.for_model() for item in answer.items if isinstance(item, ToolResult)]
    assert outcomes == ["noon", "The call was denied by the request. Its limit of calls is reached."]
    assert model.calls[-1].choice == NO_TOOLS


async def test_a_grant_of_a_server_that_is_not_there_is_refused_by_name() -> None:
    events = await Table(Rounds(says("x"))).play(turn(tool_grants=(ToolGrant("gone"),)))
    error = failure(events)
    assert isinstance(error, BadRequest)
    assert error.param == "tools"
    assert "'gone'" in error.message


@pytest.mark.parametrize("choice", ["required", "clock.now"])
async def test_a_recipe_that_must_call_a_tool_is_not_answered_while_there_is_none(choice: str) -> None:
    model = Rounds(says("I would have to guess"))
    error = failure(await Table(model, box=Box(), tool_choice=choice).play(turn()))
    assert isinstance(error, Backpressure)
    assert "must call" in error.message
    assert model.calls == []


async def test_a_forced_call_is_forced_once() -> None:
    model = Rounds(calls(("clock__now", "{}")), says("noon"))
    await Table(model, tool_choice="required").play(turn())
    assert [call.choice.mode for call in model.calls] == ["required", "auto"]
    named = Rounds(calls(("clock__now", "{}")), says("noon"))
    await Table(named, tool_choice="clock.now").play(turn())
    assert named.calls[0].choice == ToolChoice("named", "clock__now")


async def test_a_call_that_a_recipe_forces_is_not_forced_again_when_a_clients_result_comes_back() -> None:
    model = Rounds(calls(("open_door", "{}")), says("it is open"))
    table = Table(model, tool_choice="required")
    answer = await table.answer(turn(client_tools=(DOOR,)))
    (call,) = [item for item in answer.items if isinstance(item, ToolCall)]
    history = (ASKED, call, ToolResult(call.id, Returned.of_text("opened")))
    await table.answer(turn(items=history, client_tools=(DOOR,)))
    await table.answer(turn(items=history, client_tools=(DOOR,), choice=ToolChoice("required")))
    assert [call.choice.mode for call in model.calls] == ["required", "auto", "required"]


async def test_the_clients_settings_win_but_for_locked_ones() -> None:
    model = Rounds(says("x"))
    recipe = {"params": Params(temperature=0.1, top_p=0.5), "locked": frozenset({"temperature"})}
    wished = Params(temperature=1.0, top_p=0.9, stop=("END",), seed=7)
    answer = await Table(model, **recipe).answer(turn(params=wished))
    assert model.calls[0].params == Params(temperature=0.1, top_p=0.9, stop=("END",), seed=7)
    assert answer.rewrites == ["temperature is locked by the recipe 'r'"]
    same = await Table(model, **recipe).answer(turn(params=Params(temperature=0.1)))
    assert same.rewrites == []


async def test_the_system_text_is_rendered_with_the_turns_variables() -> None:
    model = Rounds(says("x"))
    await Table(model, system="Answer in {{language}}.").play(turn(variables={"language": "{{language}}"}))
    assert model.calls[0].system == "Answer in {{language}}."


async def test_a_recipes_examples_reach_the_model() -> None:
    model = Rounds(says("x"))
    shown = Example({"zone": "Europe/Paris"}, "in Paris?")
    await Table(model, examples={"clock.now": [shown]}).play(turn())
    assert model.calls[0].tools[0].examples == (shown,)


async def test_calls_of_one_server_run_in_order_and_those_of_others_beside_them() -> None:
    log: list[str] = []
    both = asyncio.Barrier(2)

    async def first(arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        log.append("a.one begins")
        await both.wait()  # only passes if the other server's call runs at the same time
        log.append("a.one ends")
        return Returned.of_text("1")

    async def second(arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        log.append("a.two begins")
        return Returned.of_text("2")

    async def other(arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        await both.wait()
        return Returned.of_text("3")

    model = Rounds(calls(("a__one", "{}"), ("a__two", "{}"), ("b__three", "{}")), says("done"))
    answer = await Table(model, box=Box(a__one=first, a__two=second, b__three=other)).answer(turn())
    assert log == ["a.one begins", "a.one ends", "a.two begins"]
    results = [item.outcome.for_model() for item in model.calls[1].items if isinstance(item, ToolResult)]
    assert results == ["1", "2", "3"]
    assert answer.text == "done"


async def test_read_only_calls_of_one_server_run_at_once() -> None:
    both = asyncio.Barrier(2)

    async def reads(arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        await both.wait()
        return Returned.of_text("read")

    box = Box(a__read=reads)
    box.raw["a.read"] = {"inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}
    model = Rounds(calls(("a__read", "{}"), ("a__read", '{"b": 1}')), says("done"))
    assert (await Table(model, box=box).answer(turn())).text == "done"


async def test_a_tool_that_takes_too_long_is_cancelled_and_the_model_told() -> None:
    cancelled = asyncio.Event()

    async def stuck(arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    model = Rounds(calls(("a__stuck", "{}")), says("it hangs"))
    events = await Table(model, box=Box(a__stuck=stuck), tool_timeout_s=0.01).play(turn())
    assert [event.outcome for event in events if isinstance(event, ToolReturned)] == [TimedOut(0.01)]
    assert cancelled.is_set()


async def test_progress_of_a_tool_is_told() -> None:
    async def counting(arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        assert context.progress is not None
        await context.progress(1, 2, "half")
        return Returned.of_text("2")

    events = await Table(Rounds(calls(("a__count", "{}")), says("2")), box=Box(a__count=counting)).play(turn())
    assert ToolProgressed("call_a__count_0", 1, 2, "half") in events


async def test_a_dead_target_falls_back_before_the_first_byte_and_says_so() -> None:
    dead, alive = Rounds([UpstreamUnreachable("down")], name="dead"), Rounds(says("hello"), name="alive")
    events = await Table(dead, alive, fallbacks=("alive/m",)).play(turn())
    assert Rewrote("answered by alive/m instead of dead/m") in events
    assert [event.attempts for event in events if isinstance(event, RoundBegan)] == [2]
    assert events[-1] == Stopped("end", "stop")


async def test_later_rounds_prefer_the_target_that_answered() -> None:
    dead = Rounds([UpstreamUnreachable("down")], name="dead")
    alive = Rounds(calls(("clock__now", "{}")), says("noon"), name="alive")
    await Table(dead, alive, fallbacks=("alive/m",)).play(turn())
    assert (len(dead.calls), len(alive.calls)) == (1, 2)


@pytest.mark.parametrize(
    "broken",
    [says("half")[:1], [*says("half")[:1], UpstreamBroke("in mid-word")], []],
    ids=["ends without a word", "breaks off", "says nothing"],
)
async def test_a_broken_answer_fails_the_turn_and_is_never_an_end(broken: Round) -> None:
    events = await Table(Rounds(broken)).play(turn())
    assert isinstance(failure(events), UpstreamBroke)


async def test_an_unknown_model_fails_the_turn() -> None:
    assert isinstance(failure(await Table(Rounds(says("x"))).play(turn(model="nobody"))), UnknownModel)


async def test_a_turn_that_passes_its_deadline_fails() -> None:
    async def stuck(arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        await asyncio.Event().wait()
        raise AssertionError

    model = Rounds(calls(("a__stuck", "{}")))
    soon = asyncio.get_running_loop().time() + 0.02
    events = await Table(model, box=Box(a__stuck=stuck)).play(turn(deadline=soon))
    assert isinstance(failure(events), UpstreamTimeout)
    assert model.open == 0
    assert time.monotonic() >= soon


async def test_whenever_the_client_leaves_nothing_stays_open() -> None:
    """A departure at every event of a turn with two rounds and a tool call."""

    def fresh() -> tuple[Rounds, Table]:
        model = Rounds(calls(("clock__now", "{}")), says("it is noon"))
        return model, Table(model)

    model, table = fresh()
    whole = await table.play(turn())
    assert len(whole) > 8
    for index in range(len(whole)):
        model, table = fresh()
        before = asyncio.all_tasks()
        async with table.runs.start(turn()) as run:
            watch = run.watch()
            for _ in range(index):
                await anext(watch)
        assert (model.open, table.box.running, len(table.runs)) == (0, 0, 0), f"after event {index}: {whole[index]}"
        assert asyncio.all_tasks() == before
        assert run.ending is not None


async def test_wherever_the_upstream_dies_the_turn_fails_and_nothing_stays_open() -> None:
    whole = [calls(("clock__now", "{}")), says("it is noon")]
    for round_index, written in enumerate(whole):
        for index in range(len(written)):
            rounds: list[Round] = list(whole)
            rounds[round_index] = [*written[:index], UpstreamBroke("the upstream died")]
            model = Rounds(*rounds)
            table = Table(model)
            events = await table.play(turn())
            assert isinstance(failure(events), UpstreamBroke)
            assert [type(event) for event in events].count(Failed) == 1
            assert not any(isinstance(event, Stopped) for event in events)
            assert (model.open, len(table.runs)) == (0, 0)


async def test_whenever_the_daemon_ends_the_turn_fails_and_nothing_stays_open() -> None:
    model = Rounds(calls(("clock__now", "{}")), says("it is noon"))
    whole = await Table(model).play(turn())
    for index in range(len(whole)):
        model = Rounds(calls(("clock__now", "{}")), says("it is noon"))
        table = Table(model)
        async with table.runs.start(turn()) as run:
            watch = run.watch()
            for _ in range(index):
                await anext(watch)
            await table.runs.close()
            rest = [event async for event in watch]
        over = isinstance(rest[-1], Stopped) and rest[-1] == whole[-1]  # it had been quicker than the end
        assert over or isinstance(failure(rest), ShuttingDown)
        assert (model.open, table.box.running, len(table.runs)) == (0, 0, 0)


async def test_a_tool_that_goes_away_is_told_to_the_model_and_the_turn_goes_on() -> None:
    async def gone(arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        return Offline("its process ended")

    model = Rounds(calls(("clock__now", "{}")), says("the clock is gone"))
    answer = await Table(model, box=Box(clock__now=gone)).answer(turn())
    assert answer.text == "the clock is gone"
    (told,) = [item.outcome.for_model() for item in model.calls[1].items if isinstance(item, ToolResult)]
    assert told == "The tool is offline, because its process ended. It was not called."
