"""Responses tools: which functions they become, and how the client's own names come back."""

from __future__ import annotations

from typing import Any

import pytest

from woollama.domain.errors import BadRequest, UnsupportedField
from woollama.domain.turns import INTERNAL, ToolChoice, ToolGrant
from woollama.surfaces.fields import Fields
from woollama.surfaces.openai_responses import decode
from woollama.surfaces.openai_responses.tools import ClientTool, Tools, client_tools, decode_tools

LOOK = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": True}
PATCH = {"type": "custom", "name": "patch", "description": "Edit files."}
CRM = {
    "type": "namespace",
    "name": "crm",
    "description": "Customers.",
    "tools": [{"type": "function", "name": "find", "description": "By name.", "defer_loading": True}, PATCH],
}
CLOCK = {"type": "mcp", "server_label": "clock"}


def tools_of(*tools: dict[str, Any], choice: Any = None) -> Tools:
    return decode_tools(Fields({"tools": list(tools), "tool_choice": choice}))


def names_of(tools: Tools) -> list[str]:
    return [function.name for function in tools.functions]


def test_a_function_is_offered_as_it_is() -> None:
    (function,) = tools_of({**LOOK, "description": "Look around."}).functions

    assert (function.name, function.description, function.strict) == ("look", "Look around.", True)
    assert function.parameters == LOOK["parameters"]
    assert function.runs == "client"


def test_a_custom_tool_is_a_function_of_one_text() -> None:
    (function,) = tools_of(PATCH).functions

    assert function.parameters is not None
    assert list(function.parameters["properties"]) == function.parameters["required"] == ["input"]
    assert function.parameters["properties"]["input"]["type"] == "string"


def test_the_model_is_told_of_a_grammar() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}
    (function,) = tools_of({**PATCH, "format": grammar}).functions

    assert function.parameters is not None
    assert "lark grammar:\nstart: WORD" in function.parameters["properties"]["input"]["description"]


def test_the_tools_of_a_namespace_are_offered_under_joined_names() -> None:
    find, patch = tools_of(CRM).functions

    assert (find.name, find.description) == ("crm__find", "Customers.\n\nBy name.")
    assert (patch.name, patch.description) == ("crm__patch", "Customers.\n\nEdit files.")


def test_every_wire_name_leads_back_to_the_clients_own() -> None:
    odd = {"type": "function", "name": "très.long/" + "x" * 80}
    turn = decode({"model": "m", "input": "x", "tools": [LOOK, PATCH, CRM, odd]}, turn_id="turn_1", caller=INTERNAL)
    back = client_tools(turn)

    assert list(back.values()) == [
        ClientTool("look"),
        ClientTool("patch", custom=True),
        ClientTool("find", "crm"),
        ClientTool("patch", "crm", custom=True),
        ClientTool(odd["name"]),
    ]
    assert all(len(name) <= 64 and name.replace("_", "").replace("-", "").isascii() for name in back)


def test_a_server_of_ours_is_granted_by_its_label() -> None:
    granted = tools_of(
        CLOCK,
        {**CLOCK, "server_label": "git", "allowed_tools": ["status", "log"], "require_approval": "always"},
        {**CLOCK, "server_label": "web", "allowed_tools": {"tool_names": ["get"]}, "require_approval": {"never": {}}},
        {
            **CLOCK,
            "server_label": "far",
            "server_url": "https://example.org/mcp",
            "authorization": "secret",
            "headers": {"x-team": "7"},
        },
    ).grants

    assert granted == (
        ToolGrant("clock"),
        ToolGrant("git", ("status", "log"), "always"),
        ToolGrant("web", ("get",), {"never": {}}),
        ToolGrant("far", url="https://example.org/mcp", headers={"x-team": "7", "authorization": "Bearer secret"}),
    )


@pytest.mark.parametrize(
    ("choice", "found"),
    [
        (None, None),
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "look"}, ToolChoice("named", "look")),
        ({"type": "custom", "name": "patch"}, ToolChoice("named", "patch")),
        ({"type": "function", "name": "find", "namespace": "crm"}, ToolChoice("named", "crm__find")),
        ({"type": "mcp", "server_label": "clock", "name": "now"}, ToolChoice("named", "clock__now")),
        ({"type": "function", "name": "git__log_0a1b2c3d"}, ToolChoice("named", "git__log_0a1b2c3d")),
    ],
)
def test_a_choice_of_tool(choice: Any, found: ToolChoice | None) -> None:
    tools = tools_of(LOOK, PATCH, CRM, CLOCK, choice=choice)

    assert tools.choice == found
    assert names_of(tools) == ["look", "patch", "crm__find", "crm__patch"]


def test_only_allowed_tools_are_offered() -> None:
    allowed = [{"type": "custom", "name": "patch"}, {"type": "mcp", "server_label": "clock", "name": "now"}]
    choice = {"type": "allowed_tools", "mode": "required", "tools": allowed}
    tools = tools_of(LOOK, PATCH, CLOCK, choice=choice)

    assert names_of(tools) == ["patch"]
    assert tools.grants == (ToolGrant("clock", ("now",)),)
    assert tools.choice == ToolChoice("required")


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"type": "web_search"}, "tools[0].type"),
        ({"type": "code_interpreter", "container": {"type": "auto"}}, "tools[0].type"),
        ({**LOOK, "async": True}, "tools[0].async"),
        ({**LOOK, "allowed_callers": ["programmatic"]}, "tools[0].allowed_callers"),
        ({**PATCH, "format": {"type": "yaml"}}, "tools[0].format.type"),
        ({**CLOCK, "connector_id": "connector_gmail"}, "tools[0].connector_id"),
        ({**CLOCK, "allowed_tools": {"read_only": True}}, "tools[0].allowed_tools.read_only"),
        ({**CRM, "tools": [CLOCK]}, "tools[0].tools[0].type"),
    ],
)
def test_a_tool_that_nobody_here_runs_is_refused_by_its_place(tool: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedField) as refused:
        tools_of(tool)
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("tools", "choice", "param"),
    [
        ([{"type": "function", "function": {"name": "nested"}}], None, "tools[0].name"),
        ([{"name": "look"}], None, "tools[0].type"),
        (["look"], None, "tools[0]"),
        ([LOOK, LOOK], None, "tools"),
        ([{**LOOK, "name": "crm__find"}, CRM], None, "tools"),
        ([{"type": "mcp"}], None, "tools[0].server_label"),
        ([{**CLOCK, "allowed_tools": [7]}], None, "tools[0].allowed_tools"),
        ([{**CLOCK, "require_approval": "maybe"}], None, "tools[0].require_approval"),
        ([{**PATCH, "format": {"type": "grammar", "syntax": "lark"}}], None, "tools[0].format.definition"),
        ([LOOK], "always", "tool_choice"),
        ([LOOK], {"type": "web_search_preview"}, "tool_choice.type"),
        ([LOOK], {"type": "function"}, "tool_choice.name"),
        ([LOOK], {"type": "allowed_tools", "mode": "none", "tools": []}, "tool_choice.mode"),
        ([LOOK], {"type": "allowed_tools", "tools": [{"type": "function", "name": "x"}]}, "tool_choice.tools[0]"),
        ([LOOK], {"type": "allowed_tools", "tools": [{"type": "mcp", "server_label": "x"}]}, "tool_choice.tools[0]"),
    ],
)
def test_a_mistake_in_tools_is_named_by_its_path(tools: list[Any], choice: Any, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        tools_of(*tools, choice=choice)
    assert refused.value.param == param
