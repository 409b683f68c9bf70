"""The items of a call as Messages content."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dialects.recordings import Recording, recordings
from woollama.domain.answers import Answer
from woollama.domain.errors import BadRequest, UnsupportedField
from woollama.domain.messages import (
    Audio,
    Dialect,
    File,
    Image,
    Item,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Role,
    Sealed,
    Text,
    ToolCall,
    ToolResult,
)
from woollama.domain.tools import Denied, Returned
from woollama.domain.turns import Call, Target
from woollama.inferencers.anthropic.encode import encode
from woollama.surfaces.anthropic_messages import encode_answer


def call(*items: Item, dialect: Dialect = "chat", **fields: Any) -> Call:
    return Call(Target("claude", "claude-sonnet"), items or (said("user", "Hi"),), dialect=dialect, **fields)


def said(role: Role, *parts: str | Part) -> Message:
    return Message(role, tuple(Text(part) if isinstance(part, str) else part for part in parts))


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def messages_of(*items: Item, **fields: Any) -> list[Any]:
    return list(encode(call(*items, **fields)).body["messages"])


def content_of(*parts: Part, **fields: Any) -> Any:
    return messages_of(Message("user", parts), **fields)[0]["content"]


# --- who said what


def test_roles_take_turns() -> None:
    assert messages_of(said("user", "a"), said("user", "b"), said("assistant", "c"), said("assistant", "d")) == [
        {"role": "user", "content": [text("a"), text("b")]},
        {"role": "assistant", "content": [text("c"), text("d")]},
    ]


def test_the_recipes_prompt_comes_before_the_clients() -> None:
    request = encode(call(said("system", "Be brief."), said("user", "Hi"), system="You are concise."))
    assert request.body["system"] == [text("You are concise."), text("Be brief.")]
    assert len(request.body["messages"]) == 1


def test_a_later_system_message_is_the_users_unless_the_client_speaks_messages_itself() -> None:
    items = (said("user", "Hi"), said("assistant", "Hello"), said("developer", "In French."), said("user", "Go"))
    assert messages_of(*items)[2] == {"role": "user", "content": [text("In French."), text("Go")]}
    assert encode(call(*items)).rewrites == ("a system message after the first words was sent as the user's",)
    assert messages_of(*items, dialect="anthropic")[2] == {"role": "system", "content": [text("In French.")]}


def test_calls_and_results_stand_opposite_each_other_and_results_come_first() -> None:
    assert messages_of(
        said("user", "Weather?"),
        said("assistant", "I'll look."),
        ToolCall("toolu_1", "weather", '{"city": "Oslo"}'),
        ToolCall("toolu_2", "weather", ""),
        said("user", "Hurry."),
        ToolResult("toolu_1", Returned.of_text("snow")),
        ToolResult("toolu_2", Denied()),
    ) == [
        {"role": "user", "content": [text("Weather?")]},
        {
            "role": "assistant",
            "content": [
                text("I'll look."),
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
                {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "snow"},
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "content": "The call was denied by the user.",
                    "is_error": True,
                },
                text("Hurry."),
            ],
        },
    ]


def test_a_result_shows_its_images() -> None:
    picture = {"type": "image", "data": "iVBORw0K", "mimeType": "image/png"}
    (message,) = messages_of(ToolResult("toolu_1", Returned(({"type": "text", "text": "A chart:"}, picture))))
    assert message["content"][0]["content"] == [
        text("A chart:\n[image image/png]"),
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0K"}},
    ]


@pytest.mark.parametrize("arguments", ['{"city": ', "[1]", '"Oslo"'])
def test_arguments_that_are_no_object_are_shown_to_the_model_as_it_wrote_them(arguments: str) -> None:
    (message,) = messages_of(ToolCall("toolu_1", "weather", arguments))
    assert message["content"][0]["input"] == {"INVALID_JSON": arguments}


def test_empty_text_is_left_out_because_the_api_refuses_it() -> None:
    assert messages_of(said("user", "Hi"), said("assistant", ""), said("user", "", "there")) == [
        {"role": "user", "content": [text("Hi"), text("there")]}
    ]


def test_a_refusal_is_said_again_as_text() -> None:
    assert messages_of(said("user", "Hi"), said("assistant", Refusal("No.")))[1]["content"] == [text("No.")]


# --- thoughts


def thoughts(*reasoning: Reasoning, dialect: Dialect = "chat") -> tuple[list[Any], tuple[str, ...]]:
    request = encode(call(said("user", "Hi"), *reasoning, said("assistant", "Hello"), dialect=dialect))
    return [block for block in request.body["messages"][1]["content"] if block["type"] != "text"], request.rewrites


LEFT_OUT = ("thoughts that another model made were left out",)


def test_thoughts_go_back_to_their_maker() -> None:
    mine = Reasoning("hm", sealed=Sealed("EqQB", "claude"))
    redacted = Reasoning(sealed=Sealed("EmwK", "claude"), redacted=True)
    assert thoughts(mine, redacted) == (
        [
            {"type": "thinking", "thinking": "hm", "signature": "EqQB"},
            {"type": "redacted_thinking", "data": "EmwK"},
        ],
        (),
    )


def test_nobody_else_sees_them_and_that_is_told_once() -> None:
    theirs = Reasoning("hm", sealed=Sealed("gAAAA", "openai"))
    assert thoughts(theirs, theirs) == ([], LEFT_OUT)
    assert thoughts(Reasoning("never sealed")) == ([], LEFT_OUT)


def test_a_signature_from_elsewhere_is_shown_only_where_the_client_speaks_messages() -> None:
    unknown = Reasoning("hm", sealed=Sealed("EqQB", ""))
    assert thoughts(unknown, dialect="anthropic")[0] == [{"type": "thinking", "thinking": "hm", "signature": "EqQB"}]
    assert thoughts(unknown) == ([], LEFT_OUT)


# --- media


def test_images_and_documents_have_their_sources() -> None:
    assert content_of(
        Image("data:image/jpeg;base64,/9j/"),
        Image("https://example.com/a.png", detail="high"),
        File("a.pdf", "data:application/pdf;base64,JVBERi0="),
        File("b.pdf", "JVBERi0="),
        File("c.txt", "data:text/plain;base64,R3LDvMOfZQ=="),
        File(url="https://example.com/d.pdf"),
    ) == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/"}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            "title": "a.pdf",
        },
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            "title": "b.pdf",
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"}, "title": "c.txt"},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/d.pdf"}},
    ]


def test_the_id_of_an_upload_means_something_only_where_the_client_speaks_messages() -> None:
    assert content_of(Image(file_id="file_1"), dialect="anthropic") == [
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}}
    ]
    with pytest.raises(UnsupportedField, match="no file of that id"):
        content_of(File(file_id="file-openai"))


def test_audio_is_refused_unless_it_was_written_down() -> None:
    assert content_of(Audio("UklGRg==", "wav", transcript="Hello")) == [text("Hello")]
    with pytest.raises(UnsupportedField, match="audio"):
        content_of(Audio("UklGRg==", "wav"))


def test_data_that_is_not_base64_is_the_clients_mistake() -> None:
    with pytest.raises(UnsupportedField, match="base64"):
        content_of(Image("data:image/svg+xml,<svg/>"))
    with pytest.raises(BadRequest, match="base64"):
        content_of(File("a.txt", "data:text/plain;base64,R3LDv"))


def test_an_item_of_another_dialect_is_left_out_and_told() -> None:
    request = encode(call(said("user", "Hi"), Opaque("responses", {"type": "computer_call"})))
    assert request.rewrites == ("an item that only responses knows was left out: computer_call",)


@pytest.mark.parametrize("recording", [each for each in recordings("anthropic") if each.is_whole], ids=str)
def test_what_a_model_said_goes_back_to_it_as_it_said_it(recording: Recording) -> None:
    answer = Answer(recording.events)
    spoken = encode_answer(recording.turn("anthropic"), answer)["content"]
    history = Call(recording.target, (said("user", "Hi"), *answer.items))

    _, replayed = encode(history).body["messages"]

    assert replayed == {"role": "assistant", "content": [without_our_seal(block) for block in spoken]}


def without_our_seal(block: dict[str, Any]) -> dict[str, Any]:
    sealed = {key: block[key] for key in ("signature", "data") if key in block}
    return {**block, **{key: value.removeprefix("woollama:maker:") for key, value in sealed.items()}}
