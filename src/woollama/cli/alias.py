"""`woollama alias add|list|remove`: names for models, for programs that have one built in and for people."""

from __future__ import annotations

import argparse
import json
import os

from woollama.cli.arguments import SubParsers
from woollama.cli.screen import table

SECTION = "aliases"


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "alias",
        help="give a model another name",
        description="Give a model another name: programs with a model's name built in then reach any other. The alias"
        " `default` is who answers `woollama chat`. They are kept in recipes.toml, whose comments stay.",
        epilog="examples: woollama alias add gpt-4o ollama/qwen3:14b; woollama alias add default woollama/assistant",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    add = actions.add_parser(
        "add",
        help="add an alias",
        description="Add an alias to recipes.toml. What it stands for is checked first.",
        epilog="example: woollama alias add gpt-4o ollama/qwen3:14b",
    )
    add.add_argument("name", metavar="NAME", help="the new name")
    add.add_argument("target", metavar="TARGET", help="what it stands for, as `woollama models` shows it")
    add.add_argument("--replace", action="store_true", help="change an alias that is there")
    add.completed["target"] = "models"
    listing = actions.add_parser(
        "list", help="list the aliases", description="List the aliases and what they stand for."
    )
    listing.add_argument("--json", action="store_true", help="print them as JSON")
    remove = actions.add_parser(
        "remove", help="remove an alias", description="Take an alias out of recipes.toml: its line, and nothing else."
    )
    remove.add_argument("name", metavar="NAME", help="the alias")
    remove.completed["name"] = "aliases"


def run(args: argparse.Namespace) -> int:
    return {"add": _add, "list": _list, "remove": _remove}[args.action](args)


def _add(args: argparse.Namespace) -> int:
    from woollama.cli.editing import put_entry, tell_of_reload

    taken = f"there is an alias {args.name!r} already: --replace changes it"
    if not put_entry((SECTION, args.name), args.target, replace=args.replace, taken=taken):
        return 1
    print(f"{args.name} stands for {args.target}")
    tell_of_reload()
    return 0


def _list(args: argparse.Namespace) -> int:
    from woollama.config import load

    aliases = load(None, os.environ).config.aliases
    if args.json:
        print(json.dumps(dict(aliases), indent=2))
    elif aliases:
        print(table((name, target) for name, target in sorted(aliases.items())))
    else:
        print("there are no aliases; `woollama alias add NAME TARGET` makes one")
    return 0


def _remove(args: argparse.Namespace) -> int:
    from woollama.cli.editing import own_file, take_out_entry, tell_of_reload

    missing = f"there is no alias {args.name!r} in {own_file()}; `woollama alias list` lists them"
    if not take_out_entry((SECTION, args.name), missing=missing):
        return 1
    print(f"{args.name} is no alias any more")
    tell_of_reload()
    return 0
