"""Responses input items: each kind becomes an item of ours, or is refused by its place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from woollama.domain.errors import BadRequest, UnsupportedField
from woollama.domain.messages import (
    Answer,
    Ask,
    Audio,
    File,
    Image,
    Item,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Sealed,
    Text,
    ToolCall,
    ToolResult,
)
from woollama.domain.tools import Cancelled, Returned, images_of
from woollama.surfaces.fields import Fields
from woollama.surfaces.openai_responses.items import decode_items

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def items_of(*items: Any) -> tuple[Item, ...]:
    return decode_items(Fields({"input": list(items)}))


def test_messages_come_with_bare_text_or_with_parts() -> None:
    assert items_of(
        {"role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "phase": "commentary",
            "content": [
                {"type": "output_text", "text": "well", "annotations": [{"type": "file_path"}], "logprobs": []},
                {"type": "refusal", "refusal": "no"},
            ],
        },
        {"role": "system", "content": []},
    ) == (
        Message("developer", (Text("Be brief."),)),
        Message("user", (Text("hi"),)),
        Message("assistant", (Text("well", ({"type": "file_path"},)), Refusal("no")), id="msg_1", phase="commentary"),
        Message("system", ()),
    )


def test_a_user_shows_images_files_and_sounds() -> None:
    (message,) = items_of(
        {
            "role": "user",
            "content": [
                {"type": "input_image", "image_url": PIXEL, "detail": "low"},
                {"type": "input_image", "file_id": "file_1", "detail": "auto"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
                {"type": "input_file", "file_url": "https://example.org/b.pdf", "detail": "high"},
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                {"type": "input_text", "text": "see", "prompt_cache_breakpoint": {"mode": "explicit"}},
            ],
        }
    )

    assert isinstance(message, Message)
    assert message.parts == (
        Image(PIXEL, "low"),
        Image(None, "auto", "file_1"),
        File("a.pdf", "data:application/pdf;base64,JVBERi0="),
        File(None, None, "https://example.org/b.pdf", extra={"responses": {"detail": "high"}}),
        Audio("UklGRg==", "wav"),
        Text("see", extra={"responses": {"prompt_cache_breakpoint": {"mode": "explicit"}}}),
    )


def test_a_clients_call_and_its_output() -> None:
    assert items_of(
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": '{"at":1}'},
        {"type": "function_call_output", "id": "fco_1", "call_id": "call_1", "output": "a tree", "status": "completed"},
    ) == (
        ToolCall("call_1", "look", '{"at":1}', item_id="fc_1"),
        ToolResult("call_1", Returned.of_text("a tree"), item_id="fco_1"),
    )


def test_an_output_of_parts_keeps_its_image_for_models_that_see() -> None:
    (result,) = items_of(
        {
            "type": "function_call_output",
            "call_id": "call_1",
            "output": [
                {"type": "input_text", "text": "a screen"},
                {"type": "input_image", "image_url": PIXEL},
                {"type": "input_image", "image_url": "https://example.org/x.png"},
                {"type": "input_file", "filename": "a.csv", "file_data": "data:text/csv;base64,YSxi"},
                {"type": "input_file", "file_url": "https://example.org/b"},
            ],
        }
    )

    assert isinstance(result, ToolResult)
    assert list(images_of(result.outcome)) == [PIXEL]
    assert result.outcome.for_model().splitlines() == [
        "a screen",
        "[image image/png]",
        "[link https://example.org/x.png image]",
        "[resource a.csv text/csv]",
        "[link https://example.org/b file]",
    ]


def test_custom_and_namespaced_calls_become_calls_of_the_functions_that_stand_for_them() -> None:
    assert items_of(
        {"type": "custom_tool_call", "call_id": "call_1", "name": "patch", "input": 'say "ü"\n'},
        {"type": "custom_tool_call_output", "call_id": "call_1", "output": "done"},
        {"type": "function_call", "call_id": "call_2", "namespace": "crm", "name": "find", "arguments": "{}"},
    ) == (
        ToolCall("call_1", "patch", '{"input": "say \\"ü\\"\\n"}'),
        ToolResult("call_1", Returned.of_text("done")),
        ToolCall("call_2", "crm__find", "{}"),
    )


@pytest.mark.parametrize(
    ("encrypted", "sealed", "redacted"),
    [
        ("gAAAAABo", Sealed("gAAAAABo", ""), False),
        (Sealed("c2ln", "anthropic").to_wire(), Sealed("c2ln", "anthropic"), False),
        ("redacted:" + Sealed("c2ln", "anthropic").to_wire(), Sealed("c2ln", "anthropic"), True),
    ],
)
def test_a_thought_comes_back_with_what_its_maker_sealed(encrypted: str, sealed: Sealed, redacted: bool) -> None:
    assert items_of(
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}],
            "content": [{"type": "reasoning_text", "text": "hm"}],
            "encrypted_content": encrypted,
        }
    ) == (Reasoning("hm", "rs_1", sealed, ("one", "two"), redacted),)


def test_a_call_that_we_ran_comes_back_with_what_it_gave() -> None:
    call = {"type": "mcp_call", "id": "mcp_1", "server_label": "clock", "name": "now", "arguments": "{}"}
    ours = ToolCall("mcp_1", "clock__now", "{}", "server", "mcp_1", server="clock", tool="now")

    assert items_of({**call, "output": "noon", "error": None}) == (ours, ToolResult("mcp_1", Returned.of_text("noon")))
    assert items_of({**call, "error": "lost"})[1] == ToolResult("mcp_1", Returned.of_text("lost", is_error=True))
    assert items_of({**call, "error": {"type": "mcp_protocol_error", "code": -32000, "message": "down"}})[1] == (
        ToolResult("mcp_1", Returned.of_text("down", is_error=True))
    )
    blocks = [{"type": "text", "text": "unknown zone"}]
    assert items_of({**call, "error": {"type": "mcp_tool_execution_error", "content": blocks}})[1] == (
        ToolResult("mcp_1", Returned(tuple(blocks), is_error=True))
    )


def test_a_call_without_an_outcome_was_cancelled_unless_it_waits_for_a_yes() -> None:
    call = {"type": "mcp_call", "id": "mcp_1", "server_label": "woollama", "name": "nothing", "arguments": "{}"}
    ours = ToolCall("mcp_1", "nothing", "{}", "server", "mcp_1")

    assert items_of(call) == (ours, ToolResult("mcp_1", Cancelled()))
    (waiting,) = items_of({**call, "approval_request_id": "mcpr_1"})
    assert waiting == replace(ours, extra={"responses": {"approval_request_id": "mcpr_1"}})


def test_an_approval_is_asked_and_answered() -> None:
    assert items_of(
        {"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "git", "name": "push", "arguments": "{}"},
        {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": False, "reason": "not now"},
    ) == (Ask("mcpr_1", "", "git", "push", "{}"), Answer("mcpr_1", False, {"reason": "not now"}, by="client"))


def test_what_a_service_did_itself_is_kept_as_it_came() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}}
    listed = {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "clock", "tools": []}

    assert items_of(search, listed) == (Opaque("responses", search), Opaque("responses", listed))


@pytest.mark.parametrize(
    "item",
    [
        {"type": "item_reference", "id": "msg_1"},
        {"id": "msg_1"},
    ],
)
def test_a_reference_is_refused_because_nothing_is_stored(item: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedField, match="nothing is stored") as refused:
        items_of({"role": "user", "content": "x"}, item)
    assert refused.value.param == "input[1]"


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "computer_call"}, "type"),
        ({"type": "computer_call_output", "call_id": "c"}, "type"),
        ({"type": "made_up"}, "type"),
        ({"role": "user", "content": [{"type": "input_video"}]}, "content[0].type"),
        ({"type": "function_call_output", "call_id": "c", "output": [{"type": "refusal", "refusal": "x"}]}, "output"),
    ],
)
def test_what_cannot_be_said_is_refused_by_its_place(item: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedField) as refused:
        items_of(item)
    assert refused.value.param == f"input[0].{param}"


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"role": "tool", "content": "x"}, "role"),
        ({"role": "user"}, "content"),
        ({"role": "user", "content": 7}, "content"),
        ({"role": "user", "content": ["x"]}, "content[0]"),
        ({"role": "user", "content": [{"text": "x"}]}, "content[0].type"),
        ({"role": "user", "content": [{"type": "input_text"}]}, "content[0].text"),
        ({"role": "user", "content": [{"type": "input_image"}]}, "content[0].image_url"),
        ({"role": "user", "content": [{"type": "input_image", "image_url": {"url": "x"}}]}, "content[0].image_url"),
        ({"role": "user", "content": [{"type": "input_file"}]}, "content[0]"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "content[0].input_audio.data"),
        ({"type": "message", "content": "x"}, "role"),
        ({"type": "function_call", "name": "f"}, "call_id"),
        ({"type": "function_call", "call_id": "c"}, "name"),
        ({"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}, "arguments"),
        ({"type": "function_call_output", "call_id": "c"}, "output"),
        ({"type": "function_call_output", "output": "x"}, "call_id"),
        ({"type": "reasoning", "summary": ["x"]}, "summary[0]"),
        ({"type": "mcp_call", "id": "m", "name": "n"}, "server_label"),
        ({"type": "mcp_call", "id": "m", "server_label": "s", "name": "n", "error": 7}, "error"),
        ({"type": "mcp_approval_response", "approval_request_id": "a"}, "approve"),
        ({"type": 7}, "type"),
    ],
)
def test_a_mistake_in_an_item_is_named_by_its_path(item: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        items_of(item)
    assert refused.value.param == f"input[0].{param}"
