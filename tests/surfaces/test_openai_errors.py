"""The error body of OpenAI's dialects."""

from __future__ import annotations

import inspect

import openai
import pytest

from woollama.domain import errors
from woollama.domain.errors import (
    BadRequest,
    ContextTooLong,
    InternalFault,
    RouterError,
    UnknownModel,
    UpstreamRefused,
    UpstreamUnreachable,
)
from woollama.surfaces.openai_errors import encode_error

EVERY_KIND = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, RouterError) and each not in (RouterError, UpstreamRefused)
]


@pytest.mark.parametrize("kind", EVERY_KIND, ids=lambda kind: kind.__name__)
def test_every_error_has_its_keys_and_says_who_is_at_fault(kind: type[RouterError]) -> None:
    body = encode_error(kind("it went wrong"))

    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code", "at_fault"}
    assert body["error"]["message"] == "it went wrong"
    assert body["error"]["param"] is None
    assert body["error"]["type"]
    assert body["error"]["code"]
    assert body["error"]["at_fault"] == kind.at_fault


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (BadRequest("no"), "invalid_request_error", "bad_request"),
        (ContextTooLong("no"), "invalid_request_error", "context_length_exceeded"),
        (UnknownModel("no"), "invalid_request_error", "model_not_found"),
        (errors.NotAuthorized("no"), "authentication_error", "invalid_api_key"),
        (errors.Forbidden("no"), "permission_error", "forbidden"),
        (errors.TooMany("no"), "rate_limit_error", "rate_limit_exceeded"),
        (InternalFault("no"), "server_error", "internal_fault"),
        (UpstreamUnreachable("no"), "upstream_error", "upstream_unreachable"),
        (UpstreamRefused("no", status=429), "rate_limit_error", "upstream_refused"),
        (UpstreamRefused("no", status=500), "upstream_error", "upstream_refused"),
    ],
)
def test_the_type_follows_the_status(error: RouterError, kind: str, code: str) -> None:
    body = encode_error(error)["error"]

    assert (body["type"], body["code"]) == (kind, code)


def test_a_named_field_and_code_win() -> None:
    body = encode_error(BadRequest("`n` must be 1", param="n", code="invalid_value"))["error"]

    assert (body["param"], body["code"]) == ("n", "invalid_value")


def test_what_the_upstream_said_of_itself_is_passed_on() -> None:
    payload = {"error": {"message": "x", "type": "insufficient_quota", "param": "model", "code": "insufficient_quota"}}
    body = encode_error(UpstreamRefused("x", status=429, payload=payload))["error"]

    assert (body["type"], body["param"], body["code"]) == ("insufficient_quota", "model", "insufficient_quota")
    assert body["at_fault"] == "upstream"


@pytest.mark.parametrize("payload", [None, "<html>", {"error": "text"}, {"error": {"code": 500}}, []])
def test_a_strange_payload_of_an_upstream_does_no_harm(payload: object) -> None:
    body = encode_error(UpstreamRefused("x", status=502, payload=payload))["error"]

    assert (body["type"], body["param"], body["code"]) == ("upstream_error", None, "upstream_refused")


def test_the_sdk_reads_the_body() -> None:
    body = encode_error(UnknownModel("there is no model 'x'", param="model"))
    error = openai.APIError("", request=None, body=body["error"])  # type: ignore[arg-type]

    assert (error.code, error.param, error.type) == ("model_not_found", "model", "invalid_request_error")
