"""The tools of a Responses request: which function each becomes, and how a call of it is named on the way back.

Models are offered plain functions. A custom tool (one free text) becomes a function of one string, and a tool in a
namespace gets a joined name. Both ways back go through the table of the turn's own functions, never through the
spelling of a name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from woollama.domain.errors import BadRequest, UnsupportedField
from woollama.domain.messages import Json
from woollama.domain.tools import Function, wire_name
from woollama.domain.turns import ToolChoice, ToolGrant, Turn
from woollama.surfaces.fields import Fields

CUSTOM_INPUT = "input"
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_NOT_FOR_CLIENTS = frozenset(
    {
        *("accept", "connection", "content-length", "content-type", "host", "last-event-id", "mcp-protocol-version"),
        *("mcp-session-id", "te", "trailer", "transfer-encoding", "upgrade", "proxy-authorization"),
    }
)
"""Headers that are the transport's own."""
SHOWN = "x_woollama"
"""The member of a call of ours that has the whole `content` of a result with an image: its `output` is only text."""
OUR_LABEL = "woollama"
"""The server label of a call that no tool server stands for: the model asked for a tool that nobody has."""


_UNASKED = {"web_search": '. Codex sends it by itself, and not with `web_search = "disabled"` in its config.toml'}
"""What to do about a tool that a program offers without having been told to."""


@dataclass(frozen=True, slots=True)
class ClientTool:
    """What the client itself calls one of its functions."""

    name: str
    namespace: str | None = None
    custom: bool = False


@dataclass(frozen=True, slots=True)
class Tools:
    functions: tuple[Function, ...] = ()
    grants: tuple[ToolGrant, ...] = ()
    choice: ToolChoice | None = None


def client_tools(turn: Turn) -> Mapping[str, ClientTool]:
    """The client's own names for its functions, by wire name."""
    return {function.name: _client_tool(function) for function in turn.client_tools}


def _client_tool(function: Function) -> ClientTool:
    said = (function.extra or {}).get("responses") or {}
    return ClientTool(said.get("name") or function.name, said.get("namespace"), bool(said.get("custom")))


def function_name(name: str, namespace: str | None = None) -> str:
    """The wire name of a client's tool."""
    return wire_name(namespace or "", name)


def custom_arguments(text: str) -> str:
    """A custom tool's text as the arguments of its function."""
    return json.dumps({CUSTOM_INPUT: text}, ensure_ascii=False)


def decode_tools(body: Fields) -> Tools:
    functions: list[Function] = []
    grants: list[ToolGrant] = []
    for index, raw in enumerate(body.array("tools") or ()):
        tool = Fields.of(raw, f"tools[{index}]")
        match needed(tool, "type"):
            case "function" | "custom":
                functions.append(_function(tool))
            case "namespace":
                functions += _namespace(tool)
            case "mcp":
                grants.append(_grant(tool))
            case kind:
                raise UnsupportedField(
                    f"woollama runs no {kind!r} tool; function, custom, namespace and mcp tools are available"
                    + _UNASKED.get(kind, ""),
                    param=f"{tool.path}.type",
                )
    _refuse_doubles(functions)
    return _choose(body, Tools(tuple(functions), tuple(grants)))


def needed(fields: Fields, name: str) -> str:
    """The text that must be there."""
    text = fields.text(name)
    if not text:
        path = f"{fields.path}.{name}"
        raise BadRequest(f"`{path}` must be a non-empty string", param=path)
    return text


def _refuse_doubles(functions: Sequence[Function]) -> None:
    seen: set[str] = set()
    for function in functions:
        if function.name in seen:
            raise BadRequest(f"two tools are called {_client_tool(function).name!r}", param="tools")
        seen.add(function.name)


def _namespace(tool: Fields) -> Iterator[Function]:
    namespace, about = needed(tool, "name"), tool.text("description")
    for index, raw in enumerate(tool.array("tools") or ()):
        inner = Fields.of(raw, f"{tool.path}.tools[{index}]")
        if needed(inner, "type") not in ("function", "custom"):
            raise UnsupportedField("a namespace holds function and custom tools", param=f"{inner.path}.type")
        function = _function(inner, namespace)
        yield replace(function, description="\n\n".join(filter(None, (about, function.description))))


def _function(tool: Fields, namespace: str | None = None) -> Function:
    name, custom = needed(tool, "name"), tool.raw("type") == "custom"
    if tool.boolean("async"):
        raise UnsupportedField("asynchronous tools are not available", param=f"{tool.path}.async")
    callers = tool.array("allowed_callers")
    if callers is not None and "direct" not in callers:
        raise UnsupportedField("the model can only call tools directly", param=f"{tool.path}.allowed_callers")
    return Function(
        name=function_name(name, namespace),
        description=tool.text("description") or "",
        parameters=_one_text(tool) if custom else tool.object("parameters"),
        strict=None if custom else tool.boolean("strict"),
        extra={"responses": {"name": name, "namespace": namespace, "custom": custom}},
    )


