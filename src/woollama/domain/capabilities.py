"""What a model can do, in the field's words, as far as somebody has declared it. Undeclared is never refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase

ENDPOINTS = ("chat", "completion", "embedding", "image", "speech", "transcription", "rerank", "moderation")
"""What a model is asked through."""
INPUTS = ("vision", "tools")
"""What a chat may hold beside text. They are judged only where an inferencer declares them of some model."""
CAPABILITIES = (*ENDPOINTS, *INPUTS)

Declared = Mapping[str, Sequence[str]]
"""Capability -> globs over an inferencer's models: `{"embedding": ["*embed*"]}`."""


def capabilities_of(model: str, declared: Declared) -> frozenset[str]:
    """Those that are declared of a model. What sees or calls tools is a chat model; nothing is declared: empty."""
    found = {capability for capability, globs in declared.items() if any(fnmatchcase(model, glob) for glob in globs)}
    return frozenset(found | {"chat"} if found and found <= set(INPUTS) else found)


def can(model: str, declared: Declared, needs: Collection[str]) -> bool:
    """Whether nothing that is declared speaks against it."""
    known = capabilities_of(model, declared)
    return not known or all(need in known or (need in INPUTS and need not in declared) for need in needs)
