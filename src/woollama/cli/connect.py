"""`woollama connect`: other programs' settings, so that they ask woollama. Printed, written, or taken back."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from woollama.cli.arguments import SubParsers
from woollama.cli.daemon import Daemon
from woollama.cli.screen import complain, styled, table

if TYPE_CHECKING:
    from woollama.connect.connecting import Connections
    from woollama.connect.settings import Setting
    from woollama.connect.tools import Home

DEFAULT_URL = "http://127.0.0.1:11435"


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser("connect", help="the settings of other programs, so that they ask woollama")
    parser.add_argument("tool", nargs="?", metavar="TOOL", help="which program; without one they are listed")
    parser.add_argument("--model", metavar="NAME", help="the model that it is to ask for")
    parser.add_argument("--only", choices=("models", "mcp"), help="as a place for models, or as an MCP server, alone")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--write", action="store_true", help="write the settings instead of printing them")
    how.add_argument("--undo", action="store_true", help="take back what was written")
    parser.add_argument("--dir", metavar="DIR", help="the home directory whose settings are meant, instead of yours")
    parser.add_argument("--url", metavar="URL", help=f"where the daemon is, instead of where it says ({DEFAULT_URL})")


def run(args: argparse.Namespace) -> int:
    from woollama.connect.connecting import Connections, Refused, settings_of
    from woollama.connect.tools import TOOLS, Home, Offer
    from woollama.platform import state_dir

    environ = os.environ
    directory = Path(args.dir or environ.get("HOME") or Path.home()).absolute()
    if not directory.is_dir():
        complain(f"{directory} is no directory")
        return 2
    home = Home(directory, sys.platform, {} if args.dir else environ)
    connections = Connections(state_dir(environ) / "connect")
    if args.tool is None:
        return _list(home, connections)
    tool = next((tool for tool in TOOLS if tool.name == args.tool), None)
    if tool is None:
        complain(f"there is no tool {args.tool!r}; there are {', '.join(tool.name for tool in TOOLS)}")
        return 2
    try:
        if args.undo:
            told = connections.undo(tool, home)
            print("\n".join(told) if told else f"nothing was written for {tool.title}")
            return 0
        offer = Offer(
            (args.url or Daemon(environ).url or DEFAULT_URL).rstrip("/").removesuffix("/v1"), _command(), args.model
        )
        by_file = settings_of(tool, home, offer, (args.only,) if args.only else ("models", "mcp"))
        if args.write:
            plan = connections.plan(tool, home, by_file)
            connections.write(tool, home, plan)
            for backup in plan.backups:
                print(f"kept     {backup}")
            for path in by_file:
                print(f"{'written ' if path in plan.texts else 'as it is'} {path}")
            if not by_file:
                print(f"{tool.title} has no file to write; do this:")
        else:
            for path, settings in by_file.items():
                print(styled(f"# {path}", "dim"))
                print(_shown(path, settings), end="\n\n")
    except Refused as error:
        complain(error)
        return 1
    except OSError as error:
        complain(f"{error.filename or ''}: {error.strerror}")
        return 1
    for note in tool.notes(offer):
        print(note)
    if environ.get("WOOLLAMA_TOKEN"):
        print(f"The daemon wants a token: put it in the place of the key {offer.key!r}.")
    if by_file and not args.write:
        print(f"`woollama connect {tool.name} --write` writes this, `--undo` takes it back.")
    return 0


def _list(home: Home, connections: Connections) -> int:
    from woollama.connect.tools import TOOLS

    rows = []
    for tool in TOOLS:
        seen = any(map(shutil.which, tool.programs)) or any(trace(home).exists() for trace in tool.traces)
        state = "connected" if connections.written(tool, home) else "installed" if seen else ""
        rows.append((tool.name, tool.title, state))
    print(table(rows, tail="green"))
    print("\n`woollama connect TOOL` prints the settings, `--write` writes them, `--undo` takes them back.")
    return 0


def _shown(path: Path, settings: list[Setting]) -> str:
    """The file as it would be if there were nothing else in it."""
    from woollama.connect.connecting import format_of

    text = ""
    for setting in settings:
        text = format_of(path).put(text, setting)
    return text.rstrip()


def _command() -> list[str]:
    """How an MCP host starts us: hosts with windows do not know the PATH of a shell."""
    beside = Path(sys.executable).with_name("woollama")
    return [str(beside), "mcp"] if beside.exists() else [sys.executable, "-m", "woollama", "mcp"]
