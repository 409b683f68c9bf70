"""The command line. Arguments are read before anything is touched; what a command needs is imported when it runs.

A command is a module of this package with `add_parser(subparsers)` and `run(args) -> int`. Exit codes: 0, 1 a problem
was found, 2 the arguments make no sense, 3 the daemon runs already, 4 refused for safety.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from woollama import __version__
from woollama.cli.arguments import Parser

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
COMMANDS = (
    "serve",
    "mcp",
    "init",
    "check",
    "config",
    "reload",
    "status",
    "ps",
    "models",
    "tools",
    "run",
    "chat",
    "approvals",
    "trust",
    "login",
    "logout",
    "alias",
    "recipe",
    "connect",
    "env",
    "completion",
    "service",
    "compress",
    "stats",
    "why-miss",
    "gc",
    "pull",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    _have_standard_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "-V", "--version")):
        words.insert(0, "serve")
    try:
        args = parser(words[0] if words[0] in COMMANDS else None).parse_all(words)
    except SystemExit as over:
        return over.code if isinstance(over.code, int) else 2
    try:
        code = int(args.run(args))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read our output has left
        _forget_output()
        return 0
    except OSError as error:
        if error.errno not in _NO_ROOM or error.filename is not None:
            raise
        _forget_output()
        sys.stderr.write(f"woollama: the output cannot be written: {error.strerror}\n")
        return 1


def _have_standard_streams() -> None:
    """A parent may have closed them: what is opened next would take their place, and get what is meant for them."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115  (stays open)
            setattr(sys, name, stream)


def _forget_output() -> None:
    """Python would complain again when it flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def serve_main(argv: Sequence[str] | None = None) -> int:
    """`woollamad` is `woollama serve`."""
    return main(["serve", *(sys.argv[1:] if argv is None else argv)])


def parser(only: str | None = None) -> Parser:
    """The parser of all commands, or of one of them: the modules of the others are then not even imported."""
    parser = Parser(
        prog="woollama",
        description="One local door for every model and tool. Without a command it serves.",
        epilog="woollama COMMAND --help says more about a command.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"woollama {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for name in COMMANDS if only is None else (only,):
        module = import_module(f"woollama.cli.{name.replace('-', '_')}")
        module.add_parser(commands)
        commands.choices[name].set_defaults(run=module.run)
    return parser
