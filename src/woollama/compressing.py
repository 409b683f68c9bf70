"""From the section `compression` of woollama.toml to compression as the daemon uses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from woollama.compression import Bm25Scorer, EmbeddingScorer, HybridScorer, Policy, Scorer
from woollama.compression.apart import Apart
from woollama.compression.block import Level
from woollama.compression.policy import AGGRESSIVE, AUTO, EXCLUDED_TOOLS
from woollama.compression.shrinking import Shrinking
from woollama.config.model import CompressionSettings
from woollama.domain.ports import Spawner


class UnusableScorer(ValueError):
    """The scorer that the configuration names cannot be had; the message says why."""


def shrinking_of(
    settings: CompressionSettings, directory: Path, spawner: Spawner, environment: Mapping[str, str]
) -> Shrinking:
    """`environment` is for the process of large texts. Raises `UnusableScorer`."""
    return Shrinking(policy_of(settings), directory, **_rest(settings), apart=Apart(spawner, environment))


def reconfigured(shrinking: Shrinking, settings: CompressionSettings) -> None:
    shrinking.reconfigure(policy_of(settings), **_rest(settings))


def policy_of(settings: CompressionSettings) -> Policy:
    auto, aggressive = settings.auto_tokens, settings.aggressive_tokens
    return Policy(
        enabled=settings.enabled,
        inject_retrieval_marker=settings.inject_retrieval_marker,
        use_feedback_hints=settings.use_feedback_hints,
        min_tokens=settings.min_tokens,
        auto=replace(
            AUTO,
            above_tokens=settings.auto_above_tokens,
            least_tokens=min(AUTO.least_tokens, auto),
            most_tokens=auto,
        ),
        aggressive=replace(
            AGGRESSIVE,
            above_tokens=settings.aggressive_above_tokens,
            least_tokens=min(AGGRESSIVE.least_tokens, aggressive),
            most_tokens=aggressive,
        ),
        exclude_tools=(*EXCLUDED_TOOLS, *settings.exclude_tools),
        tools=cast("dict[str, Level]", dict(settings.tools)),
    )


def _rest(settings: CompressionSettings) -> dict[str, Any]:
    return {
        "max_bytes": settings.originals_bytes,
        "max_age_s": settings.keep_s,
        "scorer": scorer_of(settings.scorer),
    }


def scorer_of(name: str) -> Scorer:
    """The scorer of that name, or one of the user's own. Raises `UnusableScorer`."""
    match name:
        case "bm25":
            return Bm25Scorer()
        case "embedding" | "hybrid":
            try:
                embedding = EmbeddingScorer()
            except ValueError as problem:
                raise UnusableScorer(f"compression.scorer: {problem}") from None
            return embedding if name == "embedding" else HybridScorer(embedding)
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as problem:
        raise UnusableScorer(
            f"compression.scorer: {name!r} is none of bm25, embedding, hybrid, and not found: {problem}"
        ) from None
    scorer: Scorer = found() if isinstance(found, type) else found
    return scorer
