"""Who may connect: one pure function, and the gate that asks it in front of HTTP and WebSocket alike.

A web page can make its visitor's browser send requests to this machine, and so can another user of it; both would
spend the owner's keys and run the owner's tools. `Host` (against DNS rebinding), `Origin` and `Sec-Fetch-Site` (against
pages of other sites), the content type (against forms, which need no permission to post) and the peer's uid stand
between. A token is asked for in addition, over TCP, when there is one; a named one also says what its bearer may use.

Over the unix socket any `Host` will do: no browser and no DNS name leads there, and clients invent one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from woollama.domain.errors import BadRequest, Forbidden, NotAuthorized, WrongContentType, WrongHost
from woollama.domain.turns import EVERYTHING, Caller, Scope
from woollama.platform import Peer, is_loopback

_SINGLE = frozenset({b"host", b"origin", b"sec-fetch-site", b"content-type", b"content-length"})
_KEYS = frozenset({b"authorization", b"x-api-key"})
_LOCALHOST = "localhost"
_JSON = re.compile(r"application/(json|[\w.-]+\+json)\Z")
_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_NAME = re.compile(r"[\w.+-]{1,40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ClientToken:
    """A named token: `scope` is what it opens and what it is called.

    Without a `value` nobody can present it. That it is asked for all the same keeps a door shut whose key is missing.
    """

    scope: Scope
    value: str | None = field(repr=False)


@dataclass(frozen=True)
class Policy:
    """Who is let in. `uid` is ours; `allow_hosts` are names without a port; `*` in `allow_origins` stands for anything.

    `check_tcp_owner` is off where any local user may connect and where the platform cannot tell.
    """

    uid: int
    token: str | None = field(default=None, repr=False)
    named_tokens: tuple[ClientToken, ...] = ()
    check_tcp_owner: bool = True
    allow_hosts: Sequence[str] = ()
    allow_origins: Sequence[str] = ()
    max_body_bytes: int = 32 * 2**20
    max_media_bytes: int = 256 * 2**20
    body_timeout_s: float = 30.0

    @property
    def wants_token(self) -> bool:
        return self.token is not None or bool(self.named_tokens)

    @cached_property
    def tokens(self) -> tuple[tuple[bytes, Scope], ...]:
        """The digest of each token, and what it opens."""
        own = [(self.token, EVERYTHING)]
        every = [*own, *((named.value, named.scope) for named in self.named_tokens)]
        return tuple((_digest(value.encode()), scope) for value, scope in every if value)

    @cached_property
    def hosts(self) -> frozenset[str]:
        return frozenset({_LOCALHOST, *(_plain_host(host) for host in self.allow_hosts)})

    @cached_property
    def origins(self) -> tuple[re.Pattern[str], ...]:
        patterns = (".*".join(map(re.escape, origin.lower().rstrip("/").split("*"))) for origin in self.allow_origins)
        return tuple(re.compile(pattern + r"\Z") for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Head:
    """The part of a request that decides. `server` is the address that the connection came in at."""

    method: str
    path: str
    host: str | None = None
    origin: str | None = None
    fetch_site: str | None = None
    content_type: str = ""
    content_length: int | None = None
    chunked: bool = False
    keys: tuple[bytes, ...] = ()
    user_agent: str = ""
    preflight: bool = False
    server: str | None = None

    @property
    def is_form(self) -> bool:
        return self.content_type == _MULTIPART

    @property
    def has_body(self) -> bool:
        return self.chunked or bool(self.content_length)

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> Head:
        """Read an ASGI scope; a header that must be single and is not is a `BadRequest`."""
        single: dict[bytes, str] = {}
        keys: list[bytes] = []
        agent, chunked, preflight = "", False, False
        for name, value in scope["headers"]:
            if name in _SINGLE:
                if name in single:
                    raise BadRequest(f"the header {name.decode()} is there twice", param=name.decode())
                single[name] = value.decode("latin-1").strip()
            elif name in _KEYS and (key := presented_key(name, value)) is not None:
                keys.append(key)
            elif name == b"user-agent":
                agent = value.decode("latin-1")
            elif name == b"transfer-encoding":
                chunked = True
            elif name == b"access-control-request-method":
                preflight = True
        length = single.get(b"content-length")
        method = scope.get("method", "GET")
        return cls(
            method=method,
            path=scope["path"],
            host=single.get(b"host"),
            origin=single.get(b"origin"),
            fetch_site=single.get(b"sec-fetch-site"),
            content_type=single.get(b"content-type", "").partition(";")[0].strip().lower(),
            content_length=int(length) if length is not None and length.isdecimal() else None,
            chunked=chunked,
            keys=tuple(keys),
            user_agent=agent,
            preflight=preflight and method == "OPTIONS",
            server=(scope.get("server") or (None,))[0],
        )


def authorize(head: Head, peer: Peer, policy: Policy) -> Caller:
    """The caller that a request comes from; raises `Forbidden`, `WrongHost`, `NotAuthorized` or `WrongContentType`.

    A preflight carries neither key nor body, so only where it comes from is looked at. The caller's name is that of its
    token; without one it is what the client calls itself (the product in its `User-Agent`) and proves nothing.
    """
    _check_peer(peer, policy)
    _check_host(head, peer, policy)
    _check_origin(head, policy)
    scope = EVERYTHING
    if not head.preflight:
        scope = _check_key(head, peer, policy)
        _check_content(head)
    named = _NAME.match(head.user_agent)
    name = scope.token or (named[0] if named else peer.via)
    return Caller(name, peer.via, peer.uid, peer.pid, scope=scope)


def presented_key(name: bytes, value: bytes) -> bytes | None:
    """The key in a header of a request, if that is what the header is for."""
    if name == b"x-api-key":
        return value.strip()
    if name == b"authorization":
        scheme, _, key = value.strip().partition(b" ")
        return key.strip() if scheme.lower() == b"bearer" else None
    return None


def scope_of(key: bytes, policy: Policy) -> Scope | None:
    """What a key opens, `None` if it is no token of ours. The time taken does not tell which one it was near to."""
    digest = _digest(key)
    opened = [scope for known, scope in policy.tokens if hmac.compare_digest(digest, known)]
    return opened[0] if opened else None


def own_key(head: Head, policy: Policy) -> str | None:
    """The first key of a request that is no token of ours: the caller's own at somebody else's."""
    return next((key.decode("latin-1") for key in head.keys if key and scope_of(key, policy) is None), None)


def origin_allowed(head: Head, policy: Policy) -> bool:
    """Whether the page that sent this may: our own pages, and those that were allowed. `null` never is."""
    if head.origin is None or head.origin == "null":
        return False
    origin = head.origin.lower()
    ours = head.host is not None and _trusted(_host_of(head.host), head, policy)
    if ours and origin.partition("://")[2] == (head.host or "").lower():
        return True
    return any(pattern.match(origin) for pattern in policy.origins)


def _check_peer(peer: Peer, policy: Policy) -> None:
    if peer.via == "unix":
        if peer.uid != policy.uid:
            raise Forbidden(f"this socket serves uid {policy.uid} alone, and you are uid {peer.uid}")
    elif not peer.local:
        if not policy.tokens:
            raise Forbidden("connections from other machines need a token, and this daemon has none")
    elif policy.check_tcp_owner and peer.uid != policy.uid:
        if peer.uid is None:
            raise Forbidden("nobody on this machine owns this connection")
        raise Forbidden(
            f"this daemon serves uid {policy.uid} alone, and you are uid {peer.uid}; its owner can set any_local_user"
        )


def _check_host(head: Head, peer: Peer, policy: Policy) -> None:
    if peer.via == "unix":
        return
    if head.host is None:
        raise WrongHost("the request has no Host header", param="host")
    if not _trusted(_host_of(head.host), head, policy):
        raise WrongHost(
            f"the host {head.host!r} is not served here; its owner can add it with --allow-host", param="host"
        )


def _check_origin(head: Head, policy: Policy) -> None:
    if head.origin is not None:
        if not origin_allowed(head, policy):
            raise Forbidden(
                f"pages of {head.origin!r} may not use this daemon; its owner can add them with --allow-origin",
                param="origin",
            )
    elif head.fetch_site not in (None, "same-origin", "none"):
        raise Forbidden("a page of another site may not use this daemon", param="sec-fetch-site")


def _check_key(head: Head, peer: Peer, policy: Policy) -> Scope:
    """What the request's token opens. Over the unix socket none is needed, and one that is none of ours is nothing."""
    # All are compared, so that the time taken does not tell which header was right.
    opened = [scope for scope in [scope_of(key, policy) for key in head.keys] if scope is not None]
    if opened:
        return opened[0]
    if policy.wants_token and peer.via != "unix":
        wrong = "is not the right one" if head.keys else "is missing"
        raise NotAuthorized(f"the token {wrong}: send it as Authorization: Bearer TOKEN, or as x-api-key")
    return EVERYTHING


def _check_content(head: Head) -> None:
    if not head.has_body or _JSON.match(head.content_type) or head.is_form:
        return
    if head.content_type == _FORM and head.origin is None and head.path.startswith("/api/"):
        return
    sent = f"not {head.content_type}" if head.content_type else "and the request does not say what it is"
    raise WrongContentType(f"the body must be application/json, {sent}", param="content-type")


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _trusted(host: str | None, head: Head, policy: Policy) -> bool:
    """A name that no stranger's DNS can point at us: loopback, the very address connected to, or a configured one."""
    return host is not None and (host in policy.hosts or is_loopback(host) or host == head.server)


@lru_cache(128)
def _host_of(authority: str) -> str | None:
    """The host in `host[:port]` or `[v6][:port]`, lower case and without a root dot; `None` for anything else."""
    matched = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:/@\s]+))(?::\d{1,5})?", authority.lower())
    return (matched[1] or matched[2].rstrip(".")) if matched else None


def _plain_host(host: str) -> str:
    """A configured host may be written with a port or in brackets."""
    return _host_of(host) or host.lower()
