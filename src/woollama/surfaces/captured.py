"""An answer that is kept instead of sent: for endpoints that say it in other words, or not at all."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.types import Message, Send


class Captured:
    """Give `send` to whoever answers; `status`, `headers` and `body` are then what was answered."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Sequence[tuple[bytes, bytes]] = ()
        self.body = b""

    def __repr__(self) -> str:
        return f"<Captured {self.status}, {len(self.body)} bytes>"

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
        else:
            self.body += message.get("body", b"")

    async def pass_on(self, send: Send) -> None:
        """Send it after all, as it came."""
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})
