"""The `params` of a recipe: settings of a model call, by the names that the rest of the program knows them by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from woollama.config.problems import Finding, Wrong, did_you_mean
from woollama.config.values import Kind, flag, kind, list_of, map_of, number, one_of, some_text, table, text, whole
from woollama.domain.turns import Params, ResponseFormat


def _stop(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) and value else list_of(some_text).read(value)


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


KINDS: Mapping[str, Kind[Any]] = {
    "temperature": number(0),
    "top_p": number(0, 1),
    "top_k": whole(),
    "max_tokens": whole(1),
    "stop": kind("a text or a list of texts", _stop),
    "seed": whole(-(2**63)),
    "presence_penalty": number(-2, 2),
    "frequency_penalty": number(-2, 2),
    "logit_bias": map_of(number(-100, 100)),
    "logprobs": flag,
    "top_logprobs": whole(0, 20),
    "response_format": kind("a response format with a type, as OpenAI writes it", _response_format),
    "reasoning_effort": some_text,
    "reasoning_budget_tokens": whole(),
    "verbosity": some_text,
    "parallel_tool_calls": flag,
    "user": text,
    "metadata": table,
    "service_tier": some_text,
    "options": table,
}
"""Every field of `domain.turns.Params`."""


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


param_name = Kind("the name of a param", _param_name)
params = Kind("a table of settings of a model call", _params)
