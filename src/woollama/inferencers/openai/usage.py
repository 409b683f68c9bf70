"""Where OpenAI-compatible upstreams say what an answer cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from woollama.domain.events import Usage


def usage_in(chunk: Mapping[str, Any], choice: Mapping[str, Any]) -> Usage | None:
    """OpenAI puts it on the chunk; others have put it on the choice, or below a name of their own."""
    groq = chunk.get("x_groq")
    for holder in (chunk, choice, groq):
        usage = holder.get("usage") if isinstance(holder, Mapping) else None
        if isinstance(usage, Mapping):
            return _decode(usage)
    return None


def _decode(native: Mapping[str, Any]) -> Usage:
    details_in = native.get("prompt_tokens_details")
    details_out = native.get("completion_tokens_details")
    return Usage(
        input_tokens=_count(native, "prompt_tokens"),
        output_tokens=_count(native, "completion_tokens"),
        cached_tokens=_count(details_in, "cached_tokens") or _count(native, "prompt_cache_hit_tokens"),
        reasoning_tokens=_count(details_out, "reasoning_tokens"),
        native=native,
    )


def _count(holder: Any, name: str) -> int:
    value = holder.get(name) if isinstance(holder, Mapping) else None
    return int(value) if isinstance(value, int | float) and 0 <= value < 2**53 else 0
