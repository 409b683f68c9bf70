"""The Responses dialect, inbound: a request body to a Turn. Every field is honoured, kept or refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from woollama.domain.errors import BadRequest, UnsupportedField
from woollama.domain.messages import Answer, Item, Message, Text
from woollama.domain.turns import Caller, Params, ResponseFormat, StateWish, Turn
from woollama.surfaces.fields import Fields
from woollama.surfaces.openai_responses.items import decode_items
from woollama.surfaces.openai_responses.tools import decode_tools, needed
from woollama.surfaces.response_format import decode_format

_SETTINGS = (
    ("temperature", float),
    ("top_p", float),
    ("presence_penalty", float),
    ("frequency_penalty", float),
    ("parallel_tool_calls", bool),
    ("user", str),
    ("metadata", dict),
    ("service_tier", str),
    ("options", dict),
)
_STATE = ("store", "previous_response_id", "conversation", "key", "background")
_REPEATED = ("instructions", "tools", "tool_choice", "text", "reasoning", "truncation")
_HINTS = ("prompt_cache_key", "safety_identifier")
"""Repeated in the answer like the fields above, and kept for a target that knows what to do with them."""
_KNOWN = frozenset(
    {name for name, _ in _SETTINGS}
    | {*_STATE, *_REPEATED, "model", "input", "stream", "stream_options", "variables", "include"}
    | {"top_logprobs", "max_output_tokens", "max_tool_calls"}
)
_REFUSED = {
    "prompt": "woollama keeps no prompt templates of OpenAI's; name a recipe as the `model`",
    "context_management": "the context is not compacted on the way",
    "moderation": "nothing is moderated here",
    "image": "images are not compressed here",
    "access_programs": "there are no access programs here",
}
_INCLUDABLE = frozenset(
    {
        "reasoning.encrypted_content",
        "message.output_text.logprobs",
        "message.input_image.image_url",
        "file_search_call.results",
        "web_search_call.results",
        "web_search_call.action.sources",
        "computer_call_output.output.image_url",
        "code_interpreter_call.outputs",
    }
)


def decode(body: Mapping[str, Any], *, turn_id: str, caller: Caller) -> Turn:
    """`body` as a Turn. What has no word of ours is kept in `extra["responses"]`, what the answer repeats in `echo`."""
    fields = Fields(body)
    for name, why in _REFUSED.items():
        if fields.given(name):
            raise UnsupportedField(f"`{name}` is not available: {why}", param=name)
    fields.boolean("stream")
    tools = decode_tools(fields)
    state = _state(fields, caller)
    items = decode_items(fields)
    if not items and not (state.previous_response_id or state.conversation or state.key):
        raise BadRequest("`input` must be a non-empty string or array of items", param="input")
    answers_an_ask = any(isinstance(item, Answer) for item in items)
    return Turn(
        id=turn_id,
        caller=caller,
        dialect="responses",
        model=fields.model(),
        items=(*_instructions(fields), *items),
        client_tools=tools.functions,
        tool_grants=tools.grants,
        choice=tools.choice,
        params=_params(fields),
        state=state,
        variables=fields.strings("variables"),
        on_ask="pause" if tools.grants or answers_an_ask else "wait",
        extra={"responses": _kept(fields, body)},
        max_tool_calls=_at_least(fields, "max_tool_calls", 1),
        may_truncate=fields.raw("truncation") == "auto",
        echo={name: body[name] for name in (*_REPEATED, *_HINTS) if fields.given(name)},
    )


def _instructions(fields: Fields) -> tuple[Item, ...]:
    text = fields.text("instructions")
    return (Message("system", (Text(text),)),) if text else ()


def _state(fields: Fields, caller: Caller) -> StateWish:
    conversation = fields.raw("conversation")
    if isinstance(conversation, Mapping):
        conversation = needed(Fields(conversation, "conversation"), "id")
    elif conversation is not None and not isinstance(conversation, str):
        raise BadRequest("`conversation` must be an id or an object with one", param="conversation")
    store, background = fields.boolean("store"), fields.boolean("background")
    if background and store is False:
        raise BadRequest("a response in the background must be stored", param="background")
    key = fields.text("key")
    own_key = caller.scope.own_key(key) if key else key
    return StateWish(store, fields.text("previous_response_id"), conversation, own_key, bool(background))


def _params(fields: Fields) -> Params:
    settings = {name: fields.typed(name, kind) for name, kind in _SETTINGS}
    text = Fields.of(fields.object("text") or {}, "text")
    reasoning = Fields.of(fields.object("reasoning") or {}, "reasoning")
    reasoning.text("summary")
    included = _included(fields)
    top_logprobs = _at_least(fields, "top_logprobs", 0)
    return Params(
        max_tokens=_at_least(fields, "max_output_tokens", 1),
        logprobs=True if top_logprobs or "message.output_text.logprobs" in included else None,
        top_logprobs=top_logprobs,
        response_format=_format(text),
        reasoning_effort=reasoning.text("effort"),
        verbosity=text.text("verbosity"),
        **settings,
    )


def _included(fields: Fields) -> tuple[str, ...]:
    included = tuple(fields.array("include") or ())
    for index, name in enumerate(included):
        if not isinstance(name, str) or name not in _INCLUDABLE:
            raise UnsupportedField(f"{name!r} cannot be included", param=f"include[{index}]")
    return included


def _at_least(fields: Fields, name: str, least: int) -> int | None:
    number = fields.integer(name)
    if number is not None and number < least:
        raise BadRequest(f"`{name}` must be at least {least}", param=name)
    return number


def _format(text: Fields) -> ResponseFormat | None:
    wanted = decode_format(text, "format", nested=False)
    if wanted is not None and wanted.kind == "json_schema" and not wanted.name:
        raise BadRequest("a json_schema format needs a `name`", param="text.format.name")
    return wanted


def _kept(fields: Fields, body: Mapping[str, Any]) -> Mapping[str, Any]:
    truncation = fields.text("truncation")
    if truncation not in (None, "auto", "disabled"):
        raise BadRequest("`truncation` must be auto or disabled", param="truncation")
    for name in _HINTS:
        fields.text(name)
    obfuscated = Fields.of(fields.object("stream_options") or {}, "stream_options").boolean("include_obfuscation")
    kept = {name: value for name, value in body.items() if name not in _KNOWN and value is not None}
    for name, said in (("text", {"format", "verbosity"}), ("reasoning", {"effort"})):
        rest = {key: value for key, value in (fields.object(name) or {}).items() if key not in said}
        if any(value not in (None, "auto") for value in rest.values()):
            kept[name] = rest
    if obfuscated:
        kept["stream_options"] = {"include_obfuscation": True}
    return kept
