"""Addresses of resources: a server's own, and the ones under which hosts find them.

`woollama://SERVER/ADDRESS` is the address ADDRESS of that server, whole and unchanged behind the name; so it leads back
without a table, and a template of addresses stays one. A server that is re-exported under bare names keeps its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

SCHEME = "woollama://"


def outward(prefix: str, server: str, uri: str) -> str:
    """`prefix` is that of the server's names: where it is empty, so is this one."""
    return f"{SCHEME}{quote(server, safe='')}/{uri}" if prefix else uri


def inward(uri: str) -> tuple[str, str] | None:
    """(server, its own address), or none for an address that is not of ours."""
    if not uri.startswith(SCHEME):
        return None
    server, slash, own = uri.removeprefix(SCHEME).partition("/")
    return (unquote(server), own) if slash and own else None


def content_outward(prefix: str, server: str, block: Any) -> Any:
    """A block of content, with the address of the resource that it holds or links to."""
    if not prefix or not isinstance(block, Mapping):
        return block
    if block.get("type") == "resource_link":
        return named_outward(prefix, server, block)
    if block.get("type") == "resource" and isinstance(block.get("resource"), Mapping):
        return {**block, "resource": named_outward(prefix, server, block["resource"])}
    return block


def named_outward(prefix: str, server: str, holder: Mapping[str, Any]) -> dict[str, Any]:
    """An object with the member `uri`."""
    uri = holder.get("uri")
    return {**holder, "uri": outward(prefix, server, uri)} if isinstance(uri, str) else dict(holder)
