"""`woollama gc`: forget conversations and responses that have been kept for long enough."""

from __future__ import annotations

import argparse

from woollama.cli.arguments import SubParsers
from woollama.cli.screen import complain, counted


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "gc",
        help="forget responses and conversations that have been kept for long enough",
        description="Forget what nothing has happened to for as long as [state] of woollama.toml says: responses in no"
        " conversation for keep_days, conversations for keep_conversations_days. The daemon does this by itself, at"
        " its start and once a day; it may run meanwhile.",
        epilog="example: woollama gc --days 7",
    )
    parser.add_argument(
        "--days",
        metavar="N",
        type=float,
        help="forget responses in no conversation after so many days, whatever the configuration says",
    )


def run(args: argparse.Namespace) -> int:
    import asyncio

    from woollama.domain.errors import RouterError

    if args.days is not None and args.days <= 0:
        complain("--days must be more than 0")
        return 2
    try:
        forgotten = asyncio.run(_forget(args.days))
    except (RouterError, ValueError) as error:
        complain(error)
        return 1
    print(f"{counted(forgotten, 'conversation')} forgotten, chains of responses included")
    return 0


async def _forget(days: float | None) -> int:
    import woollama

    async with woollama.open() as core:
        return await core.state.sweep(days)
