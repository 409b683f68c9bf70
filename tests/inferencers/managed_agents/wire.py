"""What the service may be sent and may say, held against the types of Anthropic's own SDK, unknown members included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from anthropic.types.beta import (
    BetaEnvironment,
    BetaManagedAgentsAgent,
    BetaManagedAgentsSession,
    SessionCreateParams,
    SessionUpdateParams,
)
from anthropic.types.beta.sessions import (
    BetaManagedAgentsSendSessionEvents,
    BetaManagedAgentsSessionEvent,
    BetaManagedAgentsStreamSessionEvents,
    EventSendParams,
)
from pydantic import BaseModel, TypeAdapter, ValidationError

AGENT, ENVIRONMENT, SESSION = BetaManagedAgentsAgent, BetaEnvironment, BetaManagedAgentsSession
STREAMED, LISTED, SENT = (
    BetaManagedAgentsStreamSessionEvents,
    BetaManagedAgentsSessionEvent,
    BetaManagedAgentsSendSessionEvents,
)
CREATES, UPDATES, SENDS = SessionCreateParams, SessionUpdateParams, EventSendParams
NOW = "2026-11-24T12:00:00Z"


class NotTheirs(Exception):
    """Something that the service would not take."""


@cache
def adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def said(shape: Any, value: Mapping[str, Any]) -> Mapping[str, Any]:
    """`value`, if it is one of `shape` and has no member that the SDK does not know."""
    read = adapter(shape).validate_python(value)
    assert not (unknown := list(_unknown(read))), f"the stand-in made up {unknown} in {value}"
    return value


def taken(shape: Any, value: Mapping[str, Any]) -> Mapping[str, Any]:
    """`value`, as it was sent, if it is one of `shape` and nothing else. Raises `NotTheirs`."""
    try:
        read = _whole(adapter(shape).validate_python(value))
    except ValidationError as error:
        first = error.errors()[0]
        raise NotTheirs(f"{'.'.join(str(step) for step in first['loc'])}: {first['msg']}") from None
    if read != value:
        raise NotTheirs(f"Extra inputs are not permitted: {value} is more than {read}")
    return value


def _unknown(value: Any) -> Iterable[str]:
    if isinstance(value, BaseModel):
        yield from value.model_extra or ()
        for name in type(value).model_fields:
            yield from _unknown(getattr(value, name))
    elif isinstance(value, list):
        for each in value:
            yield from _unknown(each)


def _whole(value: Any) -> Any:
    """Without the lazy iterators that pydantic makes of what the SDK calls an iterable."""
    if isinstance(value, Mapping):
        return {name: _whole(each) for name, each in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [_whole(each) for each in value]
    return value
