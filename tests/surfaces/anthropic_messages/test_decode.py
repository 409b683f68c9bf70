"""Messages requests as clients send them, decoded to turns."""

from __future__ import annotations

from typing import Any

import pytest

from woollama.domain.errors import BadRequest
from woollama.domain.messages import File, Image, Message, Opaque, Reasoning, Sealed, Text, ToolCall, ToolResult
from woollama.domain.tools import Example, Function, Returned
from woollama.domain.turns import INTERNAL, ResponseFormat, ToolChoice, Turn
from woollama.surfaces.anthropic_messages import decode


def decoded(**fields: Any) -> Turn:
    body = {"model": "claude", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}], **fields}
    return decode(body, turn_id="turn_1", caller=INTERNAL)


def items_of(*messages: dict[str, Any]) -> tuple[object, ...]:
    return decoded(messages=list(messages)).items


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def test_text_comes_as_a_string_or_as_blocks() -> None:
    assert items_of({"role": "user", "content": "Hi"}) == (Message("user", (Text("Hi"),)),)
    assert items_of(user({"type": "text", "text": "a"}, {"type": "text", "text": "b"})) == (
        Message("user", (Text("a"), Text("b"))),
    )


def test_the_system_prompt_is_the_first_item_and_its_cache_marks_survive() -> None:
    assert decoded(system="Be brief.").items[0] == Message("system", (Text("Be brief."),))
    marked = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    assert decoded(system=[marked]).items[0] == Message(
        "system", (Text("Be brief.", extra={"anthropic": {"cache_control": {"type": "ephemeral", "ttl": "1h"}}}),)
    )


def test_a_system_message_in_the_middle_stays_there() -> None:
    items = items_of({"role": "user", "content": "Hi"}, {"role": "system", "content": "Now in French."})
    assert items[1] == Message("system", (Text("Now in French."),))


def test_images_and_documents_keep_their_sources() -> None:
    png = {"type": "base64", "media_type": "image/png", "data": "iVBORw0K"}
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    assert items_of(
        user(
            {"type": "image", "source": png},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
            {"type": "document", "source": pdf, "title": "a.pdf", "citations": {"enabled": True}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"}},
            {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        )
    ) == (
        Message(
            "user",
            (
                Image("data:image/png;base64,iVBORw0K"),
                Image("https://example.com/a.png"),
                Image(file_id="file_1"),
                File(
                    "a.pdf",
                    "data:application/pdf;base64,JVBERi0=",
                    extra={"anthropic": {"citations": {"enabled": True}}},
                ),
                File(None, "data:text/plain;base64,R3LDvMOfZQ=="),
                File(None, url="https://example.com/a.pdf"),
            ),
        ),
    )


def test_a_tool_turn_is_thoughts_words_calls_and_results() -> None:
    items = items_of(
        {"role": "user", "content": "Weather?"},
        assistant(
            {"type": "thinking", "thinking": "Ask for both.", "signature": "woollama:claude:EqQB"},
            {"type": "redacted_thinking", "data": "EmwK"},
            {"type": "text", "text": "I'll look."},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Zürich"}},
            {"type": "tool_use", "id": "toolu_2", "name": "time", "input": {}, "caller": {"type": "direct"}},
        ),
        user(
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"},
            {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True, "content": [_text("no clock")]},
            {"type": "text", "text": "Go on."},
        ),
    )
    assert items == (
        Message("user", (Text("Weather?"),)),
        Reasoning("Ask for both.", sealed=Sealed("EqQB", "claude")),
        Reasoning(sealed=Sealed("EmwK", ""), redacted=True),
        Message("assistant", (Text("I'll look."),)),
        ToolCall("toolu_1", "weather", '{"city": "Zürich"}'),
        ToolCall("toolu_2", "time", "{}", extra={"anthropic": {"caller": {"type": "direct"}}}),
        ToolResult("toolu_1", Returned.of_text("sunny"), extra={"anthropic": {"content": "sunny"}}),
        ToolResult(
            "toolu_2",
            Returned.of_text("no clock", is_error=True),
            extra={"anthropic": {"content": [_text("no clock")]}},
        ),
        Message("user", (Text("Go on."),)),
    )


def test_a_result_with_an_image_can_be_said_in_any_dialect() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0K"}}
    (result,) = items_of(
        user({"type": "tool_result", "tool_use_id": "toolu_1", "content": [_text("A chart:"), picture]})
    )
    assert isinstance(result, ToolResult)
    assert result.outcome == Returned(
        ({"type": "text", "text": "A chart:"}, {"type": "image", "data": "iVBORw0K", "mimeType": "image/png"})
    )


def test_a_result_without_content_is_an_empty_one() -> None:
    (result,) = items_of(user({"type": "tool_result", "tool_use_id": "toolu_1"}))
    assert result == ToolResult("toolu_1", Returned(()))


def test_blocks_of_the_vendor_alone_are_kept_as_they_came_with_their_role() -> None:
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
    assert items_of(assistant(_text("a"), search, _text("b"))) == (
        Message("assistant", (Text("a"),)),
        Opaque("anthropic", {"role": "assistant", "content": [search]}),
        Message("assistant", (Text("b"),)),
    )


def test_tools_are_functions_and_the_vendors_own_tools_stay_whole() -> None:
    weather = {
        "name": "weather",
        "description": "The weather.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
        "strict": True,
        "input_examples": [{"city": "Oslo"}],
        "cache_control": {"type": "ephemeral"},
    }
    bash = {"type": "bash_20250124", "name": "bash"}
    assert decoded(tools=[weather, bash]).client_tools == (
        Function(
            "weather",
            "The weather.",
            weather["input_schema"],  # type: ignore[arg-type]
            strict=True,
            examples=(Example({"city": "Oslo"}),),
            extra={"anthropic": {"cache_control": {"type": "ephemeral"}}},
        ),
        Function("bash", extra={"anthropic": bash}),
    )


@pytest.mark.parametrize(
    ("wire", "choice"),
    [
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "any"}, ToolChoice("required")),
        ({"type": "none"}, ToolChoice("none")),
        ({"type": "tool", "name": "weather"}, ToolChoice("named", "weather")),
    ],
)
def test_a_tool_choice_has_its_word(wire: dict[str, Any], choice: ToolChoice) -> None:
    turn = decoded(tool_choice=wire)
    assert turn.choice == choice
    assert turn.params.parallel_tool_calls is None


