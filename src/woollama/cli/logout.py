"""`woollama logout`: forgets a login at a tool server."""

from __future__ import annotations

import argparse
import logging

from woollama.cli.arguments import SubParsers
from woollama.cli.screen import complain, shown


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "logout",
        help="forget a login at a tool server",
        description="Forgets what `woollama login SERVER` has given, and tells the authorization server so.",
        epilog="example: woollama logout github",
    )
    parser.add_argument("server", help="the tool server")


def run(args: argparse.Namespace) -> int:
    from woollama.cli.login_files import server_of

    found = server_of(args.server)
    if isinstance(found, str):
        complain(found)
        return 1
    import asyncio

    from woollama.toolservers.browser import NotLoggedIn
    from woollama.toolservers.logging_in import log_out

    logging.disable()
    try:
        was_logged_in = asyncio.run(log_out(found[1]))
    except (NotLoggedIn, OSError) as error:
        complain(f"the login at {args.server} cannot be forgotten: {error}")
        return 1
    print(f"logged out of {shown(args.server)}" if was_logged_in else f"there was no login at {shown(args.server)}")
    return 0
