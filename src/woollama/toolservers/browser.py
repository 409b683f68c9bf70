"""Where the browser of whoever logs in comes back to: a port of this machine's loopback, which listens for that one
answer and as long as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from html import escape
from urllib.parse import parse_qs, urlsplit

from mcp.client.auth import AuthorizationCodeResult

REQUEST_TIMEOUT_S = 20.0
LONGEST_HEAD_BYTES = 16384
CALLBACK = "/callback"


class NotLoggedIn(Exception):
    """Why, in words for the person who wanted to."""


class Answers:
    """What comes to the loopback port. Only the answer with the state of this flow counts: others are not ours."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._state: str | None = None
        self._given: asyncio.Future[AuthorizationCodeResult] = asyncio.get_running_loop().create_future()

    async def expect(self, url: str, show: Callable[[str], None]) -> None:
        self._state = _first(url, "state")
        show(url)

    async def answer(self) -> AuthorizationCodeResult:
        return await self._given

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                line = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0].decode("latin-1")
            status, said = self._take(line)
            page = f"<!doctype html><meta charset=utf-8><title>woollama</title><p>{escape(said)}</p>".encode()
            head = f"HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {len(page)}\r\n"
            secure = "content-security-policy: default-src 'none'\r\nreferrer-policy: no-referrer\r\n"
            writer.write(f"{head}{secure}connection: close\r\n\r\n".encode() + page)
            await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever that was does not matter
        finally:
            writer.close()

    def _take(self, line: str) -> tuple[str, str]:
        method, _, rest = line.partition(" ")
        target = rest.partition(" ")[0]
        if method != "GET" or urlsplit(target).path != CALLBACK:
            return "404 Not Found", "There is nothing here."
        if self._state is None or _first(target, "state") != self._state:
            return "400 Bad Request", "This answer is not to a question of woollama's."
        if self._given.done():
            return "200 OK", "That is known already. This page can be closed."
        if (error := _first(target, "error")) is not None:
            about = _first(target, "error_description")
            why = "the login was denied" if error == "access_denied" else f"the login failed: {error}"
            self._given.set_exception(NotLoggedIn(why + (f" ({about})" if about else "")))
            return "200 OK", f"woollama is not logged in: {why}. This page can be closed."
        result = AuthorizationCodeResult(
            code=_first(target, "code") or "", state=self._state, iss=_first(target, "iss")
        )
        self._given.set_result(result)
        return "200 OK", "woollama has its answer. This page can be closed."


@asynccontextmanager
async def listening(port: int, *, strict: bool) -> AsyncIterator[Answers]:
    """On that port, or where it is taken and nobody insists on it, on any."""
    answers = Answers("")
    try:
        server = await asyncio.start_server(answers.serve, "127.0.0.1", port, limit=LONGEST_HEAD_BYTES)
    except OSError as error:
        if strict:
            raise NotLoggedIn(
                f"port {port}, to which the browser would come back, is taken: {error.strerror}"
            ) from None
        server = await asyncio.start_server(answers.serve, "127.0.0.1", 0, limit=LONGEST_HEAD_BYTES)
    answers.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{CALLBACK}"
    try:
        yield answers
    finally:
        server.close()
        if answers._given.done() and not answers._given.cancelled():
            answers._given.exception()


def _first(url: str, name: str) -> str | None:
    values = parse_qs(urlsplit(url).query).get(name)
    return values[0] if values else None
