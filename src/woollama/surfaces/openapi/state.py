"""The routes of what is remembered: responses after they were given, and conversations."""

from __future__ import annotations

from collections.abc import Mapping

from woollama.surfaces.openapi.operations import (
    EVENTS,
    JSON,
    Answer,
    Body,
    Operation,
    Schema,
    answers,
    array,
    flag,
    maybe,
    ref,
    table,
    text,
    whole,
)

_RESPONSES = "Stored responses"
_CONVERSATIONS = "Conversations"
_OPAQUE = ref("Opaque")

_RESPONSE: Mapping[str, Schema] = {"response_id": {"description": "the response's id", "example": "resp_0"}}
_CONVERSATION: Mapping[str, Schema] = {"conversation_id": {"description": "the conversation's id", "example": "conv_0"}}
_ITEM: Mapping[str, Schema] = {**_CONVERSATION, "item_id": {"description": "the item's id", "example": "msg_0"}}
_PAGE: Mapping[str, Schema] = {
    "after": text("the id of the item behind which the page begins"),
    "limit": {"type": "integer", "minimum": 1, "maximum": 100, "description": "how many at most; 20"},
    "order": text("asc, or desc: the newest first", enum=["asc", "desc"]),
}

STATE_SCHEMAS: Mapping[str, Schema] = {
    "Conversation": table(
        opened=True,
        id=text(),
        object=text(const="conversation"),
        created_at=whole("Unix time"),
        updated_at=whole("Unix time"),
        metadata=_OPAQUE,
        key=maybe(text("What clients call it that keep no ids")),
        title=maybe(text("The first words of its user")),
        model=maybe(text("Who answered last")),
        backend=text("Who keeps its transcript"),
        status=text(
            "`opening`: its first turn still runs; `dead`: its backend has lost the transcript",
            enum=["opening", "active", "dead"],
        ),
    ),
    "ConversationPage": table(
        object=text(const="list"),
        data=array(ref("Conversation")),
        first_id=maybe(text()),
        last_id=maybe(text()),
        has_more=flag(),
    ),
    "ItemPage": table(
        object=text(const="list"),
        data=array(_OPAQUE),
        first_id=maybe(text()),
        last_id=maybe(text()),
        has_more=flag(),
    ),
    "Deleted": table(id=text(), object=text(), deleted=flag()),
    "ConversationRequest": table(
        opened=True,
        optional={"metadata": _OPAQUE, "items": array(_OPAQUE), "key": text(), "title": text()},
    ),
    "ItemsRequest": table(opened=True, items=array(_OPAQUE)),
}


def _of_conversation(summary: str, schema: Schema, **more: Mapping[str, Schema]) -> Operation:
    parameters = more.get("parameters", _CONVERSATION)
    return Operation(
        _CONVERSATIONS, summary, answers=answers(schema), parameters=parameters, query=more.get("query", {})
    )


STATE_OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("POST", "/v1/responses/compact"): Operation(
        _RESPONSES,
        "A conversation in fewer tokens",
        "Gives an item that stands for the input: a summary by the model, or its most telling sentences.",
        Body({JSON: ref("ResponsesRequest")}, {"model": "woollama/assistant", "input": "A long story."}),
        answers(_OPAQUE),
    ),
    ("POST", "/v1/responses/input_tokens"): Operation(
        _RESPONSES,
        "How many tokens a request would have",
        "Asked of the model's inferencer where that can count, else estimated, rounded up.",
        Body({JSON: ref("ResponsesRequest")}, {"model": "woollama/assistant", "input": "What time is it in Tokyo?"}),
        answers(ref("TokenCount")),
    ),
    ("GET", "/v1/responses/{response_id}"): Operation(
        _RESPONSES,
        "A response as it is now",
        "With `stream=true` its events, if it was made in the background.",
        answers={200: Answer("The response", {JSON: _OPAQUE, EVENTS: {"type": "string"}})},
        parameters=_RESPONSE,
        query={
            "stream": text("true, false", enum=["true", "false"]),
            "starting_after": {"type": "integer", "minimum": 0, "description": "the number of the last event seen"},
        },
    ),
    ("DELETE", "/v1/responses/{response_id}"): Operation(
        _RESPONSES, "Forget a response", answers=answers(ref("Deleted")), parameters=_RESPONSE
    ),
    ("POST", "/v1/responses/{response_id}/cancel"): Operation(
        _RESPONSES, "End a response in the background", answers=answers(_OPAQUE), parameters=_RESPONSE
    ),
    ("GET", "/v1/responses/{response_id}/input_items"): Operation(
        _RESPONSES,
        "What a response was asked",
        answers=answers(ref("ItemPage")),
        parameters=_RESPONSE,
        query=_PAGE,
    ),
    ("POST", "/v1/conversations"): Operation(
        _CONVERSATIONS,
        "A new conversation",
        body=Body({JSON: ref("ConversationRequest")}, {"metadata": {"topic": "demo"}}),
        answers=answers(ref("Conversation")),
    ),
    ("GET", "/v1/conversations"): Operation(
        _CONVERSATIONS,
        "The conversations",
        answers=answers(ref("ConversationPage")),
        query={**_PAGE, "key": text("how their keys begin"), "backend": text("who keeps them")},
    ),
    ("GET", "/v1/conversations/{conversation_id}"): _of_conversation("A conversation", ref("Conversation")),
    ("POST", "/v1/conversations/{conversation_id}"): Operation(
        _CONVERSATIONS,
        "Other metadata, or another title",
        body=Body({JSON: ref("ConversationRequest")}, {"metadata": {"topic": "another"}}),
        answers=answers(ref("Conversation")),
        parameters=_CONVERSATION,
    ),
    ("DELETE", "/v1/conversations/{conversation_id}"): _of_conversation(
        "Forget a conversation; one that is not there has been forgotten", ref("Deleted")
    ),
    ("GET", "/v1/conversations/{conversation_id}/items"): _of_conversation(
        "What was said in it", ref("ItemPage"), query=_PAGE
    ),
    ("POST", "/v1/conversations/{conversation_id}/items"): Operation(
        _CONVERSATIONS,
        "More of what was said",
        "At most 20 items at a time.",
        Body(
            {JSON: ref("ItemsRequest")},
            {"items": [{"type": "message", "role": "user", "content": "By the way, my name is Zed."}]},
        ),
        answers(ref("ItemPage")),
        parameters=_CONVERSATION,
    ),
    ("GET", "/v1/conversations/{conversation_id}/items/{item_id}"): _of_conversation(
        "One item", _OPAQUE, parameters=_ITEM
    ),
    ("DELETE", "/v1/conversations/{conversation_id}/items/{item_id}"): _of_conversation(
        "Take an item out", ref("Conversation"), parameters=_ITEM
    ),
}
