"""What is asked of an upstream: where it is, and one request to it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

from woollama.domain.errors import BadRequest
from woollama.domain.ports import ReplayableBody

Headers = tuple[tuple[bytes, bytes], ...]
"""Names are in lower case."""
_SAFE = "%/:?@!$&'()*+,;=~[]|"
"""Beside letters, digits, `_`, `.` and `-`: what is encoded in an address already stays as it is."""


@dataclass(frozen=True, slots=True)
class Origin:
    host: str
    port: int
    tls: bool = False

    @property
    def peer(self) -> str:
        """`host:port`; an IPv6 literal in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def authority(self) -> str:
        """What the Host header says: the port only where it is not the usual one."""
        return self.peer.rpartition(":")[0] if self.port == (443 if self.tls else 80) else self.peer


def split_base_url(base_url: str) -> tuple[Origin, str]:
    """`http://[::1]:8080/v1/` gives its origin and `/v1`. Raises `ValueError` for what is no plain URL of the web."""
    url = urlsplit(base_url.strip())
    origin = _origin_of(url)
    if url.username is not None or url.query or url.fragment:
        raise ValueError(f"a base URL has no user, query or fragment: {url.scheme}://{url.hostname}…")
    return origin, url.path.rstrip("/")


def split_url(address: str) -> tuple[Origin, str]:
    """An address' origin, and what is asked for there. Raises `ValueError` for what is no URL of the web."""
    url = urlsplit(address.strip())
    target = quote(url.path or "/", _SAFE) + (f"?{quote(url.query, _SAFE)}" if url.query else "")
    return _origin_of(url), target


def _origin_of(url: SplitResult) -> Origin:
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"{url.geturl()!r} is not an http:// or https:// URL")
    tls = url.scheme == "https"
    host = url.hostname if url.hostname.isascii() else url.hostname.encode("idna").decode()
    return Origin(host, url.port or (443 if tls else 80), tls)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an upstream may take: to accept, to the first byte of its body, and between two reads after that. `None`
    is without end."""

    connect_s: float = 5.0
    first_byte_s: float | None = 120.0
    idle_s: float | None = 120.0


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`path` is the whole request target. The length is added, and the Host header where there is none.

    `repeatable`: it may be sent once more where a kept connection ends without a word, although the upstream may have
    read it by then.
    """

    origin: Origin
    method: str
    path: str
    headers: Headers = ()
    body: bytes | ReplayableBody = b""
    patience: Patience = Patience()
    repeatable: bool = True

    @property
    def body_bytes(self) -> int:
        return len(self.body) if isinstance(self.body, bytes) else self.body.size_bytes

    @property
    def answer_has_body(self) -> bool:
        return self.method != "HEAD"

    def encode_head(self) -> bytes:
        """Raises `BadRequest` where a header would smuggle in another."""
        lines = [f"{self.method} {self.path} HTTP/1.1".encode()]
        if not any(name == b"host" for name, _ in self.headers):
            lines.append(b"host: " + self.origin.authority.encode("ascii"))
        lines += [name + b": " + value for name, value in self.headers]
        length = self.body_bytes
        if length or self.method not in ("GET", "HEAD"):
            lines.append(b"content-length: %d" % length)
        head = b"\r\n".join((*lines, b"", b""))
        ends = len(lines) + 1
        if head.count(b"\n") != ends or head.count(b"\r") != ends or b"\0" in head:
            raise BadRequest("a header to be sent upstream has a line break in it")
        return head