def _one_text(tool: Fields) -> Mapping[str, Json]:
    """A schema of one string. A grammar cannot be enforced here, so the model is told of it."""
    given = Fields.of(tool.object("format") or {"type": "text"}, f"{tool.path}.format")
    about = "The whole input of the tool, as plain text."
    match given.text("type"):
        case "text":
            pass
        case "grammar":
            about += f" It must match this {needed(given, 'syntax')} grammar:\n{needed(given, 'definition')}"
        case kind:
            raise UnsupportedField(f"unknown format {kind!r} of a custom tool", param=f"{given.path}.type")
    return {
        "type": "object",
        "properties": {CUSTOM_INPUT: {"type": "string", "description": about}},
        "required": [CUSTOM_INPUT],
        "additionalProperties": False,
    }


def _grant(tool: Fields) -> ToolGrant:
    for name in ("connector_id", "tunnel_id"):
        if tool.given(name):
            raise UnsupportedField("only servers by label or `server_url` are available", param=f"{tool.path}.{name}")
    url, headers = tool.text("server_url"), _headers(tool)
    if headers and not url:
        what = "headers" if tool.given("headers") else "authorization"
        raise BadRequest(f"`{tool.path}.{what}` has an effect with a `server_url` only", param=f"{tool.path}.{what}")
    return ToolGrant(
        server=needed(tool, "server_label"),
        allowed=_allowed(tool),
        approval=_approval(tool),
        url=url,
        headers=headers or None,
    )


def _headers(tool: Fields) -> dict[str, str]:
    """What the server is sent with each request. What an error says of them never repeats a value."""
    path = f"{tool.path}.headers"
    headers: dict[str, str] = {}
    for name, value in (tool.object("headers") or {}).items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _NOT_FOR_CLIENTS:
            raise BadRequest(f"`{path}` cannot have {name!r}", param=path)
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            raise BadRequest(f"`{path}.{name}` must be a text of one line", param=path)
        headers[name.lower()] = value
    if authorization := tool.text("authorization"):
        if "authorization" in headers or not _HEADER_VALUE.fullmatch(authorization):
            why = "is in `headers`, too" if "authorization" in headers else "must be a text of one line"
            raise BadRequest(f"`{tool.path}.authorization` {why}", param=f"{tool.path}.authorization")
        headers["authorization"] = f"Bearer {authorization}"
    return headers


def _allowed(tool: Fields) -> tuple[str, ...] | None:
    raw, path = tool.raw("allowed_tools"), f"{tool.path}.allowed_tools"
    if isinstance(raw, Mapping):
        if raw.get("read_only") is not None:
            raise UnsupportedField("name the allowed tools", param=f"{path}.read_only")
        raw, path = raw.get("tool_names"), f"{path}.tool_names"
    if raw is None:
        return None
    if not isinstance(raw, list) or not all(isinstance(name, str) for name in raw):
        raise BadRequest(f"`{path}` must be an array of names", param=path)
    return tuple(raw)


def _approval(tool: Fields) -> Json:
    raw = tool.raw("require_approval")
    if raw is None or raw in ("always", "never") or isinstance(raw, Mapping):
        return raw
    path = f"{tool.path}.require_approval"
    raise BadRequest(f"`{path}` must be always, never or an object of the two", param=path)


def _choose(body: Fields, tools: Tools) -> Tools:
    raw = body.raw("tool_choice")
    match raw:
        case None:
            return tools
        case "auto" | "none" | "required":
            return replace(tools, choice=ToolChoice(raw))
        case {"type": "function" | "custom" | "mcp"}:
            return replace(tools, choice=ToolChoice("named", _chosen(Fields(raw, "tool_choice"), tools)))
        case {"type": "allowed_tools"}:
            return _only(Fields(raw, "tool_choice"), tools)
        case {"type": str(kind)}:
            raise UnsupportedField(f"`tool_choice` cannot be {kind!r} here", param="tool_choice.type")
        case _:
            raise BadRequest("`tool_choice` must be auto, none, required or name a tool", param="tool_choice")


def _chosen(tool: Fields, tools: Tools) -> str:
    if tool.raw("type") == "mcp":
        return wire_name(needed(tool, "server_label"), needed(tool, "name"))
    name = needed(tool, "name")
    named = function_name(name, tool.text("namespace"))
    # a name that is none of the client's own may be the wire name of a tool of ours, and is that as it stands
    return named if any(function.name == named for function in tools.functions) else name


def _only(wanted: Fields, tools: Tools) -> Tools:
    """The tools that `allowed_tools` names; the others are not offered."""
    mode = wanted.text("mode") or "auto"
    if mode not in ("auto", "required"):
        raise BadRequest("`tool_choice.mode` must be auto or required", param="tool_choice.mode")
    functions: list[Function] = []
    grants: list[ToolGrant] = []
    for index, raw in enumerate(wanted.array("tools") or ()):
        tool = Fields.of(raw, f"tool_choice.tools[{index}]")
        if needed(tool, "type") == "mcp":
            label, name = needed(tool, "server_label"), tool.text("name")
            found = [replace(each, allowed=(name,)) if name else each for each in tools.grants if each.server == label]
            grants += found
            missing = not found
        else:
            named = function_name(needed(tool, "name"), tool.text("namespace"))
            functions += (offered := [each for each in tools.functions if each.name == named])
            missing = not offered
        if missing:
            raise BadRequest(f"`{tool.path}` names a tool that `tools` does not have", param=tool.path)
    # mypy cannot see that `mode` is one of the two words checked above
    choice: Any = mode
    return Tools(tuple(functions), tuple(grants), ToolChoice(choice))
