"""Who woollama is at an authorization server that does not register its clients by itself."""

from __future__ import annotations

from dataclasses import dataclass

from woollama.config.records import required, setting, setting_of
from woollama.config.values import some_text, whole


@dataclass(frozen=True, slots=True)
class OAuth:
    client_id: str = required(some_text, "the client's id there", key="clientId")
    client_secret: str | None = setting_of(
        lambda: None, some_text, "its secret, if it has one", key="clientSecret", secret=True
    )
    callback_port: int = setting(
        0, whole(0, 65535), "the port of 127.0.0.1 to which the browser comes back; 0: any", key="callbackPort"
    )
