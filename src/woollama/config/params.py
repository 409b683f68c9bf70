"""The `params` of a recipe: settings of a model call, by the names that the rest of the program knows them by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from woollama.config.problems import Finding, Wrong, did_you_mean
from woollama.config.records import Setting
from woollama.config.values import Kind, flag, kind, list_of, map_of, number, one_of, some_text, table, text, whole
from woollama.domain.turns import Params, ResponseFormat

_RESPONSE_FORMAT = {
    "type": "object",
    "properties": {
        "type": {"enum": ["text", "json_object", "json_schema"]},
        "json_schema": {"type": "object", "properties": {"schema": {"type": "object"}}, "required": ["schema"]},
    },
    "required": ["type"],
    "if": {"properties": {"type": {"const": "json_schema"}}},
    "then": {"required": ["json_schema"]},
}


def _not_empty(value: Any) -> str:
    if text.read(value) == "":
        raise ValueError
    return str(value)


_stop_text = kind("a text that is not empty", _not_empty, {"type": "string", "minLength": 1}, word="text")
_stops = list_of(_stop_text)


def _stop(value: Any) -> tuple[str, ...]:
    """One text, or a list of them; white space is one, too."""
    return (_stop_text.read(value),) if isinstance(value, str) else _stops.read(value)


def _response_format(value: Any) -> ResponseFormat:
    """As OpenAI writes it: `{type = "json_schema", json_schema = {name = "…", schema = {…}}}`."""
    named = table.read(table.read(value).get("json_schema", {}))
    return ResponseFormat(
        kind=one_of("text", "json_object", "json_schema").read(value.get("type")),
        name=named.get("name"),
        schema=named["schema"] if value["type"] == "json_schema" else None,
        strict=named.get("strict"),
        description=named.get("description"),
    )


SETTINGS: Mapping[str, Setting] = {
    "temperature": Setting(number(0), "how much chance there is in it"),
    "top_p": Setting(number(0, 1), "sample from the likeliest tokens that together have this probability"),
    "top_k": Setting(whole(), "sample from so many of the likeliest tokens"),
    "max_tokens": Setting(whole(1), "the longest answer, in tokens"),
    "stop": Setting(
        kind("a text or a list of texts", _stop, {"anyOf": [_stop_text.schema, _stops.schema]}),
        "texts at which the answer ends",
    ),
    "seed": Setting(whole(-(2**63)), "the same chance again, where the model can do that"),
    "presence_penalty": Setting(number(-2, 2), "against tokens that have occurred"),
    "frequency_penalty": Setting(number(-2, 2), "against tokens by how often they have occurred"),
    "logit_bias": Setting(map_of(number(-100, 100)), "for or against single tokens, by their numbers"),
    "logprobs": Setting(flag, "tell the probabilities of the tokens"),
    "top_logprobs": Setting(whole(0, 20), "and of so many others at each place"),
    "response_format": Setting(
        kind("a response format with a type, as OpenAI writes it", _response_format, _RESPONSE_FORMAT),
        "the form of the answer, as OpenAI writes it",
    ),
    "reasoning_effort": Setting(some_text, "how much the model thinks: low, medium, high, or a word of its own"),
    "reasoning_budget_tokens": Setting(whole(), "how much it may think, in tokens"),
    "verbosity": Setting(some_text, "how much it says: low, medium, high"),
    "parallel_tool_calls": Setting(flag, "whether it may call several tools at once"),
    "user": Setting(text, "whose request it is, told to the inferencer"),
    "metadata": Setting(table, "kept with the request by inferencers that do so"),
    "service_tier": Setting(some_text, "the provider's class of service"),
    "options": Setting(table, "Ollama's own, such as num_ctx"),
}
"""Every field of `domain.turns.Params`."""
KINDS: Mapping[str, Kind[Any]] = {name: how.kind for name, how in SETTINGS.items()}


def _params(value: Any) -> Params:
    findings: list[Finding] = []
    values: dict[str, Any] = {}
    for key, raw in table.read(value).items():
        if key not in KINDS:
            findings.append(Finding("is no known setting of a model call", (key,), did_you_mean(key, KINDS)))
            continue
        try:
            values[key] = KINDS[key].read(raw)
        except Wrong as wrong:
            findings += wrong.under(key)
    if findings:
        raise Wrong(*findings)
    return Params(**values)


def _param_name(value: Any) -> str:
    if not isinstance(value, str) or value not in KINDS:
        raise Wrong(Finding("must be one of the params", suggestion=did_you_mean(str(value), KINDS)))
    return value


param_name = Kind("the name of a param", _param_name, {"enum": list(KINDS)}, "name of a param")
params = Kind(
    "a table of settings of a model call",
    _params,
    {
        "type": "object",
        "properties": {name: {"description": how.doc, **how.kind.schema} for name, how in SETTINGS.items()},
        "additionalProperties": False,
    },
    "table of params",
)
