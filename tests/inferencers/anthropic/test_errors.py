"""Every way in which the SDK or its connection can fail has an error of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest

from woollama.domain.errors import (
    ContextTooLong,
    RouterError,
    UpstreamBroke,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from woollama.inferencers.anthropic.errors import STATUS_OF_TYPE, mapped, refusal_of, router_error_of

REQUEST = httpx2.Request("POST", "https://api.anthropic.com/v1/messages")
UPSTREAM_ERRORS = (UpstreamRefused, UpstreamUnreachable, UpstreamBroke, UpstreamTimeout)


def family(root: type[BaseException]) -> Iterator[type[BaseException]]:
    yield root
    for child in root.__subclasses__():
        yield from family(child)


def is_library(kind: type[BaseException]) -> bool:
    return kind.__module__.startswith(("anthropic", "httpx2"))


def made(kind: type[BaseException]) -> Exception:
    """An instance of `kind`, in whichever of the libraries' ways it is made; a blank one of the SDK's odder kinds."""
    response = httpx2.Response(getattr(kind, "status_code", 500), request=REQUEST)
    ways: list[dict[str, Any] | tuple[Any, ...]] = [
        {"message": "m", "response": response, "body": None},
        {"response": response, "body": None},
        {"message": "m", "request": REQUEST, "body": None},
        {"request": REQUEST},
        {"message": "m", "request": REQUEST, "response": response},
        ("m",),
        (),
    ]
    for way in ways:
        try:
            error = kind(**way) if isinstance(way, dict) else kind(*way)
        except TypeError:
            continue
        assert isinstance(error, Exception)
        return error
    assert not issubclass(kind, anthropic.APIError), f"nobody knows how to make a {kind.__name__}"
    blank = kind.__new__(kind)
    assert isinstance(blank, Exception)
    return blank


SDK_KINDS = sorted(set(filter(is_library, family(anthropic.AnthropicError))), key=lambda kind: kind.__name__)
NETWORK_KINDS = sorted(
    {each for root in (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL) for each in family(root)},
    key=lambda kind: kind.__name__,
)


def test_the_walk_sees_what_the_libraries_export() -> None:
    exported = {value for value in vars(anthropic).values() if isinstance(value, type)}
    assert {kind for kind in exported if issubclass(kind, anthropic.AnthropicError)} <= set(SDK_KINDS)
    assert {httpx2.ReadTimeout, httpx2.RemoteProtocolError, httpx2.StreamClosed} <= set(NETWORK_KINDS)


@pytest.mark.parametrize("kind", [*SDK_KINDS, *NETWORK_KINDS], ids=lambda kind: kind.__name__)
def test_every_error_of_the_libraries_becomes_one_of_ours(kind: type[BaseException]) -> None:
    ours = router_error_of(made(kind), "claude/model")
    assert isinstance(ours, UPSTREAM_ERRORS)
    assert ours.at_fault == "upstream"
    assert 400 <= ours.status_hint <= 599
    assert ours.message


@pytest.mark.parametrize("kind", list(filter(is_library, family(anthropic.APIStatusError))), ids=lambda k: k.__name__)
def test_an_answer_with_an_error_status_keeps_that_status(kind: type[BaseException]) -> None:
    error = made(kind)
    ours = router_error_of(error, "claude/model")
    assert isinstance(error, anthropic.APIStatusError)
    assert isinstance(ours, UpstreamRefused)
    assert ours.status_hint == error.status_code


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (anthropic.APITimeoutError(REQUEST), UpstreamTimeout),
        (anthropic.APIConnectionError(request=REQUEST), UpstreamUnreachable),
        (httpx2.ConnectError("refused"), UpstreamUnreachable),
        (httpx2.ReadTimeout("slow"), UpstreamTimeout),
        (TimeoutError(), UpstreamTimeout),
        (httpx2.RemoteProtocolError("peer closed connection"), UpstreamBroke),
        (httpx2.ReadError(""), UpstreamBroke),
        (json.JSONDecodeError("Expecting value", "<", 0), UpstreamBroke),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), UpstreamBroke),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else type(value).__name__,
)
def test_silence_absence_and_a_broken_answer_are_told_apart(error: Exception, kind: type[RouterError]) -> None:
    assert type(router_error_of(error, "claude/model")) is kind


def test_a_defect_of_ours_is_not_blamed_on_the_upstream() -> None:
    assert router_error_of(KeyError("oops"), "claude/model") is None
    with pytest.raises(KeyError), mapped("claude/model"):
        raise KeyError("oops")


def test_our_own_errors_pass_and_foreign_ones_keep_their_cause() -> None:
    ours = UpstreamBroke("ours")
    with pytest.raises(UpstreamBroke) as caught, mapped("claude/model"):
        raise ours
    assert caught.value is ours
    theirs = httpx2.ReadTimeout("slow")
    with pytest.raises(UpstreamTimeout) as timeout, mapped("claude/model"):
        raise theirs
    assert timeout.value.__cause__ is theirs


@pytest.mark.parametrize(("kind", "status"), STATUS_OF_TYPE.items())
def test_an_error_inside_a_stream_has_the_status_that_its_type_stands_for(kind: str, status: int) -> None:
    payload = {"type": "error", "error": {"type": kind, "message": "Sorry"}}
    ours = refusal_of(payload)
    assert isinstance(ours, UpstreamRefused)
    assert (ours.status_hint, ours.message, ours.code, ours.payload) == (status, "Sorry", kind, payload)


@pytest.mark.parametrize("payload", [None, "<html>", {}, {"error": "text"}, {"error": {"message": None}}, [1]])
def test_a_body_that_is_no_error_object_is_a_refusal_all_the_same(payload: Any) -> None:
    ours = refusal_of(payload, status=502, who="claude/model")
    assert isinstance(ours, UpstreamRefused)
    assert (ours.status_hint, ours.message) == (502, "claude/model answered with status 502")


def test_headers_that_matter_are_kept_and_the_others_are_not() -> None:
    headers = {
        "retry-after": "7",
        "request-id": "req_1",
        "anthropic-ratelimit-tokens-remaining": "0",
        "set-cookie": "session=1",
        "server": "cloudflare",
    }
    ours = refusal_of({"error": {"type": "rate_limit_error"}}, status=429, headers=headers)
    assert isinstance(ours, UpstreamRefused)
    assert ours.retry_after == 7.0
    assert ours.headers == {
        "retry-after": "7",
        "request-id": "req_1",
        "anthropic-ratelimit-tokens-remaining": "0",
    }
    assert refusal_of({}, status=503, headers={"retry-after": "Fri, 20 Nov 2026 12:00:00 GMT"}).retry_after is None


@pytest.mark.parametrize(
    "message",
    [
        "prompt is too long: 213462 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 195000 + 8192 > 200000",
    ],
)
def test_a_prompt_that_does_not_fit_is_the_clients_to_shorten(message: str) -> None:
    ours = refusal_of({"error": {"type": "invalid_request_error", "message": message}}, status=400)
    assert isinstance(ours, ContextTooLong)
    assert (ours.at_fault, ours.message) == ("client", message)
