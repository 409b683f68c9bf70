"""From a model's text to arguments, and what the model is told when they are wrong."""

from __future__ import annotations

import asyncio

import pytest

from woollama.core import arguments

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.mark.parametrize(("text", "value"), [('{"city": "Bern"}', {"city": "Bern"}), ("", {}), ("  ", {})])
def test_an_object_or_nothing_is_read(text: str, value: dict[str, str]) -> None:
    assert arguments.parse(text) == value


@pytest.mark.parametrize(
    ("text", "why"), [("{", "not valid JSON"), ("[1]", "an array"), ("null", "null"), ("3", "a number")]
)
def test_what_is_no_object_is_named(text: str, why: str) -> None:
    with pytest.raises(arguments.Unreadable, match=why):
        arguments.parse(text)


def test_problems_say_where_and_what() -> None:
    assert arguments.problems_of({"city": "Bern"}, CITY) == ()
    assert arguments.problems_of({"city": 3}, CITY) == ("city: 3 is not of type 'string'",)
    assert arguments.problems_of({}, CITY) == ("'city' is a required property",)


@pytest.mark.parametrize(
    "schema", [{"type": "no such type"}, {"$ref": "https://elsewhere.invalid/schema"}, {"$ref": "#/$defs/missing"}]
)
def test_a_broken_schema_judges_nothing_and_fetches_nothing(schema: dict[str, str]) -> None:
    assert arguments.problems_of({"city": 3}, schema) == ()


@pytest.mark.parametrize(
    "schema",
    [{"$ref": "#"}, {"$schema": 5}, {"properties": {"a": {"multipleOf": 0.1}}}, {"$id": "http://[", "$ref": "x"}],
)
def test_a_schema_that_cannot_be_judged_by_judges_nothing(schema: dict[str, object]) -> None:
    assert arguments.problems_of({"a": float("inf")}, schema) == ()


def test_what_python_alone_takes_for_a_number_is_unreadable() -> None:
    with pytest.raises(arguments.Unreadable, match="NaN is no JSON"):
        arguments.parse('{"a": NaN}')


async def test_what_a_schema_refers_to_elsewhere_is_not_fetched() -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as canary:
        port = canary.sockets[0].getsockname()[1]
        fields = {"a": {"$ref": f"http://127.0.0.1:{port}/schema"}, "city": {"type": "string"}}
        judged = asyncio.to_thread(arguments.problems_of, {"a": 1, "city": 3}, {"properties": fields})
        assert await judged == ("city: 3 is not of type 'string'",)
    assert asked == []