def test_parallel_calls_can_be_switched_off_with_the_choice() -> None:
    serial = {"type": "any", "disable_parallel_tool_use": True}
    assert decoded(tool_choice=serial).params.parallel_tool_calls is False


def test_settings_are_read() -> None:
    schema = {"type": "object", "properties": {}}
    params = decoded(
        temperature=1,
        top_p=0.9,
        top_k=40,
        stop_sequences=["\n\nHuman:"],
        metadata={"user_id": "u-1"},
        thinking={"type": "enabled", "budget_tokens": 2048},
        output_config={"effort": "high", "format": {"type": "json_schema", "schema": schema}},
    ).params
    assert (params.max_tokens, params.temperature, params.top_p, params.top_k) == (100, 1, 0.9, 40)
    assert params.stop == ("\n\nHuman:",)
    assert params.user == "u-1"
    assert (params.reasoning_budget_tokens, params.reasoning_effort) == (2048, "high")
    assert params.response_format == ResponseFormat("json_schema", schema=schema)
    assert decoded(thinking={"type": "disabled"}).params.reasoning_effort == "none"


def test_fields_that_nobody_knows_are_kept() -> None:
    turn = decoded(
        stream=True, container="c_1", context_management={"edits": []}, thinking={"type": "adaptive"}, brand_new=7
    )
    assert turn.extra == {
        "anthropic": {
            "container": "c_1",
            "context_management": {"edits": []},
            "thinking": {"type": "adaptive"},
            "brand_new": 7,
        }
    }
    assert (turn.id, turn.dialect, turn.model, turn.caller) == ("turn_1", "anthropic", "claude", INTERNAL)


@pytest.mark.parametrize(
    ("field", "kept"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, False),
        ({"thinking": {"type": "disabled"}}, False),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048, "display": "omitted"}}, True),
        ({"thinking": {"type": "between_tools"}}, True),
        ({"thinking": {"type": "of_tomorrow"}}, True),
        ({"output_config": {"effort": "high"}}, False),
        ({"output_config": {"effort": "high", "task_budget": {}}}, True),
        ({"metadata": {"user_id": "u-1"}}, False),
        ({"metadata": {"user_id": "u-1", "team": "x"}}, True),
    ],
)
def test_what_the_turn_says_in_full_is_not_kept_twice(field: dict[str, Any], kept: bool) -> None:
    assert decoded(**field).extra == {"anthropic": field if kept else {}}


def test_an_effort_beside_switched_off_thinking_is_not_an_effort_to_think() -> None:
    turn = decoded(thinking={"type": "disabled"}, output_config={"effort": "high"})
    assert turn.params.reasoning_effort == "none"
    assert turn.extra == {"anthropic": {"output_config": {"effort": "high"}}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": ["Hi"]}, "messages[0]"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].source"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64"}}]}]},
            "messages[0].content[0].source",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "fax"}}]}]},
            "messages[0].content[0].source.type",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "messages[0].content[0].tool_use_id"),
        ({"messages": [{"role": "assistant", "content": [{"type": "tool_use"}]}]}, "messages[0].content[0]"),
        ({"system": 7}, "system"),
        ({"system": [{"type": "image"}]}, "system[0].type"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"stop_sequences": [1]}, "stop_sequences"),
        ({"tools": [{"description": "?"}]}, "tools[0].name"),
        ({"tools": [{"name": "f", "input_examples": [1]}]}, "tools[0].input_examples"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice"),
        ({"tool_choice": {"type": "perhaps"}}, "tool_choice"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format"),
        ({"thinking": {"type": "enabled", "budget_tokens": "lots"}}, "thinking.budget_tokens"),
    ],
)
def test_a_mistake_is_named_by_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decoded(**fields)
    assert caught.value.param == param


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
