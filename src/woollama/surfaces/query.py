"""What stands behind the question mark of a path: each value is what its route says, or a 400 that names it."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.types import Scope

from woollama.domain.errors import BadRequest
from woollama.domain.state import Page

DEFAULT_LIMIT = 20
MOST = 100


class Query:
    def __init__(self, scope: Scope) -> None:
        self._given = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)

    def __repr__(self) -> str:
        return f"<Query {self._given}>"

    def text(self, name: str) -> str | None:
        return self._given[name][-1] if name in self._given else None

    def texts(self, name: str) -> list[str]:
        """Both `name=a&name=b` and `name[]=a`, which SDKs send."""
        return [*self._given.get(name, ()), *self._given.get(f"{name}[]", ())]

    def whole(self, name: str, least: int, most: int | None = None) -> int | None:
        text = self.text(name)
        if text is None:
            return None
        number = int(text) if text.lstrip("-").isdigit() else least - 1
        if number < least or (most is not None and number > most):
            bounds = f"from {least} to {most}" if most is not None else f"of at least {least}"
            raise BadRequest(f"`{name}` must be a whole number {bounds}", param=name)
        return number

    def flag(self, name: str) -> bool:
        text = (self.text(name) or "false").lower()
        if text not in ("true", "false"):
            raise BadRequest(f"`{name}` must be true or false", param=name)
        return text == "true"

    def page(self) -> Page:
        """`after`, `limit` and `order`, one item more than was asked for: that tells whether there are more."""
        order = self.text("order") or "desc"
        if order not in ("asc", "desc"):
            raise BadRequest("`order` must be asc or desc", param="order")
        limit = self.whole("limit", 1, MOST) or DEFAULT_LIMIT
        return Page(self.text("after") or None, limit + 1, order == "desc")


def listed(found: list[dict[str, object]], page: Page) -> dict[str, object]:
    """A list of OpenAI's shape. `found` may have the one item more than the page's client asked for."""
    data = found[: page.limit - 1]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(found) >= page.limit,
    }
