"""What an upstream says when it refuses reaches the client, and a prompt that is too long is told from all else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from woollama.domain.errors import ContextTooLong, UpstreamRefused
from woollama.inferencers.http.refusals import redirected, refused


def of(status: int, payload: Any, *headers: tuple[bytes, bytes]) -> Any:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return refused("up/m", status, headers, body)


def test_message_param_code_and_payload_are_the_upstreams():
    payload = {"error": {"message": "No such model", "type": "invalid", "param": "model", "code": "model_not_found"}}
    error = of(404, payload)
    assert isinstance(error, UpstreamRefused)
    assert (error.status_hint, error.param, error.code, error.payload) == (404, "model", "model_not_found", payload)
    assert error.message == "up/m refused with status 404: No such model"


def test_headers_that_matter_are_kept_and_no_others():
    error = of(429, {}, (b"retry-after", b"2"), (b"x-ratelimit-limit-requests", b"1"), (b"set-cookie", b"x"))
    assert error.headers == {"retry-after": "2", "x-ratelimit-limit-requests": "1"}
    assert error.retry_after == 2.0


def test_a_date_to_retry_after_is_passed_on_but_not_waited_for():
    error = of(503, {}, (b"retry-after", b"Fri, 20 Nov 2026 00:00:00 GMT"))
    assert error.retry_after is None
    assert "retry-after" in error.headers


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"error": "in words"}, "in words"),
        ({"message": "at the top"}, "at the top"),
        ({"detail": "as detail"}, "as detail"),
        ([{"error": {"message": "in an array"}}], "in an array"),
        ({"object": "error", "message": "unwrapped", "code": 500}, "unwrapped"),
        (b"plain text", "plain text"),
        (b"<html><title>502 Bad Gateway</title><body>\n\n nginx</body></html>", "502 Bad Gateway nginx"),
        (b"", "it said nothing more"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ({"error": None}, '{"error": null}'),
    ],
)
def test_the_reason_is_found_wherever_it_stands(payload: Any, said: str):
    assert of(500, payload).message == f"up/m refused with status 500: {said}"


def test_a_long_page_is_cut():
    assert len(of(502, b"x" * 100_000).message) < 400


@pytest.mark.parametrize(
    "error",
    [
        {"message": "too many tokens", "code": "context_length_exceeded"},
        {"message": "request (9 tokens) exceeds the available context size", "type": "exceed_context_size_error"},
        {"message": "This model's maximum context length is 8192 tokens."},
        {"message": "prompt is too long: 9 tokens > 8 maximum"},
        {"message": "The input exceeds the model's context window"},
    ],
)
def test_a_prompt_that_is_too_long_is_the_clients_fault(error: dict[str, str]):
    found = of(400, {"error": error})
    assert isinstance(found, ContextTooLong)
    assert found.code == "context_length_exceeded"
    assert error["message"] in found.message


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "max_tokens is too large"),
        (400, "`context` must be a string"),
        (400, "the name exceeds its length"),
        (500, "This model's maximum context length is 8192 tokens."),
        (429, "Rate limit: maximum context length exceeded per minute"),
    ],
)
def test_anything_less_clear_is_a_refusal(status: int, message: str):
    assert type(of(status, {"error": {"message": message}})) is UpstreamRefused


def test_a_redirect_names_the_place():
    error = redirected("up", "http://x/v1", b"https://x/v1")
    assert error.status_hint == 502
    assert "redirects to https://x/v1" in error.message


def test_a_status_that_is_neither_success_nor_error_is_a_bad_gateway():
    assert of(199, {}).status_hint == 502
