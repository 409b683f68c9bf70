"""`woollama mcp`: an MCP server over standard input and output, as hosts launch it."""

from __future__ import annotations

import argparse
import os
import sys
from typing import BinaryIO

from woollama.cli.arguments import SubParsers


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "mcp",
        help="an MCP server over stdio, for hosts to launch",
        description="Serve MCP over standard input and output until the input ends. Attaches to the running daemon,"
        " and starts one where none runs; that one stays.",
    )
    parser.add_argument(
        "--standalone", action="store_true", help="use no daemon: tool servers of its own, which end with it"
    )


def run(args: argparse.Namespace) -> int:
    if args.standalone:
        from woollama.cli.mcp_standalone import serve

        return serve(os.environ)
    from woollama.cli.mcp_pipe import Attachment
    from woollama.cli.mcp_relay import Relay

    Relay(Attachment(os.environ), _wire()).run(sys.stdin.buffer)
    return 0


def _wire() -> BinaryIO:
    """The host's end, for us alone: whatever else is printed goes to standard error."""
    wire = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return wire
