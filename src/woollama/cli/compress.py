"""`woollama compress [FILE]`: output of tools made smaller, and what was left out had back."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from woollama.cli.arguments import SubParsers
from woollama.cli.screen import complain

if TYPE_CHECKING:
    from woollama.compression import Compressed

LEVELS = ("off", "lossless", "auto", "aggressive")
_PARTS = ("lines", "rows", "path", "max_tokens")


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "compress",
        help="make the output of a tool smaller, and have back what was left out",
        description="Reads a file or standard input and prints it smaller. What is left out stays in the state"
        " directory and is had back with --retrieve.",
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="what to read; - or nothing is standard input")
    parser.add_argument("--level", choices=LEVELS, default="auto", help="how far to go (auto)")
    parser.add_argument("--query", metavar="Q", help="what it was fetched for: lines that answer it stay")
    parser.add_argument("--tool", metavar="T", default="", help="the tool that it comes from")
    parser.add_argument("--stats", action="store_true", help="say on standard error what was done, and why")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--retrieve", metavar="REF", help="print what was left out under this ref, or a part of it")
    how.add_argument("--restore", action="store_true", help="decode a lossless result")
    parser.add_argument("--lines", metavar="A-B", help="with --retrieve: these lines")
    parser.add_argument("--rows", metavar="A-B", help="with --retrieve: these rows")
    parser.add_argument("--path", metavar="PATH", help="with --retrieve: this place in JSON, such as results[3].title")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="with --retrieve: no more than this")


def run(args: argparse.Namespace) -> int:
    from woollama.compression import NothingThere, NotOurs, UnknownRef, restore

    parts = {name: value for name in _PARTS if (value := getattr(args, name)) is not None}
    if args.retrieve is None and parts:
        complain(f"--{next(iter(parts)).replace('_', '-')} asks for a part of what --retrieve gives")
        return 2
    try:
        if args.restore:
            _write(restore(_read(args.file)))
            return 0
        return _by_settings(args, parts)
    except (OSError, NotOurs, NothingThere, UnknownRef, ValueError) as problem:
        complain(f"{args.file}: {problem.strerror}" if isinstance(problem, OSError) else problem)
        return 1


def _by_settings(args: argparse.Namespace, parts: Mapping[str, Any]) -> int:
    """As `[compression]` of woollama.toml says."""
    from woollama.compressing import policy_of, scorer_of
    from woollama.compression.library import compress, opened_originals, retrieve
    from woollama.config import load

    loaded = load(None, os.environ)
    for problem in loaded.problems:
        if loaded.fatal or problem.key.startswith("compression"):
            complain(problem)
    if loaded.fatal:
        return 1
    settings = loaded.config.compression
    with opened_originals(max_bytes=settings.originals_bytes, max_age_s=settings.keep_s) as originals:
        if args.retrieve is not None:
            _write(retrieve(args.retrieve, query=args.query, originals=originals, **parts))
            return 0
        result = compress(
            _read(args.file),
            query=args.query or "",
            tool=args.tool,
            level=args.level,
            config=policy_of(settings),
            scorer=scorer_of(settings.scorer),
            originals=originals,
        )
    _write(result.text)
    if args.stats:
        print(told(result), file=sys.stderr)
    return 0


def told(result: Compressed) -> str:
    """`102273 -> 6219 tokens (94 % saved, estimate), auto by log_compressor: selective, 92 ms`."""
    before, after = result.tokens_before, result.tokens_after
    share = round(100 * (before - after) / before) if before else 0
    by = f" by {result.crusher}" if result.crusher else ""
    took = f"{result.took_s * 1000:.0f} ms"
    line = (
        f"{before} -> {after} tokens ({share} % saved, {result.counter}), {result.level}{by}: {result.reason}, {took}"
    )
    return "\n".join([line, *(f"woollama compress --retrieve {ref}" for ref in result.refs)])


def _read(file: str | None) -> str:
    """Bytes that are no UTF-8 pass through, as in file names."""
    data = sys.stdin.buffer.read() if file in (None, "-") else Path(str(file)).read_bytes()
    return data.decode("utf-8", "surrogateescape")


def _write(text: str) -> None:
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()
