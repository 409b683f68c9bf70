"""Responses that are remembered, through the official SDK: chains, forks, conversations, keys, what is forgotten."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.dialects.responses_wire import check_response
from tests.stateful import MODEL, Table, table
from tests.upstream import chat, chat_json, chat_stream, chat_tool_call, error
from woollama.core.claims import Claim
from woollama.sqlite_file import open_private

FUNCTION: Any = {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}, "strict": False}


async def said(at: Table, text: str, answer: str, **asked: Any) -> Any:
    at.upstream.answers(chat(answer))
    return await at.client.responses.create(model=MODEL, input=text, **asked)


async def test_a_response_is_read_as_it_was_given(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        given = await said(at, "hi", "hello", metadata={"a": "b"}, instructions="be brief", temperature=0.5)
        assert given.model_dump()["store"] is True
        read = await at.http.get(f"/v1/responses/{given.id}")
        check_response(read.json())
        assert read.json() == given.model_dump(exclude_unset=True)
        items = [item async for item in at.client.responses.input_items.list(given.id)]
        assert [item.content[0].text for item in items] == ["hi"]  # type: ignore[union-attr]


async def test_a_chain_goes_on_after_a_restart_and_instructions_do_not(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        first = await said(at, "my name is Zed", "noted", instructions="be brief")
    async with table(tmp_path) as at:
        second = await said(at, "what is it?", "Zed", previous_response_id=first.id)
        assert at.asked() == [("user", "my name is Zed"), ("assistant", "noted"), ("user", "what is it?")]
        assert second.previous_response_id == first.id
        assert (await at.client.responses.retrieve(first.id)).output_text == "noted"


async def test_an_older_response_forks_its_chain(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        root = await said(at, "root", "r")
        left = await said(at, "left", "l", previous_response_id=root.id)
        right = await said(at, "right", "ri", previous_response_id=root.id)
        assert [text for _, text in at.asked()] == ["root", "r", "right"]
        for tip, expected in ((left, ["root", "r", "left", "l", "on"]), (right, ["root", "r", "right", "ri", "on"])):
            await said(at, "on", "o", previous_response_id=tip.id)
            assert [text for _, text in at.asked()] == expected
        assert (await at.client.responses.retrieve(right.id)).output_text == "ri"


async def test_a_stream_has_the_ids_that_are_read_later(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        at.upstream.answers(chat_stream("one two", reasoning="hm"))
        events = [event async for event in await at.client.responses.create(model=MODEL, input="x", stream=True)]
        final: Any = events[-1]
        added = [event.item.id for event in events if event.type == "response.output_item.added"]
        read = await at.client.responses.retrieve(final.response.id)
        assert [item.id for item in read.output] == added
        assert read.model_dump(exclude_unset=True) == final.response.model_dump(exclude_unset=True)


async def test_a_conversation_goes_on_at_its_tip_and_is_echoed(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        talk = await at.client.conversations.create(items=[{"type": "message", "role": "user", "content": "before"}])
        one = await said(at, "one", "1", conversation=talk.id)
        await said(at, "two", "2", conversation={"id": talk.id})
        assert [text for _, text in at.asked()] == ["before", "one", "1", "two"]
        assert one.conversation is not None
        assert one.conversation.id == talk.id
        listed = [item async for item in at.client.conversations.items.list(talk.id, order="asc", limit=2)]
        assert [item.content[0].text for item in listed] == ["before", "one", "1", "two", "2"]  # type: ignore[union-attr]


async def test_conversation_and_previous_response_must_agree(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        talk = await at.client.conversations.create()
        one = await said(at, "one", "1", conversation=talk.id)
        two = await said(at, "two", "2", conversation=talk.id, previous_response_id=one.id)
        with pytest.raises(openai.BadRequestError, match="not the last response"):
            await at.client.responses.create(model=MODEL, input="x", conversation=talk.id, previous_response_id=one.id)
        assert (await said(at, "x", "3", conversation=talk.id, previous_response_id=two.id)).output_text == "3"


async def test_a_key_makes_a_conversation_and_then_attaches_to_it(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        key = {"key": "panel:session-1"}
        one = await said(at, "one", "1", extra_body=key)
        await said(at, "two", "2", extra_body=key)
        assert [text for _, text in at.asked()] == ["one", "1", "two"]
        (listed,) = (await at.http.get("/v1/conversations", params={"key": "panel:"})).json()["data"]
        assert listed["id"] == one.conversation.id
        assert (listed["key"], listed["title"], listed["model"]) == ("panel:session-1", "one", MODEL)
        assert (listed["backend"], listed["status"]) == ("store", "active")
        assert listed["updated_at"] >= listed["created_at"] > 1.7e9
        assert (await at.http.get("/v1/conversations", params={"key": "other:"})).json()["data"] == []


async def test_a_conversation_outranks_a_response_and_a_response_a_key(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        keyed = await said(at, "keyed", "k", extra_body={"key": "k"})
        chain = await said(at, "chain", "c")
        talk = await at.client.conversations.create()
        await said(at, "x", "1", previous_response_id=chain.id, extra_body={"key": "k"})
        assert [text for _, text in at.asked()] == ["chain", "c", "x"]
        await said(at, "y", "2", conversation=talk.id, extra_body={"key": "k"})
        assert [text for _, text in at.asked()] == ["y"]
        assert keyed.conversation is not None


async def test_a_key_that_is_met_for_the_first_time_by_many_at_once_is_one_conversation(tmp_path: Path) -> None:
    import asyncio

    async with table(tmp_path) as at:
        at.upstream.always(chat("ok"))
        create = at.client.responses.create
        made = await asyncio.gather(*(create(model=MODEL, input=f"n{n}", extra_body={"key": "k"}) for n in range(8)))
        assert len({response.conversation.id for response in made if response.conversation}) == 1
        (talk,) = (await at.http.get("/v1/conversations")).json()["data"]
        texts = [item.content[0].text async for item in at.client.conversations.items.list(talk["id"], order="asc")]  # type: ignore[union-attr]
        assert sorted(texts[::2]) == [f"n{n}" for n in range(8)]
        assert texts[1::2] == ["ok"] * 8


async def test_what_must_not_be_stored_is_not(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        unstored = await said(at, "a secret", "hush", store=False)
        assert unstored.model_dump()["store"] is False
        with pytest.raises(openai.NotFoundError):
            await at.client.responses.retrieve(unstored.id)
        kept = await said(at, "one", "1")
        await said(at, "another secret", "hush", previous_response_id=kept.id, store=False)
        assert [text for _, text in at.asked()] == ["one", "1", "another secret"]
        await said(at, "two", "2", previous_response_id=kept.id)
        assert [text for _, text in at.asked()] == ["one", "1", "two"]
        await said(at, "secret key", "hush", store=False, extra_body={"key": "k"})
        assert (await at.http.get("/v1/conversations")).json()["data"] == []
    files = b"".join(file.read_bytes() for file in (tmp_path / "state").iterdir() if file.is_file())
    assert b"secret" not in files
    assert b"two" in files


async def test_a_failed_first_turn_leaves_no_conversation_behind(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        at.upstream.answers(error(500))
        with pytest.raises(openai.InternalServerError):
            await at.client.responses.create(model=MODEL, input="x", extra_body={"key": "k"})
        assert (await at.http.get("/v1/conversations")).json()["data"] == []
        await said(at, "again", "ok", extra_body={"key": "k"})
        assert [text for _, text in at.asked()] == ["again"]


async def test_a_cut_stream_is_stored_as_failed_and_cannot_be_continued(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        first = await said(at, "one", "1")
        at.upstream.answers(chat_stream("never to be finished", cut_after=3))
        stream = await at.client.responses.create(model=MODEL, input="two", previous_response_id=first.id, stream=True)
        last = [event async for event in stream][-1]
        assert last.type == "response.failed"
        read = await at.client.responses.retrieve(last.response.id)
        assert (read.status, read.error.code if read.error else None) == ("failed", "server_error")
        check_response((await at.http.get(f"/v1/responses/{read.id}")).json())
        with pytest.raises(openai.BadRequestError, match=f"is failed and cannot be continued; .*{first.id}"):
            await at.client.responses.create(model=MODEL, input="x", previous_response_id=read.id)
        await said(at, "three", "3", previous_response_id=first.id)
        assert [text for _, text in at.asked()] == ["one", "1", "three"]


async def test_an_answer_that_was_too_long_is_incomplete_and_goes_on(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        at.upstream.answers(chat_json("half of", finish="length"))
        half = await at.client.responses.create(model=MODEL, input="one")
        assert (half.status, half.incomplete_details and half.incomplete_details.reason) == (
            "incomplete",
            "max_output_tokens",
        )
        await said(at, "go on", "it", previous_response_id=half.id)
        assert [text for _, text in at.asked()] == ["one", "half of", "go on"]


async def test_a_function_call_is_answered_by_its_output_alone(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        at.upstream.answers(chat_tool_call("now", {}), chat("noon"))
        called = await at.client.responses.create(model=MODEL, input="time?", tools=[FUNCTION])
        (call,) = called.output
        output: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "12:00"}]  # type: ignore[union-attr]
        answered = await at.client.responses.create(
            model=MODEL, input=output, tools=[FUNCTION], previous_response_id=called.id
        )
        assert answered.output_text == "noon"
        assert [role for role, _ in at.asked()] == ["user", "assistant", "tool"]


async def test_an_item_is_referred_to_by_its_id(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        first = await said(at, "one", "1")
        reference: Any = [{"type": "item_reference", "id": first.output[0].id}, {"role": "user", "content": "what?"}]
        at.upstream.answers(chat("ok"), chat("ok"))
        await at.client.responses.create(model=MODEL, input=reference)
        assert at.asked() == [("assistant", "1"), ("user", "what?")]
        await at.client.responses.create(model=MODEL, input=reference, previous_response_id=first.id)
        assert at.asked() == [("user", "one"), ("assistant", "1"), ("user", "what?")]
        missing: Any = [{"type": "item_reference", "id": "msg_gone"}]
        with pytest.raises(openai.BadRequestError, match="no stored item 'msg_gone'"):
            await at.client.responses.create(model=MODEL, input=missing)


async def test_a_deleted_response_is_gone_and_its_chain_with_the_last_one(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        one = await said(at, "one", "1")
        two = await said(at, "two", "2", previous_response_id=one.id)
        await at.client.responses.delete(one.id)
        with pytest.raises(openai.NotFoundError):
            await at.client.responses.retrieve(one.id)
        await said(at, "three", "3", previous_response_id=two.id)
        assert [text for _, text in at.asked()] == ["one", "1", "two", "2", "three"]
        with pytest.raises(openai.NotFoundError):
            await at.client.responses.delete(one.id)


async def test_another_model_goes_on_with_what_was_said(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        first = await said(at, "one", "1")
        scripted = await at.client.responses.create(model="scripted/echo", input="two", previous_response_id=first.id)
        assert scripted.model == "scripted/echo"
        await said(at, "three", "3", previous_response_id=scripted.id)
        assert len(at.asked()) == 5


async def test_without_a_store_models_are_stateless_and_the_error_says_what_would_change_that(tmp_path: Path) -> None:
    async with table(tmp_path, conversationStore=None) as at:
        assert (await said(at, "hi", "hello")).model_dump()["store"] is False
        for asks in (
            {"store": True},
            {"background": True},
            {"conversation": "conv_1"},
            {"previous_response_id": "resp_1"},
            {"extra_body": {"key": "k"}},
        ):
            with pytest.raises(openai.InternalServerError) as refused:
                await at.client.responses.create(model=MODEL, input="x", **asks)  # type: ignore[call-overload]
            assert refused.value.status_code == 501
            assert '"conversationStore": {"type": "sql"}' in str(refused.value)
            assert str(tmp_path / "config" / "mcp.json") in str(refused.value) or "mcp.json" in str(refused.value)
    assert not (tmp_path / "state" / "state.db").exists()


async def test_every_item_of_a_conversation_has_an_id_of_its_own(tmp_path: Path) -> None:
    said: Any = {"type": "message", "role": "user", "id": "msg_mine"}
    async with table(tmp_path) as at:
        talk = await at.client.conversations.create(items=[{**said, "content": "one"}])
        add = at.client.conversations.items.create
        with pytest.raises(openai.BadRequestError, match="has an item 'msg_mine' already") as refused:
            await add(talk.id, items=[{"role": "user", "content": "zero"}, {**said, "content": "one"}])
        assert refused.value.param == "items[1].id"
        with pytest.raises(openai.BadRequestError, match="two items have the id"):
            await add(talk.id, items=[{**said, "content": "x"}, {**said, "content": "y"}])
        at.upstream.answers(chat("1"))
        # sent again, and then something else by the same id: nothing is said twice, and nothing is lost
        given: Any = [{**said, "content": "one"}, {**said, "content": "two"}]
        await at.client.responses.create(model=MODEL, input=given, conversation=talk.id)
        assert at.asked() == [("user", "one"), ("user", "two")]
        listed = [item.id async for item in at.client.conversations.items.list(talk.id, limit=1)]
        assert len(set(listed)) == len(listed) == 3
        assert listed[-1] == "msg_mine"


async def test_a_stored_turn_is_two_transactions_and_one_more_where_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def traced(path: Path, **how: Any) -> sqlite3.Connection:
        connection = open_private(path, **how)
        connection.set_trace_callback(said.append)
        return connection

    def transactions() -> int:
        """But for the heartbeat and the looking after what is old, which come when they come."""
        each = " ".join(said).split("BEGIN IMMEDIATE")[1:]
        said.clear()
        return sum("instances" not in one and "handle IS NULL" not in one for one in each)

    monkeypatch.setattr("woollama.stores.sqlite.open_private", traced)
    async with table(tmp_path) as at:
        at.upstream.always(chat("fine"))
        await at.client.responses.create(model=MODEL, input="x")
        transactions()
        first = await at.client.responses.create(model=MODEL, input="x")
        assert transactions() == 2
        await at.client.responses.create(model=MODEL, input="x", previous_response_id=first.id)
        assert transactions() == 3


async def test_a_text_that_was_cut_in_the_middle_of_an_emoji_is_stored(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        at.upstream.answers(chat("1"), chat("2"))
        body = r'{"model": "mock/m", "input": "cut \ud83d", "key": "k \ud83d"}'
        json_type = {"content-type": "application/json"}
        first = (await at.http.post("/v1/responses", content=body, headers=json_type)).json()
        assert first["store"] is True
        second = await at.client.responses.create(model=MODEL, input="on", previous_response_id=first["id"])
        assert second.output_text == "2"
        (listed,) = (await at.http.get("/v1/conversations")).json()["data"]
        assert (listed["key"], listed["title"]) == ("k \ufffd", "cut \ufffd")


async def test_a_defect_at_the_end_is_told_as_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object, **__: object) -> Any:
        raise KeyError("a defect")

    async with table(tmp_path) as at:
        at.upstream.answers(chat_stream("1"))
        monkeypatch.setattr(Claim, "keep", defect)
        stream = await at.client.responses.create(model=MODEL, input="x", stream=True)
        last: Any = [event async for event in stream][-1]
        assert (last.type, last.response.output_text) == ("response.completed", "1")
        assert last.response.model_dump()["store"] is False
