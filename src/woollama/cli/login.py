"""`woollama login`: logs in at a tool server that wants that (OAuth), in a browser."""

from __future__ import annotations

import argparse
import logging
import sys

from woollama.cli.arguments import SubParsers
from woollama.cli.screen import complain, shown


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "login",
        help="log in at a tool server that wants it",
        description=(
            "Opens the page on which you log in at a tool server with a url, and keeps what that gives, for you alone;"
            " it is renewed by itself as long as the server allows that. `woollama logout SERVER` forgets it."
        ),
        epilog="examples: woollama login github; woollama login github --no-browser",
    )
    parser.add_argument("server", help="the tool server")
    parser.add_argument("--no-browser", action="store_true", help="only print the address, to open it yourself")
    parser.add_argument("--timeout", type=_duration_s, default=300.0, help="how long you may take (5m)")


def run(args: argparse.Namespace) -> int:
    from woollama.cli.login_files import server_of

    found = server_of(args.server)
    if isinstance(found, str):
        complain(found)
        return 1
    server, file = found
    if any(name.lower() == "authorization" for name in server.headers):
        complain(f"{server.name} is given an Authorization header of mcp.json, so it needs no login")
        return 1
    import asyncio
    import webbrowser

    from woollama.platform import Unsafe
    from woollama.toolservers.browser import NotLoggedIn
    from woollama.toolservers.logging_in import log_in
    from woollama.toolservers.logins import OwnClient

    def show(url: str) -> None:
        opened = not args.no_browser and webbrowser.open(url)
        print("Log in on the page that has opened, or open:" if opened else "To log in, open:", file=sys.stderr)
        print(shown(url), file=sys.stderr, flush=True)

    logging.disable()  # the SDK writes tracebacks about what is said here in a sentence
    own = server.oauth
    client = OwnClient(own.client_id, own.client_secret, own.callback_port) if own else OwnClient()
    try:
        missing = asyncio.run(log_in(file, client, show, args.timeout))
    except (NotLoggedIn, OSError, Unsafe) as error:
        complain(f"not logged in at {server.name}: {error}")
        return 1
    without = f", but it was not given {', '.join(missing)}, which the server has wanted" if missing else ""
    print(shown(f"logged in at {server.name}{without}"))
    return 0


def _duration_s(text: str) -> float:
    from woollama.config.values import duration_s

    return duration_s(text)
