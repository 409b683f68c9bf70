"""Connecting to a name that has several addresses: the next one is tried before the one before it is given up.

Where IPv6 is configured but goes nowhere, a connection would else wait out its whole time on the first address. Only
one of the event loops that we run on does this itself.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

HEAD_START_S = 0.25


async def addresses_of(host: str, port: int) -> Sequence[str]:
    """As IP literals, in the resolver's order but with the address families taking turns. Raises `OSError`."""
    try:
        ipaddress.ip_address(host)
        return [host]
    except ValueError:
        pass
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    families: dict[int, deque[str]] = {}
    for family, _, _, _, address in found:
        families.setdefault(family, deque()).append(str(address[0]))
    mixed: list[str] = []
    while any(families.values()):
        mixed += [queue.popleft() for queue in families.values() if queue]
    return list(dict.fromkeys(mixed))


async def first_to_connect(
    attempts: Sequence[Callable[[], Awaitable[T]]], discard: Callable[[T], None], head_start_s: float = HEAD_START_S
) -> T:
    """The result of the first attempt that succeeds. Each begins when the one before it fails or has had its start.

    `discard` gets the results of those that succeed too late. When all fail, the error of the first is raised.
    """
    waiting = deque(attempts)
    running: set[asyncio.Future[T]] = set()
    errors: list[OSError] = []
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.ensure_future(waiting.popleft()()))
            patience_s = head_start_s if waiting else None
            done, running = await asyncio.wait(running, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            connected = [attempt.result() for attempt in done if not _failed(attempt, errors)]
            for late in connected[1:]:
                discard(late)
            if connected:
                return connected[0]
        raise errors[0]
    finally:
        for attempt in running:
            attempt.add_done_callback(lambda ended: None if _failed(ended, errors) else discard(ended.result()))
            attempt.cancel()


def _failed(attempt: asyncio.Future[T], errors: list[OSError]) -> bool:
    """Whether it ended without a result; any other error than the network's is a defect, and raised."""
    if attempt.cancelled():
        return True
    error = attempt.exception()
    if error is None:
        return False
    if not isinstance(error, OSError):
        raise error
    errors.append(error)
    return True
