"""`python -m woollama.compression.worker`: makes texts smaller for a daemon that must not be held up by it.

    ready⏎                                                            on stdout, when it is
    {"bytes": 401234, "level": "auto", …}⏎<as many bytes of UTF-8>    on stdin, once for each text
    {"bytes": 30211, "reason": "selective", …}⏎<as many bytes>         on stdout, for each in turn

It ends with its stdin. Whatever a text does to it, it does to this process alone: `apart` is the daemon's side.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from woollama.compression.originals import SqlOriginals
from woollama.compression.policy import Budget, Policy
from woollama.compression.router import Compressed, ContentRouter

READY = b"ready\n"
MOST_MEMORY_BYTES = 4 * 2**30


def work(given: BinaryIO, made: BinaryIO) -> None:
    """Answers every request of `given` in turn, until it ends."""
    stores: dict[str, SqlOriginals] = {}
    made.write(READY)
    made.flush()
    while header := given.readline():
        asked = json.loads(header)
        text = given.read(asked["bytes"]).decode("utf-8", "surrogatepass")
        router = ContentRouter(policy_of(asked["policy"]), _store(stores, asked))
        done = router.compress(
            text, query=asked["query"], tool=asked["tool"], level=asked["level"], hints=asked["hints"]
        )
        write(made, result_to_json(done), done.text if done.text != text else None)


def write(stream: BinaryIO, header: dict[str, Any], text: str | None) -> None:
    body = b"" if text is None else text.encode("utf-8", "surrogatepass")
    stream.write(json.dumps({**header, "bytes": len(body), "same": text is None}).encode() + b"\n" + body)
    stream.flush()


def result_to_json(done: Compressed) -> dict[str, Any]:
    """All of a result but its text."""
    told = asdict(done)
    del told["text"]
    return told


def policy_of(told: dict[str, Any]) -> Policy:
    """The policy that `asdict` made this of, and JSON since."""
    budgets = {name: Budget(**told[name]) for name in ("auto", "aggressive")}
    return Policy(**{**told, **budgets, "exclude_tools": tuple(told["exclude_tools"])})


def _store(stores: dict[str, SqlOriginals], asked: dict[str, Any]) -> SqlOriginals:
    path = asked["path"]
    if path not in stores:
        stores[path] = SqlOriginals(Path(path))
    stores[path].bound(max_bytes=asked["max_bytes"], max_age_s=asked["max_age_s"])
    return stores[path]


def main() -> None:
    with suppress(ImportError, ValueError, OSError):  # where the system has no such limit there is none
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = MOST_MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(hard, MOST_MEMORY_BYTES)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    work(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
