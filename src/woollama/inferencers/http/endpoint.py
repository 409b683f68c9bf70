"""Where an HTTP inferencer is, and how it is spoken to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from woollama.domain.errors import NotAuthorized
from woollama.http.frames import FRAME_LIMIT_BYTES
from woollama.http.request import Headers, Origin, Patience, split_base_url

Auth = Literal["key", "client"]


def no_key() -> str | None:
    return None


def key_for(name: str, auth: Auth, own: Callable[[], str | None], callers_key: str | None) -> str | None:
    """As `Endpoint.key_for`."""
    if auth == "key":
        return own()
    if callers_key:
        return callers_key
    raise NotAuthorized(
        f"{name} is asked with the key of whoever asks, and this request brought none:"
        " send it as Authorization: Bearer KEY, or as x-api-key",
        code="no_key_for_inferencer",
    )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One inferencer's base URL, key and limits. Raises `ValueError` for a base URL that is none.

    `api_key` is asked at every call, so a key that changes needs no restart; it is never kept. With `auth="client"` the
    caller's own key takes its place. `max_tokens_field` is the name under which it takes the output limit.
    `key_headers` are where it looks for the key; `usual_headers` are sent where the caller says nothing of the kind.
    `frame_limit_bytes` bounds one event or line of its streams.
    """

    name: str
    base_url: str
    api_key: Callable[[], str | None] = field(default=no_key, repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    auth: Auth = "key"
    patience: Patience = field(default_factory=Patience)
    extra_body: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    key_headers: tuple[Literal["authorization", "x-api-key"], ...] = ("authorization",)
    usual_headers: Headers = ()
    frame_limit_bytes: int = FRAME_LIMIT_BYTES
    origin: Origin = field(init=False, repr=False)
    base_path: str = field(init=False, repr=False)
    configured: Headers = field(init=False, repr=False)

    def __post_init__(self) -> None:
        origin, path = split_base_url(self.base_url)
        object.__setattr__(self, "origin", origin)
        object.__setattr__(self, "base_path", path)
        encoded = tuple((name.lower().encode(), value.encode()) for name, value in self.headers.items())
        object.__setattr__(self, "configured", encoded)

    def path_of(self, path: str) -> str:
        """The whole path of one that is told below the base URL. Ollama's own API, `/api`, stands beside its `/v1`."""
        base = self.base_path.removesuffix("/v1") if path.startswith("/api/") else self.base_path
        return base + path

    def key_for(self, callers_key: str | None) -> str | None:
        """The key for one call. Raises `NotAuthorized` where the caller must bring one and did not."""
        return key_for(self.name, self.auth, self.api_key, callers_key)

    def own_headers(self, key: str | None) -> Headers:
        """The configured headers, and the key where it is looked for unless a configured header takes that place."""
        if not key:
            return self.configured
        taken = {name for name, _ in self.configured}
        value = key.strip().encode()
        keys = ((b"authorization", b"Bearer " + value), (b"x-api-key", value))
        wanted = {name.encode() for name in self.key_headers} - taken
        return (*self.configured, *(header for header in keys if header[0] in wanted))
