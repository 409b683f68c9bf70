"""The library: compress, restore, retrieve.

    from woollama.compression import compress, restore, retrieve

    result = compress(text, query="why did the build fail?")
    retrieve(result.refs[0], query="exit code")

Originals lie in the state directory, where the daemon keeps its own, so that a ref given out by one process can be
looked up by another.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from woollama.compression.block import LEVELS, Level
from woollama.compression.marker import REF
from woollama.compression.originals import Originals, SqlOriginals
from woollama.compression.policy import Policy
from woollama.compression.relevance import Scorer
from woollama.compression.retrieval import part_of
from woollama.compression.router import Compressed, ContentRouter
from woollama.compression.tokens import counter_for
from woollama.platform import state_dir

ORIGINALS = "originals.db"


class UnknownRef(LookupError):
    """Nothing is stored under that ref: it was never given out here, or it is too old."""


def compress(
    text: str,
    query: str = "",
    tool: str = "",
    level: Level = "auto",
    model: str | None = None,
    config: Policy | None = None,
    scorer: Scorer | None = None,
    originals: Originals | None = None,
) -> Compressed:
    """`text`, smaller. `query` is what it was fetched for, `tool` what fetched it, `model` who will read it. What is
    left out goes to `originals`, by default to those of this user.

    Raises `ValueError` for a level that there is not; for no text.
    """
    if level not in LEVELS:
        raise ValueError(f"level must be one of {', '.join(LEVELS)}, not {level!r}")
    with _store(originals) as store:
        router = ContentRouter(config, store, scorer=scorer)
        return router.compress(text, query=query, tool=tool, level=level, counter=counter_for(model))


def retrieve(
    ref: str,
    query: str | None = None,
    lines: str | None = None,
    rows: str | None = None,
    path: str | None = None,
    max_tokens: int | None = None,
    originals: Originals | None = None,
) -> str:
    """What was left out under `ref`: all of it, byte for byte, or a part.

    Raises `UnknownRef`, `NothingThere` where it has no such part, and `ValueError` for a wish that makes no sense.
    """
    with _store(originals) as store:
        text = store.get(ref) if REF.fullmatch(ref) else None
    if text is None:
        raise UnknownRef(f"nothing is stored under {ref!r}: it was never given out here, or it is too old")
    return part_of(text, query=query, lines=lines, rows=rows, path=path, max_tokens=max_tokens)


def _store(given: Originals | None) -> AbstractContextManager[Originals]:
    return opened_originals() if given is None else nullcontext(given)


@contextmanager
def opened_originals(environ: Mapping[str, str] = os.environ, **bounds: Any) -> Iterator[SqlOriginals]:
    """The store of this user. Its file is made when something is first stored."""
    originals = SqlOriginals(state_dir(environ) / ORIGINALS, **bounds)
    try:
        yield originals
    finally:
        originals.close()
