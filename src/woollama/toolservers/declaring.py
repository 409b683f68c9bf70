"""What a connection declares to its server: not what the SDK derives from our callbacks, but what a host can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mcp_types import CLIENT_CAPABILITIES_META_KEY

from woollama.domain.federation import INSTANCE_KEY
from woollama.domain.messages import Json
from woollama.toolservers.dispatching import Declare


def declaring(declared: Callable[[], Mapping[str, Json]], instance: str = "") -> Declare:
    """Replaces the capabilities: those of the handshake, and in the modern era those of each request; and adds which
    woollama this is, for the case that the server is the same one.

    `declared` is asked in the task that makes the request.
    """
    about_us = {INSTANCE_KEY: instance} if instance else {}

    def declare(method: str, params: dict[str, Any]) -> None:
        meta = params.get("_meta") or {}
        if method == "initialize":
            params["capabilities"] = dict(declared())
            if about_us:
                params["_meta"] = {**meta, **about_us}
        elif CLIENT_CAPABILITIES_META_KEY in meta:
            params["_meta"] = {**meta, CLIENT_CAPABILITIES_META_KEY: dict(declared()), **about_us}

    return declare
