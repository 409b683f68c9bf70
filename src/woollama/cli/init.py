"""`woollama init`: files to begin with, and what on this machine could be used with them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from woollama.cli.arguments import SubParsers
from woollama.cli.screen import complain, counted, shown
from woollama.platform import config_dir


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "init",
        help="write configuration files to begin with",
        description="Write commented files to begin with into the configuration directory, where there are none yet;"
        " what is there is never touched. Then tell what to do next, and what was found on this machine: tool servers"
        " of other programs, and Ollama.",
        epilog="example: woollama init --import ~/.cursor/mcp.json",
    )
    parser.add_argument(
        "--import",
        dest="imported",
        metavar="FILE",
        type=Path,
        help="add the tool servers of another program's settings to mcp.json, except those whose names are there",
    )


def run(args: argparse.Namespace) -> int:
    from woollama.cli.starters import STARTERS
    from woollama.config.write import NotWritten

    directory = config_dir(os.environ)
    try:
        for name, text in STARTERS.items():
            print(f"{'wrote' if _start(directory / name, text) else 'kept '}  {directory / name}")
        if args.imported is not None:
            return _import(args.imported, directory)
    except NotWritten as error:
        complain(error)
        return 1
    print(f"\n{_next(directory)}")
    return 0


def _start(file: Path, text: str) -> bool:
    """Write `text` where there is nothing; a link that leads nowhere for the moment is something, too."""
    from woollama.config.write import change_file

    return not os.path.lexists(file) and change_file(file, lambda there: there or text)


def _import(source: Path, directory: Path) -> int:
    from woollama.cli.imports import CannotImport, import_servers

    try:
        added, kept = import_servers(source.expanduser(), directory / "mcp.json")
    except CannotImport as error:
        complain(error)
        return 1
    for name in added:
        print(shown(f"added  {name}"))
    for name in kept:
        print(shown(f"kept   {name}, which was there already"))
    if added:
        from woollama.cli.editing import tell_of_reload

        print("\nThese programs run with the daemon, with your rights. `woollama check` tells whether all is well.")
        tell_of_reload()
    return 0


def _next(directory: Path) -> str:
    from woollama.cli.imports import importable

    steps: list[str] = []
    for file, names in importable(os.environ, sys.platform, directory / "mcp.json"):
        steps.append(f"{counted(len(names), 'tool server')} in {file}:\n    woollama init --import {_quoted(file)}")
    steps += _ollama(os.environ)
    steps += [
        "Look whether all is well:\n    woollama check",
        "Start the daemon, and talk:\n    woollama serve\n    woollama chat MODEL",
        "Point other programs at it:\n    woollama env --help",
    ]
    return "\n".join(steps)


def _ollama(environ: Mapping[str, str]) -> list[str]:
    from woollama.cli.imports import ollama_models
    from woollama.config import load

    entry = load(None, environ).config.inferencers.get("ollama")
    models = ollama_models(entry.base_url) if entry is not None else None
    if models is None:
        return []
    if not models:
        return ["Ollama runs here and has no model yet:\n    ollama pull qwen3"]
    told = f"Ollama runs here with {counted(len(models), 'model')}. To have one answer by default:"
    return [f"{told}\n    woollama alias add default {_quoted('ollama/' + models[0])}"]


def _quoted(word: str | Path) -> str:
    import shlex

    return shlex.quote(shown(str(word)))
