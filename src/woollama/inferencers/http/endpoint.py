"""Where an HTTP inferencer is, and how it is spoken to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from woollama.inferencers.http.request import Headers, Origin, Patience, split_base_url


def no_key() -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One inferencer's base URL, key and limits. Raises `ValueError` for a base URL that is none.

    `api_key` is asked at every call, so a key that changes needs no restart; it is never kept. `auth="client"`
    forwards the caller's own key instead. `max_tokens_field` is the name under which it takes the output limit.
    """

    name: str
    base_url: str
    api_key: Callable[[], str | None] = field(default=no_key, repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    auth: Literal["key", "client"] = "key"
    patience: Patience = field(default_factory=Patience)
    extra_body: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    origin: Origin = field(init=False, repr=False)
    base_path: str = field(init=False, repr=False)
    configured: Headers = field(init=False, repr=False)

    def __post_init__(self) -> None:
        origin, path = split_base_url(self.base_url)
        object.__setattr__(self, "origin", origin)
        object.__setattr__(self, "base_path", path)
        encoded = tuple((name.lower().encode(), value.encode()) for name, value in self.headers.items())
        object.__setattr__(self, "configured", encoded)

    def own_headers(self, key: str | None) -> Headers:
        """The configured headers, and the key as a bearer token unless a configured header takes its place."""
        if not key or any(name == b"authorization" for name, _ in self.configured):
            return self.configured
        return (*self.configured, (b"authorization", b"Bearer " + key.strip().encode()))
