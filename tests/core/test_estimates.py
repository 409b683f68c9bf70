"""Sizes of prompts that nobody counts: never nothing, growing with everything that is sent."""

from __future__ import annotations

import pytest

from woollama.core.estimates import estimated_tokens
from woollama.domain.messages import File, Image, Item, Message, Opaque, Reasoning, Sealed, Text, ToolCall, ToolResult
from woollama.domain.tools import Function, Returned
from woollama.domain.turns import Call, Target

TARGET = Target("maker", "m")


def of(*items: Item, system: str = "", tools: tuple[Function, ...] = ()) -> int:
    return estimated_tokens(Call(TARGET, items, system=system, tools=tools))


def said(text: str) -> Message:
    return Message("user", (Text(text),))


def test_nothing_is_one_token() -> None:
    assert of() == 1


@pytest.mark.parametrize(
    ("text", "really"),
    [
        ("The quick brown fox jumps over the lazy dog. " * 50, 500),
        ("天気はどうですか" * 50, 350),
        ("Größe überall " * 50, 250),
    ],
)
def test_it_is_rather_too_much_than_too_little(text: str, really: int) -> None:
    assert really <= of(said(text)) <= 2 * really


@pytest.mark.parametrize(
    "more",
    [
        Message("user", (Image("data:image/png;base64,aGk="),)),
        Message("user", (File("a.pdf", data="data:application/pdf;base64,aGk="),)),
        Reasoning("I think"),
        Reasoning(sealed=Sealed("x" * 100, "maker"), redacted=True),
        ToolCall("c", "now", '{"timezone": "Asia/Tokyo"}'),
        ToolResult("c", Returned.of_text("It is noon.")),
        Opaque("anthropic", {"role": "user", "content": [{"type": "search_result"}]}),
    ],
)
def test_every_kind_of_item_counts(more: Item) -> None:
    assert of(said("hi"), more) > of(said("hi")) + 4


def test_the_system_text_and_the_tools_count() -> None:
    tool = Function("now", "The time", {"type": "object", "properties": {"timezone": {"type": "string"}}})
    assert of(said("hi"), system="Be brief.") > of(said("hi"))
    assert of(said("hi"), tools=(tool,)) > of(said("hi")) + 20
