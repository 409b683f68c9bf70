"""Durations, sizes and the other kinds of values."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from woollama.config import values
from woollama.config.params import KINDS, params
from woollama.config.problems import Wrong
from woollama.domain.turns import Params, ResponseFormat


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("500ms", 0.5),
        ("10s", 10),
        ("5m", 300),
        ("1.5h", 5400),
        ("1d", 86400),
        (" 2 s ", 2),
        (3, 3),
        (0.25, 0.25),
        ("7", 7),
    ],
)
def test_durations_read_as_people_write_them(written: Any, seconds: float) -> None:
    assert values.duration().read(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written", ["", "10 parsecs", "-1s", -1, 0, "0s", True, None, float("inf"), float("nan"), "inf", []]
)
def test_what_is_no_duration_is_told(written: Any) -> None:
    with pytest.raises(Wrong) as caught:
        values.duration().read(written)
    assert "must be a duration such as 500ms, 10s or 5m" in caught.value.findings[0].message


def test_a_duration_of_nothing_is_allowed_where_it_means_something() -> None:
    assert values.duration(positive=False).read("0s") == 0


@pytest.mark.parametrize(
    ("written", "expected"),
    [("64KiB", 65536), ("100MB", 100_000_000), ("1.5 MiB", 1572864), ("2gib", 2**31), ("10", 10), (10, 10), ("5B", 5)],
)
def test_sizes_read_as_people_write_them(written: Any, expected: int) -> None:
    assert values.size.read(written) == expected


@pytest.mark.parametrize("written", ["64 Kib B", "1TB", "-1", 0, 1.5, True, None])
def test_what_is_no_size_is_told(written: Any) -> None:
    with pytest.raises(Wrong):
        values.size.read(written)


@pytest.mark.parametrize(
    ("written", "seconds"), [(30, 30), (999, 999), (1000, 1), (60000, 60), ("90s", 90), ("1000s", 1000)]
)
def test_timeouts_of_mcp_json_are_ms_from_a_thousand_on(written: Any, seconds: float) -> None:
    assert values.ms_or_s.read(written) == seconds


@pytest.mark.parametrize("written", ["127.0.0.1:11435", "[::1]:0", "localhost:80", ":8080", "0.0.0.0"])
def test_addresses(written: str) -> None:
    assert values.address.read(written) == written


@pytest.mark.parametrize("written", ["", "::1:80", "host:99999", "http://host:80", "host:port", 80])
def test_what_is_no_address_is_told(written: Any) -> None:
    with pytest.raises(Wrong, match="HOST:PORT"):
        values.address.read(written)


@pytest.mark.parametrize("written", ["ftp://x", "localhost:80", "http://", "http://x/?q=1", "http://x:y", "", 5])
def test_what_is_no_url_is_told(written: Any) -> None:
    with pytest.raises(Wrong, match="a URL such as"):
        values.url.read(written)


def test_a_url_ends_without_a_slash() -> None:
    assert values.url.read("https://example.org/v1/") == "https://example.org/v1"


@pytest.mark.parametrize("written", ["", "  ", "Bearer ", "bearer", "Basic  "])
def test_a_header_without_its_secret_is_no_header(written: str) -> None:
    with pytest.raises(Wrong, match="has no value"):
        values.headers.read({"Authorization": written})


def test_a_header_is_one_line() -> None:
    with pytest.raises(Wrong, match="one line"):
        values.headers.read({"X": "a\r\nY: b"})


def test_all_that_is_wrong_in_a_list_is_told_with_its_place() -> None:
    with pytest.raises(Wrong) as caught:
        values.texts.read(["fine", 1, ""])
    assert [finding.at for finding in caught.value.findings] == [(1,), (2,)]


def test_a_wrong_word_is_told_with_the_nearest() -> None:
    with pytest.raises(Wrong) as caught:
        values.one_of("openai", "anthropic").read("openal")
    assert caught.value.findings[0].suggestion == 'did you mean "openai"?'


def test_every_setting_of_a_model_call_can_be_written() -> None:
    assert set(KINDS) == {field.name for field in fields(Params)}


def test_params_are_those_of_the_rest_of_the_program() -> None:
    schema = {"type": "object"}
    written = {
        "temperature": 0.2,
        "stop": "END",
        "options": {"num_ctx": 8192},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}},
    }
    assert params.read(written) == Params(
        temperature=0.2,
        stop=("END",),
        options={"num_ctx": 8192},
        response_format=ResponseFormat("json_schema", "n", schema, True),
    )


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ({"temprature": 1}, ("temprature",)),
        ({"temperature": "hot"}, ("temperature",)),
        ({"max_tokens": True}, ("max_tokens",)),
        ({"response_format": {"type": "json_schema"}}, ("response_format",)),
        ({"response_format": "json"}, ("response_format",)),
        ({"stop": [""]}, ("stop", 0)),
        ("warm", ()),
    ],
)
def test_params_that_do_not_fit_are_told_with_their_place(written: Any, at: tuple[str, ...]) -> None:
    with pytest.raises(Wrong) as caught:
        params.read(written)
    assert [finding.at for finding in caught.value.findings] == [at]


def test_a_stop_may_be_white_space() -> None:
    assert params.read({"stop": ["\n\n", "END"]}).stop == ("\n\n", "END")
    assert params.read({"stop": " "}).stop == (" ",)
    with pytest.raises(Wrong):
        params.read({"stop": [""]})
