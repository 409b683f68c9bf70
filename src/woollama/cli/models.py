"""`woollama models`: what can be asked for."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from woollama.cli.arguments import SubParsers
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import complain, fits, shown, table
from woollama.domain.capabilities import CAPABILITIES


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "models",
        help="list the models that can be asked for",
        description="List what can be asked for: recipes, aliases, and the models of every inferencer. On a terminal"
        " with what each is, elsewhere one name a line.",
        epilog="examples: woollama models qwen; woollama models 'ollama/*'; woollama models --kind recipe",
    )
    parser.add_argument("pattern", nargs="*", metavar="PATTERN", help="part of a name, or a glob over all of it")
    parser.add_argument(
        "--kind",
        metavar="KIND",
        help="only recipes (recipe), aliases (alias), or the models of one inferencer (its name)",
    )
    parser.add_argument(
        "--capability", choices=CAPABILITIES, help="only models that are declared so, as inferencers.toml says"
    )
    parser.completed["pattern"] = "models"
    parser.add_argument("--json", action="store_true", help="print the listing as JSON, as GET /v1/models gives it")


def run(args: argparse.Namespace) -> int:
    try:
        listing = Daemon(os.environ).get("/v1/models")
    except (NotRunning, Refused) as error:
        complain(error)
        return 1
    found = [
        model
        for model in listing["data"]
        if fits(model["id"], args.pattern)
        and args.kind in (None, kind_of(model))
        and args.capability in (None, *capabilities_of(model))
    ]
    if args.json:
        print(json.dumps({**listing, "data": found}, indent=2))
    elif not found:
        complain("no model fits; `woollama models` lists them all")
    elif sys.stdout.isatty():
        print(table(((model["id"], what_it_is(model)) for model in found), tail="dim"))
    else:
        for model in found:
            print(shown(model["id"]))
    return 0 if found else 1


def kind_of(model: Mapping[str, Any]) -> str:
    """`recipe`, `alias`, or the inferencer."""
    if model["owned_by"] != "woollama":
        return str(model["owned_by"])
    return "recipe" if model["id"].startswith("woollama/") else "alias"


def what_it_is(model: Mapping[str, Any]) -> str:
    """`recipe`, or `ollama: chat, vision`."""
    return ": ".join(filter(None, (kind_of(model), ", ".join(capabilities_of(model)))))


def capabilities_of(model: Mapping[str, Any]) -> list[str]:
    """What is declared of it; empty where nothing is."""
    return list(model.get("x_woollama", {}).get("capabilities", ()))
