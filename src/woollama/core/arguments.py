"""The arguments of a tool call: from the JSON text that a model wrote to a checked object."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from woollama.domain.messages import Json

MOST_PROBLEMS = 5
KEPT_VALIDATORS = 256


class Unreadable(ValueError):
    """The model's text is no JSON object. The message is for the model."""


def parse(text: str) -> dict[str, Json]:
    """The object in `text`; no text at all is an empty object, because models write that for tools without any."""
    if not text.strip():
        return {}
    try:
        value = json.loads(text, parse_constant=_no_number)
    except ValueError as error:
        raise Unreadable(f"the arguments are not valid JSON: {error}") from None
    except RecursionError:
        raise Unreadable("the arguments are not valid JSON: nested too deeply") from None
    if not isinstance(value, dict):
        raise Unreadable(f"the arguments must be a JSON object, not {_kind_of(value)}")
    return value


def problems_of(arguments: Mapping[str, Json], schema: Mapping[str, Json]) -> tuple[str, ...]:
    """What is wrong with `arguments` by a JSON Schema, each a sentence with its path; empty when all is well.

    A schema that is itself broken, or refers to itself or to what is not in it, judges nothing: its server will. What
    lies elsewhere is taken for anything and never fetched, which is what the library would do.
    """
    try:
        errors = _validator(json.dumps(schema)).iter_errors(dict(arguments))
        found = sorted(errors, key=lambda error: list(map(str, error.path)))
    except Exception:  # of any kind: RecursionError, OverflowError and AttributeError have been seen
        return ()
    return tuple(_sentence(error) for error in found[:MOST_PROBLEMS])


async def ready(schema: Mapping[str, Json]) -> None:
    """Before the first arguments are judged: 60 ms of imports, which are to stop nobody's stream."""
    if not _validator.cache_info().currsize:
        await asyncio.to_thread(problems_of, {}, schema)


@lru_cache(KEPT_VALIDATORS)
def _validator(schema: str) -> Any:
    """Raises whatever the library does for a schema that is broken. To look at that costs more than to judge by it."""
    import jsonschema
    from referencing import Registry, Resource

    anything: Any = Registry(retrieve=lambda uri: Resource.opaque({}))  # type: ignore[call-arg]
    read = json.loads(schema)
    kind: Any = jsonschema.validators.validator_for(read, default=jsonschema.Draft202012Validator)
    kind.check_schema(read)
    return kind(read, registry=anything)


def _sentence(error: Any) -> str:
    where = ".".join(map(str, error.absolute_path))
    return f"{where}: {error.message}" if where else str(error.message)


def _no_number(word: str) -> Json:
    raise ValueError(f"{word} is no JSON")


def _kind_of(value: Json) -> str:
    kinds: dict[type, str] = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")
