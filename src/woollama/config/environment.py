"""The variables of the environment that stand above woollama.toml."""

from __future__ import annotations

from collections.abc import Mapping

ENVIRONMENT: Mapping[str, tuple[str, str]] = {
    "WOOLLAMA_ADDRESS": ("server", "address"),
    "WOOLLAMA_ALLOW_HOST": ("server", "allow_hosts"),
    "WOOLLAMA_ALLOW_ORIGIN": ("server", "allow_origins"),
    "WOOLLAMA_HEARTBEAT": ("server", "heartbeat"),
    "WOOLLAMA_SHUTDOWN_TIMEOUT": ("server", "shutdown_timeout"),
    "WOOLLAMA_MAX_BODY_BYTES": ("limits", "body"),
    "WOOLLAMA_STATE_URL": ("state", "url"),
    "WOOLLAMA_MAX_MEDIA_BYTES": ("limits", "media"),
    "WOOLLAMA_MAX_OUTPUT_BYTES": ("limits", "output"),
    "WOOLLAMA_MAX_FRAME_BYTES": ("limits", "frame"),
    "WOOLLAMA_MAX_TOOL_RESULT_BYTES": ("limits", "tool_result"),
    "WOOLLAMA_MAX_RUNS": ("limits", "runs"),
    "WOOLLAMA_MAX_CONNECTIONS": ("limits", "connections"),
    "WOOLLAMA_MAX_HEADER_BYTES": ("limits", "header_bytes"),
    "WOOLLAMA_MAX_HEADERS": ("limits", "headers"),
    "WOOLLAMA_HEADER_TIMEOUT": ("limits", "header_timeout"),
    "WOOLLAMA_BODY_TIMEOUT": ("limits", "body_timeout"),
    "WOOLLAMA_WRITE_TIMEOUT": ("limits", "write_timeout"),
}
"""Variable -> the key of woollama.toml that it overrides. Several hosts or origins are separated by commas."""
