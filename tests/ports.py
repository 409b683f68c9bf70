"""A port that nobody listens at, and that stays a test's own until somebody does."""

from __future__ import annotations

import socket
import sys


class OwnPort:
    """A free port of 127.0.0.1: whoever connects is refused.

    A port that is merely found free and given back may be anybody's when it is used, for tests run side by side. Linux
    lets a program listen at a port that another socket is bound to, if both say that they share it, and gives such a
    port to nobody who asks for any. Elsewhere it is found and given back.
    """

    def __init__(self) -> None:
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(("127.0.0.1", 0))
        self.number: int = self._held.getsockname()[1]
        if sys.platform != "linux":
            self._held.close()

    def close(self) -> None:
        self._held.close()

    def __enter__(self) -> OwnPort:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
