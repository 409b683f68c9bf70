"""`/v1/conversations`: OpenAI's, and what a panel needs to list them: key, title, model, backend, status, times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.types import Receive, Scope, Send

from woollama.core.conversations import Conversations
from woollama.domain.errors import BadRequest, UnsupportedField
from woollama.domain.state import Handle, Raw
from woollama.domain.turns import Caller
from woollama.surfaces.bodies import parse_json, read_json, send_json
from woollama.surfaces.fields import Fields
from woollama.surfaces.openai_responses.items import decode_items
from woollama.surfaces.openai_responses.stored_items import stored_items, title_of
from woollama.surfaces.query import Query, listed

MOST_ITEMS = 20
MOST_METADATA = 16
KEY_CHARS, VALUE_CHARS = 64, 512


class ConversationsApi:
    """Every verb of conversations and of the items in them."""

    def __init__(self, conversations: Conversations) -> None:
        self._all = conversations

    def __repr__(self) -> str:
        return f"<ConversationsApi over {self._all!r}>"

    async def create(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`{metadata?, items?, key?, title?}`; an empty body will do."""
        body = await _read(scope, receive, "metadata", "items", "key", "title")
        items = _items(body)
        key = body.text("key")
        own_key = _caller(scope).scope.own_key(key) if key else None
        handle = await self._all.create(
            metadata=_metadata(body),
            items=items,
            key=own_key,
            title=body.text("title") or title_of(items),
            token=_caller(scope).scope.token,
        )
        await send_json(send, 200, shown(handle))

    async def listing(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`key` is the beginning of those keys that are wanted. The bearer of a token sees only its own."""
        query = Query(scope)
        page = query.page()
        prefix = _caller(scope).scope.own_key(query.text("key") or "")
        found = await self._all.listing(
            page, key_prefix=prefix, backend=query.text("backend"), token=_caller(scope).scope.token
        )
        await send_json(send, 200, listed([shown(handle) for handle in found], page))

    async def retrieve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, shown(await self._all.conversation(await self._own(scope))))

    async def update(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(scope, receive, "metadata", "title")
        changes = {
            name: value
            for name, value in (("metadata", _metadata(body)), ("title", body.text("title")))
            if body.given(name)
        }
        if not changes:
            raise BadRequest("`metadata` or `title` must say what to change", param="metadata")
        await send_json(send, 200, shown(await self._all.update(await self._own(scope), **changes)))

    async def delete(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What is not there has been deleted; of what others have, nobody learns whether it is there."""
        await self._all.delete(_id(scope), _caller(scope).scope.token)
        await send_json(send, 200, {"id": _id(scope), "object": "conversation.deleted", "deleted": True})

    # --- items

    async def items(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = Query(scope).page()
        found = await self._all.items(await self._own(scope), page)
        await send_json(send, 200, listed([dict(item) for item in found], page))

    async def add_items(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(scope, receive, "items")
        items = _items(body)
        if not items:
            raise BadRequest("`items` must be a non-empty array", param="items")
        await self._all.add_items(await self._own(scope), items)
        data: list[dict[str, Any]] = [dict(item) for item in items]
        whole = {"first_id": data[0]["id"], "last_id": data[-1]["id"], "has_more": False}
        await send_json(send, 200, {"object": "list", "data": data, **whole})

    async def item(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, await self._all.item(await self._own(scope), scope["path_params"]["item_id"]))

    async def delete_item(self, scope: Scope, receive: Receive, send: Send) -> None:
        handle = await self._all.remove_item(await self._own(scope), scope["path_params"]["item_id"])
        await send_json(send, 200, shown(handle))

    async def _own(self, scope: Scope) -> str:
        """The id in the path, which is not one of another token's conversations."""
        wanted = _id(scope)
        await self._all.check_owner(wanted, _caller(scope).scope.token)
        return wanted


def shown(handle: Handle) -> dict[str, Any]:
    return {
        "id": handle.id,
        "object": "conversation",
        "created_at": int(handle.created_at),
        "metadata": dict(handle.metadata),
        "key": handle.key,
        "title": handle.title,
        "model": handle.model,
        "backend": handle.backend,
        "status": handle.status,
        "updated_at": int(handle.updated_at),
    }


def _caller(scope: Scope) -> Caller:
    caller: Caller = scope["state"]["caller"]
    return caller


def _id(scope: Scope) -> str:
    wanted: str = scope["path_params"]["conversation_id"]
    return wanted


async def _read(scope: Scope, receive: Receive, *known: str) -> Fields:
    raw = await read_json(scope, receive)
    body = Fields(parse_json(raw) if raw.strip() else {})
    for name in body.rest(*known):
        raise UnsupportedField(f"`{name}` is nothing that a conversation has here", param=name)
    return body


def _items(body: Fields) -> list[Raw]:
    given = body.array("items") or ()
    if len(given) > MOST_ITEMS:
        raise BadRequest(f"at most {MOST_ITEMS} items can be added at a time", param="items")
    decode_items(body, "items")
    items = stored_items(given)
    for index, item in enumerate(items):
        if any(item["id"] == earlier["id"] for earlier in items[:index]):
            raise BadRequest(f"two items have the id {item['id']!r}", param=f"items[{index}].id")
    return items


def _metadata(body: Fields) -> Mapping[str, Any]:
    given = body.object("metadata") or {}
    if len(given) > MOST_METADATA:
        raise BadRequest(f"at most {MOST_METADATA} pairs of metadata can be kept", param="metadata")
    for key, value in given.items():
        if len(key) > KEY_CHARS or not isinstance(value, str) or len(value) > VALUE_CHARS:
            raise BadRequest(
                f"`metadata` takes strings, keys of up to {KEY_CHARS} characters and values of up to {VALUE_CHARS}",
                param=f"metadata.{key[:KEY_CHARS]}",
            )
    return given
