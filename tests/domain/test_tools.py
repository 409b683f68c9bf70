from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from woollama.domain.tools import (
    Cancelled,
    Denied,
    Function,
    Invalid,
    Offline,
    Paused,
    Returned,
    TimedOut,
    Tool,
    ToolOutcome,
    Unanswered,
    images_of,
    wire_name,
)

LEGAL = re.compile(r"[A-Za-z0-9_-]{1,64}")
ANY_NAME = st.text(min_size=1, max_size=80)
TRICKY_NAME = st.text(alphabet="ab_-. ", min_size=1, max_size=8)
PAIR = st.tuples(ANY_NAME, ANY_NAME) | st.tuples(TRICKY_NAME, TRICKY_NAME)


@pytest.mark.parametrize(
    ("server", "tool", "name"),
    [
        ("git", "status", "git__status"),
        ("my-server", "read_file", "my-server__read_file"),
        ("", "status", "status"),
    ],
)
def test_a_plain_pair_of_names_is_joined_as_it_is(server: str, tool: str, name: str) -> None:
    assert wire_name(server, tool) == name


@given(pair=PAIR, limit=st.integers(min_value=16, max_value=64))
def test_a_wire_name_is_legal_everywhere_and_short_enough(pair: tuple[str, str], limit: int) -> None:
    name = wire_name(*pair, limit=limit)
    assert LEGAL.fullmatch(name)
    assert len(name) <= limit


@given(one=PAIR, other=PAIR)
@example(("a__b", "c"), ("a", "b__c"))
@example(("a_", "b"), ("a", "_b"))
@example(("a_", "_b"), ("a__", "b"))
@example(("a.b", "c"), ("a b", "c"))
@example(("s", "x" * 80), ("s", "x" * 81))
def test_two_tools_never_share_a_wire_name(one: tuple[str, str], other: tuple[str, str]) -> None:
    assume(one != other)
    assert wire_name(*one) != wire_name(*other)


@given(server=TRICKY_NAME, tool=TRICKY_NAME)
@example("a.b", "c")
def test_a_tool_cannot_be_named_to_stand_in_for_another(server: str, tool: str) -> None:
    taken = wire_name(server, tool)
    posing_server, _, posing_tool = taken.partition("__")
    assume((posing_server, posing_tool) != (server, tool))
    assert wire_name(posing_server, posing_tool) != taken


@given(pair=PAIR)
def test_a_wire_name_is_always_the_same(pair: tuple[str, str]) -> None:
    assert wire_name(*pair) == wire_name(*pair)


OUTCOMES: list[tuple[ToolOutcome, str]] = [
    (Returned.of_text("12:00"), "12:00"),
    (Returned.of_text("no such zone", is_error=True), "Error: no such zone"),
    (Returned(({"type": "text", "text": "a"}, {"type": "text", "text": ""}, {"type": "text", "text": "b"})), "a\nb"),
    (Returned((), structured={"celsius": 21, "wo": "Köln"}), '{"celsius": 21, "wo": "Köln"}'),
    (Returned(()), "(the tool returned nothing)"),
    (Returned((), is_error=True), "Error: (the tool failed and said nothing)"),
    (Returned(({"type": "image", "mimeType": "image/png", "data": "iVBORw0K"},)), "[image image/png]"),
    (Returned(({"type": "audio"},)), "[audio]"),
    (Returned(({"type": "resource_link", "uri": "file:///a.txt", "name": "a"},)), "[link file:///a.txt a]"),
    (
        Returned(({"type": "resource", "resource": {"uri": "mem://a", "text": "inside"}},)),
        "[resource mem://a]\ninside",
    ),
    (
        Returned(({"type": "resource", "resource": {"uri": "mem://b", "blob": "AA=="}},)),
        "[resource mem://b binary]",
    ),
    (Returned(({"type": "hologram", "depth": 3},)), '{"type": "hologram", "depth": 3}'),
    (Denied(), "The call was denied by the user."),
    (Denied("the owner", "Not on Fridays."), "The call was denied by the owner. Not on Fridays."),
    (
        Unanswered("nobody answered within 60 s"),
        "The call was not made: it needs a person's yes, and nobody answered within 60 s.",
    ),
    (Offline("its program is missing"), "The tool is offline, because its program is missing. It was not called."),
    (Offline("is it running?"), "The tool is offline, because is it running? It was not called."),
    (TimedOut(2.5), "The tool gave no result within 2.5 s and the call was cancelled."),
    (Invalid(("`zone` is missing", "`x` is unknown")), "The call was not made: `zone` is missing; `x` is unknown"),
    (Paused("ask_1"), "The call waits for a person's yes."),
    (Cancelled(), "The call was cancelled."),
]


@pytest.mark.parametrize(("outcome", "text"), OUTCOMES, ids=[str(number) for number in range(len(OUTCOMES))])
def test_every_outcome_tells_the_model_what_happened(outcome: ToolOutcome, text: str) -> None:
    assert outcome.for_model() == text


def test_no_outcome_is_without_a_text() -> None:
    assert {type(outcome) for outcome, _ in OUTCOMES} == set(ToolOutcome.__args__)


def test_images_of_a_result_are_given_as_data_urls_beside_their_placeholders() -> None:
    picture = {"type": "image", "mimeType": "image/jpeg", "data": "/9j/4AAQ"}
    outcome = Returned(({"type": "text", "text": "The chart:"}, picture, {"type": "image", "data": "iVBORw0K"}))
    assert list(images_of(outcome)) == ["data:image/jpeg;base64,/9j/4AAQ", "data:image/png;base64,iVBORw0K"]
    assert outcome.for_model() == "The chart:\n[image image/jpeg]\n[image]"
    assert list(images_of(Cancelled())) == []


def test_a_tool_is_read_through_what_its_server_said() -> None:
    tool = Tool("clock", "now", {"name": "now", "description": "The time.", "annotations": {"readOnlyHint": True}})
    assert tool.qualified == "clock.now"
    assert tool.description == "The time."
    assert tool.input_schema == {"type": "object", "properties": {}}
    assert tool.read_only
    assert tool.idempotent
    assert not Tool("clock", "set", {}).read_only
    assert Tool("clock", "set", {"annotations": {"idempotentHint": True}}).idempotent


def test_a_function_with_a_tool_is_run_by_us_and_any_other_by_the_client() -> None:
    assert Function("clock__now", tool=Tool("clock", "now", {})).runs == "server"
    assert Function("edit_file").runs == "client"


def test_the_servers_examples_stand_beside_what_models_are_shown() -> None:
    raw = {"properties": {"$zone": {"type": "string", "examples": ["UTC"]}, "n": {"type": "integer"}}}
    tool = Tool("clock", "now", {"inputSchema": raw})
    shown = {"type": "object", "properties": {"zone": {"type": "string"}, "n": {"type": "integer"}}}
    function = Function("clock__now", parameters=shown, tool=tool, renamed={"zone": "$zone"})
    assert function.exemplified["properties"]["zone"] == {"type": "string", "examples": ["UTC"]}
    assert function.exemplified["properties"]["n"] == {"type": "integer"}
    assert Function("own", parameters=shown).exemplified == shown
    assert Function("none").exemplified == {}
