"""`woollama check`: everything that is wrong with the configuration, without connecting or binding."""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from typing import TYPE_CHECKING

from woollama.cli.arguments import SubParsers
from woollama.cli.screen import shown

if TYPE_CHECKING:
    from woollama.config import Config

FILES = ("recipes.toml", "mcp.json", "inferencers.toml", "woollama.toml")


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "check",
        help="tell what is wrong with the configuration",
        description="Read the configuration as the daemon does and tell all that is wrong with it. Nothing is started"
        " and nobody is asked. Exits with 1 if there is an error.",
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--json", action="store_true", help="print the problems as JSON")
    instead.add_argument(
        "--schema", metavar="FILE", choices=FILES, help=f"print a file's JSON schema: {', '.join(FILES)}"
    )


def run(args: argparse.Namespace) -> int:
    if args.schema:
        from woollama.config.schemas import schema_of

        print(json.dumps(schema_of(args.schema), indent=2))
        return 0
    from woollama.cli.references import references
    from woollama.config import load

    loaded = load(None, os.environ)
    # Half a configuration has references of which only its other half knows whether they are right.
    problems = [*loaded.problems, *(() if loaded.fatal else references(loaded, os.environ))]
    counts: Counter[str] = Counter(problem.severity for problem in problems)
    failed = loaded.fatal or bool(counts["error"])
    if args.json:
        print(json.dumps({"ok": not failed, "problems": [problem.as_json() for problem in problems]}, indent=2))
        return int(failed)
    for problem in problems:
        print(f"{problem.severity}: {shown(problem.message if problem.severity == 'note' else str(problem))}")
    print(_summary(loaded.config, counts))
    return int(failed)


def _summary(config: Config, counts: Counter[str]) -> str:
    parts = {
        "recipe": len(config.recipes),
        "alias": len(config.aliases),
        "inferencer": len(config.inferencers),
        "tool server": sum(not server.disabled for server in config.servers.values()),
    }
    found = {severity: counts[severity] for severity in ("error", "warning") if counts[severity]}
    return f"{_counted(parts)}: {_counted(found) or 'no problems'}"


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {_plural(word) if count != 1 else word}" for word, count in counts.items())


def _plural(word: str) -> str:
    return f"{word}es" if word.endswith("s") else f"{word}s"
