"""Compaction: fewer tokens, and a fact from before is still known, in every store and however it is gone on from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import needs_postgres, postgres
from tests.stateful import MODEL, Table, table
from tests.test_external_stores import configured
from tests.upstream import Answer, Received, chat_json, chat_stream

SMALL_TALK = "Well, let us think about that for a while then, and look at it from all sides before anything is done. "
QUESTION = "What is the code?"


def remembers(summary: str) -> Any:
    """A model that knows the code when its prompt has it, and whose summary is always this one."""

    def answer(request: Received) -> Answer:
        said = [message["content"] for message in request.json["messages"]]
        if said[-1].startswith("Sum up"):
            text = summary
        elif said[-1] == QUESTION:
            found = re.search(r"code of the door is (\d+)", "\n".join(said[:-1]))
            text = f"It is {found[1]}." if found else "I do not know."
        else:
            text = SMALL_TALK * 4
        return chat_stream(text) if request.json.get("stream") else chat_json(text)

    return answer


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=needs_postgres), "http", "mcp"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        match request.param:
            case "sqlite":
                yield {}
            case "postgres":
                yield {"environ": {"WOOLLAMA_STATE_URL": stack.enter_context(postgres())}}
            case kind:
                yield stack.enter_context(configured(kind, tmp_path))


async def talk(at: Table) -> Any:
    """The last response of a long conversation in which a fact was told."""
    last = await at.client.responses.create(model=MODEL, input="The code of the door is 7319. " + SMALL_TALK)
    for _ in range(3):
        last = await at.client.responses.create(model=MODEL, input=SMALL_TALK * 3, previous_response_id=last.id)
    return last


async def tokens(at: Table, **asked: Any) -> int:
    return (await at.client.responses.input_tokens.count(model=MODEL, **asked)).input_tokens


async def compact(at: Table, **asked: Any) -> Any:
    answer = await at.http.post("/v1/responses/compact", json={"model": MODEL, **asked})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["object"] == "response.compaction"
    return told


async def test_what_is_compacted_by_id_is_gone_on_from_by_input_and_by_id(
    tmp_path: Path, store: dict[str, Any]
) -> None:
    question: Any = {"role": "user", "content": QUESTION}
    async with table(tmp_path, **store) as at:
        at.upstream.always(remembers("The code of the door is 7319."))
        last = await talk(at)
        made = await compact(at, previous_response_id=last.id)
        assert made["x_woollama"]["made_by"] == "model"
        (item,) = made["output"]
        before, after = await tokens(at, previous_response_id=last.id), await tokens(at, input=[item])
        assert 0 < after < before / 2
        answered = await at.client.responses.create(model=MODEL, input=[item, question])
        assert answered.output_text == "It is 7319."
        conversation = await at.client.conversations.create(items=[item])
        told = await at.client.responses.create(model=MODEL, input=[question], conversation=conversation.id)
        assert told.output_text == "It is 7319."
    async with table(tmp_path, **store) as at:  # after a restart
        at.upstream.always(remembers(""))
        again = await at.client.responses.create(model=MODEL, input=QUESTION, previous_response_id=answered.id)
        assert again.output_text == "It is 7319."
        told = await at.client.responses.create(model=MODEL, input=[question], conversation=conversation.id)
        assert told.output_text == "It is 7319."
        assert SMALL_TALK not in str(at.asked())


async def test_a_model_that_cannot_sum_up_loses_no_fact(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        for bad in ("How can I help you today?", "", SMALL_TALK * 40):
            at.upstream.always(remembers(bad))
            history: Any = [
                {"role": "user", "content": "The code of the door is 7319. " + SMALL_TALK * 3},
                {"role": "assistant", "content": SMALL_TALK * 4},
            ]
            made = await compact(at, input=history)
            assert made["x_woollama"]["made_by"] == "extraction"
            assert await tokens(at, input=made["output"]) < await tokens(at, input=history)
            on: Any = [*made["output"], {"role": "user", "content": QUESTION}]
            answered = await at.client.responses.create(model=MODEL, input=on)
            assert answered.output_text == "It is 7319."


async def test_a_compaction_is_nobodys_but_ours_to_read(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        at.upstream.always(remembers("The code of the door is 7319."))
        made = await compact(at, input="The code of the door is 7319. " + SMALL_TALK * 4)
        item = {**made["output"][0], "encrypted_content": "made elsewhere"}
        refused = await at.http.post("/v1/responses", json={"model": MODEL, "input": [item]})
        assert refused.status_code == 400
        assert "encrypted_content" in refused.json()["error"]["param"]
