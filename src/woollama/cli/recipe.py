"""`woollama recipe add|list|show|remove`: models with their words and tools, under names of your own."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from woollama.cli.arguments import SubParsers
from woollama.cli.screen import complain, table

if TYPE_CHECKING:
    from woollama.config import Loaded

SECTION = "recipes"


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "recipe",
        help="give a model words and tools, under a name of your own",
        description="A recipe is a model with its words, its tools and its limits, asked for as woollama/NAME. They are"
        " kept in recipes.toml, whose comments stay; docs/recipes.md tells all that can be written there.",
        epilog="example: woollama recipe add reviewer --inferencer ollama/qwen3:14b --system 'You review code.'"
        " --tool 'git.*'",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    add = actions.add_parser(
        "add",
        help="add a recipe",
        description="Add a recipe to recipes.toml. It is checked first, with all that it refers to.",
        epilog="example: woollama recipe add clerk --inferencer ollama/qwen3:14b --fallback anthropic/claude-haiku-4-5"
        " --tool clock.now --description 'Knows the time'",
    )
    add.add_argument("name", metavar="NAME", help="its name")
    add.add_argument("--inferencer", required=True, metavar="MODEL", help="the model that answers, or another recipe")
    add.add_argument("--description", metavar="TEXT", help="what it is for")
    add.add_argument("--system", metavar="TEXT", help="what the model is told; {{name}} stands for a variable")
    add.add_argument("--tool", action="append", metavar="GLOB", help="a tool that it may call; may be repeated")
    add.add_argument("--fallback", action="append", metavar="MODEL", help="who answers when it cannot; may be repeated")
    add.add_argument("--replace", action="store_true", help="put it in the place of a recipe of yours")
    add.completed |= {"inferencer": "models", "fallback": "models", "tool": "tools"}
    listing = actions.add_parser("list", help="list the recipes", description="List the recipes and who answers them.")
    listing.add_argument("--json", action="store_true", help="print them as JSON")
    show = actions.add_parser(
        "show", help="show a recipe", description="Show a recipe as TOML, and where each line of it is written."
    )
    show.add_argument("name", metavar="NAME", help="the recipe")
    show.completed["name"] = "recipes"
    remove = actions.add_parser(
        "remove", help="remove a recipe", description="Take a recipe out of recipes.toml: its lines, and nothing else."
    )
    remove.add_argument("name", metavar="NAME", help="the recipe")
    remove.completed["name"] = "recipes"


def run(args: argparse.Namespace) -> int:
    return {"add": _add, "list": _list, "show": _show, "remove": _remove}[args.action](args)


def _add(args: argparse.Namespace) -> int:
    from woollama.cli.editing import put_entry, tell_of_reload

    written = {
        "description": args.description,
        "inferencer": args.inferencer,
        "fallbacks": args.fallback,
        "system": args.system,
        "tools": args.tool,
    }
    recipe: dict[str, Any] = {key: value for key, value in written.items() if value is not None}
    taken = f"there is a recipe {args.name!r} already: --replace puts this one in its place"
    if not put_entry((SECTION, args.name), recipe, replace=args.replace, taken=taken):
        return 1
    print(f"woollama/{args.name} is there: `woollama chat --recipe {args.name}`")
    tell_of_reload()
    return 0


def _list(args: argparse.Namespace) -> int:
    from woollama.config import load

    rows = list(_rows(load(None, os.environ)))
    if args.json:
        print(json.dumps(rows, indent=2))
    elif rows:
        columns = ("name", "inferencer", "from", "description")
        print(table(([row[column] for column in columns] for row in rows), tail="dim"))
    else:
        print("there are no recipes; `woollama recipe add NAME --inferencer MODEL` makes one")
    return 0


def _rows(loaded: Loaded) -> Iterator[dict[str, str]]:
    from woollama.cli.editing import own_file

    own = {name for each in loaded.documents if each.file == own_file() for name in each.data.get(SECTION, {})}
    for name, recipe in loaded.config.recipes.items():
        source = "pattern" if recipe.source == "fabric" else "yours" if name in own else "shipped"
        yield {"name": name, "inferencer": recipe.inferencer, "from": source, "description": recipe.description}


def _show(args: argparse.Namespace) -> int:
    from woollama.cli.editing import own_file
    from woollama.config import load
    from woollama.config.merged import as_toml, merged

    loaded = load(None, os.environ)
    if lines := as_toml([each for each in merged(loaded, os.environ) if each.path[:2] == (SECTION, args.name)]):
        print(lines)
        return 0
    complain(f"there is no recipe {args.name!r} in {own_file()} or among the shipped ones; see `woollama recipe list`")
    return 1


def _remove(args: argparse.Namespace) -> int:
    from woollama.cli.editing import own_file, take_out_entry, tell_of_reload
    from woollama.config import load

    shipped = args.name in load(None, os.environ).config.recipes
    off = f"; to switch it off write into it: [recipes.{args.name}] and below that disabled = true" if shipped else ""
    missing = f"there is no recipe {args.name!r} in {own_file()}{off}"
    if not take_out_entry((SECTION, args.name), missing=missing):
        return 1
    print(f"woollama/{args.name} is gone from {own_file()}")
    tell_of_reload()
    return 0
