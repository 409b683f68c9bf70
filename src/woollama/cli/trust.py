"""`woollama trust`: what has become of tools since they were first seen, and a yes to it."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from woollama.cli.arguments import SubParsers
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import complain, counted, shown, styled

_STYLES = {"+": "green", "-": "red"}


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "trust",
        help="see how tools have changed since they were first seen, and accept them",
        description=(
            "A tool server may describe its tools in other words than when it was added, to you and to every model."
            " Shows what has changed and, where you say so, accepts it. Without a server: lists those that have such"
            " tools."
        ),
        epilog="examples: woollama trust; woollama trust github; woollama trust github create_issue --yes",
    )
    parser.add_argument("server", nargs="?", help="the tool server")
    parser.add_argument("tools", nargs="*", metavar="TOOL", help="these of its tools alone")
    parser.add_argument("--yes", action="store_true", help="accept without asking, for scripts")
    parser.add_argument("--json", action="store_true", help="print what has changed, or was accepted, as JSON")


def run(args: argparse.Namespace) -> int:
    daemon = Daemon(os.environ)
    try:
        return _list(daemon, args) if args.server is None else _trust(daemon, args)
    except (NotRunning, Refused) as error:
        complain(error)
        return 1


def _list(daemon: Daemon, args: argparse.Namespace) -> int:
    servers = [server for server in daemon.get("/w1/servers")["data"] if server.get("changed")]
    if args.json:
        print(json.dumps({"servers": servers}, indent=2))
        return 0
    for server in servers:
        kept_away = f", {len(server['quarantined'])} of them not offered" if server["quarantined"] else ""
        print(f"{shown(server['name'])}: {counted(len(server['changed']), 'tool')} changed{kept_away}")
    if not servers:
        print("every tool is what it was when it was first seen")
    return 0


def _trust(daemon: Daemon, args: argparse.Namespace) -> int:
    path = f"/w1/servers/{quote(args.server, safe='')}/trust"
    changes = [each for each in daemon.get(path)["data"] if not args.tools or each["name"] in args.tools]
    if unchanged := sorted(set(args.tools) - {each["name"] for each in changes}):
        complain(f"{args.server} has no changed tool {unchanged[0]!r}")
        return 1
    if args.json and not args.yes:
        print(json.dumps({"data": changes}, indent=2))
        return 0
    for line in () if args.json else _told(args.server, changes):
        print(line)
    if changes and not (args.yes or _agreed(len(changes))):
        complain("nothing was accepted")
        return 1
    shown_digests = {each["name"]: each["digest"] for each in changes}
    done = daemon.send(path, {"tools": shown_digests}) if changes else {"accepted": []}
    if args.json:
        print(json.dumps(done))
    elif changes:
        print(f"accepted: {', '.join(shown(name) for name in done['accepted'])}")
    else:
        return _unchanged(daemon, args.server)
    return 0


def _unchanged(daemon: Daemon, name: str) -> int:
    """Of a server that has not said what it has, nothing is known to be the same."""
    server = next(each for each in daemon.get("/w1/servers")["data"] if each["name"] == name)
    if not server["tools"] and server["health"] != "ready":
        complain(f"{name} is {server['health']}: its tools are not known yet")
        return 1
    print(f"every tool of {shown(name)} is what it was when it was first seen")
    return 0


def _agreed(count: int) -> bool:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    try:
        return input(f"Accept {'it' if count == 1 else 'them'}? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _told(server: str, changes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for change in changes:
        offered = "not offered until you accept it" if change["pin"] == "quarantined" else "still offered"
        yield styled(shown(f"{server}.{change['name']}"), "bold") + f" ({offered})"
        for member in dict.fromkeys((*change["before"], *change["now"])):
            before, now = change["before"].get(member), change["now"].get(member)
            if before != now:
                yield f"  {shown(member)}"
                yield from _difference(_lines(before), _lines(now))
        yield ""


def _difference(before: Sequence[str], now: Sequence[str]) -> Iterator[str]:
    for line in list(difflib.unified_diff(before, now, lineterm="", n=2))[2:]:
        if not line.startswith("@@"):
            text = f"    {shown(line)}"
            yield styled(text, _STYLES[line[0]]) if line[0] in _STYLES else text


def _lines(value: Any) -> list[str]:
    if value is None:
        return []
    return (value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)).splitlines()
