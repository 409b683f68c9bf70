"""What a relayed answer says of its tokens, in whichever of the dialects it says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from woollama.domain.events import Usage


def usage_of(said: Mapping[str, Any] | None) -> Usage | None:
    """`None` where nothing is counted. Anthropic's input does not hold what a cache gave or took; ours does."""
    if said is None:
        return None
    known = {name: value for name, value in said.items() if isinstance(value, int) and not isinstance(value, bool)}
    asked = known.get("prompt_tokens", known.get("input_tokens"))
    answered = known.get("completion_tokens", known.get("output_tokens"))
    if asked is None and answered is None:
        return None
    details = said.get("prompt_tokens_details") or said.get("input_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, Mapping) else None
    read, written = known.get("cache_read_input_tokens", 0), known.get("cache_creation_input_tokens", 0)
    return Usage(
        input_tokens=(asked or 0) + read + written,
        output_tokens=answered or 0,
        cached_tokens=read or (cached if isinstance(cached, int) else 0),
        cache_write_tokens=written,
    )
