"""Upstreams that remember by themselves: their ids are used as they are, and whose they are is remembered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from tests.stateful import MODEL, Table, table
from tests.upstream import Answer, ScriptedUpstream, chat, json, sse
from woollama.domain.wire_json import dumps

KEEPS_STATE = 'keeps_state = true\ndialects = ["chat", "responses"]\n'


def response(response_id: str, text: str, **fields: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    return {"id": response_id, "object": "response", "status": "completed", "output": [message], **fields}


def streamed(response_id: str, text: str) -> Answer:
    events = [
        {"type": "response.created", "sequence_number": 0, "response": response(response_id, "")},
        {"type": "response.completed", "sequence_number": 1, "response": response(response_id, text)},
    ]
    return sse([f"event: {each['type']}\n".encode() + b"data: " + dumps(each) + b"\n\n" for each in events])


def paths(at: Table) -> list[tuple[str, str]]:
    return [(request.method, request.path) for request in at.upstream.requests]


async def test_its_responses_are_continued_read_and_deleted_where_they_are(tmp_path: Path) -> None:
    async with table(tmp_path, inferencer=KEEPS_STATE) as at:
        at.upstream.answers(json(response("resp_theirs", "one")))
        first = await at.client.responses.create(model=MODEL, input="1")
        assert (first.id, first.output_text) == ("resp_theirs", "one")
    async with table(tmp_path, inferencer=KEEPS_STATE) as at:
        at.upstream.answers(
            streamed("resp_second", "two"),
            json(response("resp_second", "two")),
            json({"object": "list", "data": [], "has_more": False, "first_id": None, "last_id": None}),
            json(response("resp_second", "two", status="cancelled")),
            json({"id": "resp_second", "object": "response", "deleted": True}),
        )
        stream = await at.client.responses.create(model=MODEL, input="2", previous_response_id=first.id, stream=True)
        assert [event.type async for event in stream][-1] == "response.completed"
        assert at.upstream.requests[0].json["previous_response_id"] == "resp_theirs"
        assert (await at.client.responses.retrieve("resp_second")).output_text == "two"
        await at.client.responses.input_items.list("resp_second", limit=5)
        await at.client.responses.cancel("resp_second")
        await at.client.responses.delete("resp_second")
        assert paths(at)[1:] == [
            ("GET", "/v1/responses/resp_second"),
            ("GET", "/v1/responses/resp_second/input_items?limit=5"),
            ("POST", "/v1/responses/resp_second/cancel"),
            ("DELETE", "/v1/responses/resp_second"),
        ]
        with pytest.raises(openai.NotFoundError):
            await at.client.responses.retrieve("resp_second")


async def test_only_its_own_models_continue_it(tmp_path: Path) -> None:
    async with table(tmp_path, inferencer=KEEPS_STATE) as at:
        at.upstream.answers(json(response("resp_theirs", "one")))
        first = await at.client.responses.create(model=MODEL, input="1")
        with pytest.raises(openai.BadRequestError, match="kept by the inferencer 'mock' itself"):
            await at.client.responses.create(model="scripted/echo", input="2", previous_response_id=first.id)


async def test_conversations_and_keys_are_ours_with_its_models_too(tmp_path: Path) -> None:
    async with table(tmp_path, inferencer=KEEPS_STATE) as at:
        at.upstream.answers(chat("1"), chat("2"))
        first = await at.client.responses.create(model=MODEL, input="one", extra_body={"key": "k"})
        await at.client.responses.create(model=MODEL, input="two", previous_response_id=first.id)
        assert [text for _, text in at.asked()] == ["one", "1", "two"]
        assert {path for _, path in paths(at)} == {"/v1/chat/completions"}


async def test_what_must_not_be_stored_is_not_remembered_either(tmp_path: Path) -> None:
    async with table(tmp_path, inferencer=KEEPS_STATE) as at:
        at.upstream.answers(json(response("resp_theirs", "one")))
        await at.client.responses.create(model=MODEL, input="1", store=False)
        with pytest.raises(openai.NotFoundError):
            await at.client.responses.retrieve("resp_theirs")


async def test_what_a_token_made_there_is_nothing_to_another_token(tmp_path: Path) -> None:
    tokens = {"WOOLLAMA_TOKEN_ONE": "the-token-of-one", "WOOLLAMA_TOKEN_TWO": "the-token-of-two"}
    rules = '[tokens.one]\nmodels = ["*"]\n[tokens.two]\nmodels = ["*"]\n'
    async with table(tmp_path, inferencer=KEEPS_STATE, environ=tokens, daemon_toml=rules) as at:
        one, two = (at.client.with_options(api_key=value) for value in tokens.values())
        at.upstream.answers(json(response("resp_theirs", "one")), json(response("resp_second", "two")))
        await one.responses.create(model=MODEL, input="1")
        for refused in (
            two.responses.retrieve("resp_theirs"),
            two.responses.delete("resp_theirs"),
            two.responses.create(model=MODEL, input="2", previous_response_id="resp_theirs"),
        ):
            with pytest.raises(openai.NotFoundError):
                await refused
        assert len(at.upstream.requests) == 1
        await one.responses.create(model=MODEL, input="2", previous_response_id="resp_theirs")


async def test_one_whose_inferencer_is_not_configured_any_more_says_so(tmp_path: Path) -> None:
    async with ScriptedUpstream() as upstream:
        gone = f'[inferencers.gone]\nbase_url = "{upstream.base_url}"\nmodels = ["m"]\ndiscover = false\n{KEEPS_STATE}'
        async with table(tmp_path, upstream=upstream, inferencer=gone) as at:
            upstream.answers(json(response("resp_theirs", "one")))
            await at.client.responses.create(model="gone/m", input="1")
        async with table(tmp_path) as at:
            for asked in (at.client.responses.retrieve("resp_theirs"), at.client.responses.delete("resp_theirs")):
                with pytest.raises(
                    openai.InternalServerError, match="'gone', which is not configured any more"
                ) as told:
                    await asked
                assert told.value.status_code == 503
