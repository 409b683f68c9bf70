"""Long lists in pages (docs/adr/0017).

Many hosts never ask for a second page, and many take no message beyond one mebibyte: so a page is as large as it can
be. A list that fits into one keeps its own order. A longer one is ordered by names, and a cursor is the name that its
page ends with: whatever comes and goes between two pages, what stays is listed once.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import mcp_types as types
from mcp import MCPError

PAGE_BYTES = 768 << 10
"""What is listed, as JSON. The SDKs' clients take at most 1 MiB in one event of a stream."""

Kind = Literal["tools", "prompts", "resources", "resourceTemplates"]
Entry = Mapping[str, Any]
Place = tuple[int, str]
"""0 for what is our own and 1 for what is a server's, and the entry's name."""

_NAME: Mapping[Kind, str] = {"tools": "name", "prompts": "name", "resources": "uri", "resourceTemplates": "uriTemplate"}


def page_of(
    kind: Kind, own: Sequence[Entry], others: Sequence[Entry], cursor: str | None
) -> tuple[list[Entry], str | None]:
    """The entries of one page, our own before all others, and the cursor of the next one if there is more.

    Raises `MCPError` for a cursor that was not given out for this list.
    """
    if not cursor:
        every = [*own, *others]
        if len(_fitting(every)) == len(every):
            return every, None
    after = _read(kind, cursor) if cursor else None
    placed = sorted(
        ((rank, str(entry[_NAME[kind]])), number, entry)
        for rank, entries in enumerate((own, others))
        for number, entry in enumerate(entries)
    )
    rest = [(place, entry) for place, _, entry in placed if after is None or place > after]
    page = _fitting(entry for _, entry in rest)
    return page, _written(kind, rest[len(page) - 1][0]) if len(page) < len(rest) else None


def _fitting(entries: Iterable[Entry]) -> list[Entry]:
    """The first ones that fit into a page together; the very first fits into any."""
    page: list[Entry] = []
    left = PAGE_BYTES
    for entry in entries:
        left -= len(json.dumps(entry, ensure_ascii=False).encode(errors="surrogatepass")) + 1
        if left < 0 and page:
            break
        page.append(entry)
    return page


def _written(kind: Kind, place: Place) -> str:
    return urlsafe_b64encode(json.dumps([kind, *place]).encode()).decode()


def _read(kind: Kind, cursor: str) -> Place:
    try:
        match json.loads(urlsafe_b64decode(cursor.encode())):
            case [str(of), 0 | 1 as rank, str(name)] if of == kind:
                return rank, name
    except (ValueError, RecursionError):
        pass
    raise MCPError(
        types.INVALID_PARAMS, f"this cursor was not given out for this list of {kind}: list again without a cursor"
    )
