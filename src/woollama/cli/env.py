"""`woollama env`: what points other programs here, for `eval`."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import PurePath

from woollama.cli.arguments import SubParsers
from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import complain

DEFAULT_ADDRESS = "127.0.0.1:11435"
ANY_KEY = "woollama"
"""From this machine's own user every key is accepted, and most programs insist on having one."""
TOKEN = "WOOLLAMA_TOKEN"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


def _in_fish(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


SHELLS: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "sh": ("export {}={}", shlex.quote),
    "bash": ("export {}={}", shlex.quote),
    "zsh": ("export {}={}", shlex.quote),
    "fish": ("set -gx {} {};", _in_fish),
    "csh": ("setenv {} {};", shlex.quote),
    "tcsh": ("setenv {} {};", shlex.quote),
}


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "env",
        help="print the variables that point other programs here",
        description="Print lines for a shell that point programs with OpenAI's, Anthropic's or Ollama's API at this"
        " daemon. Keys are replaced, too: do not start the daemon from a shell in which this was evaluated, it would"
        " take them for the providers' keys.",
        epilog='examples: eval "$(woollama env)"; woollama env --shell fish | source',
    )
    parser.add_argument("--shell", choices=[*SHELLS], metavar="SHELL", help=f"{', '.join(SHELLS)}; the one in $SHELL")


def run(args: argparse.Namespace) -> int:
    daemon = Daemon(os.environ)
    address = (daemon.url or "").removeprefix("http://")
    try:
        daemon.get("/healthz")
    except (NotRunning, Refused) as error:
        complain(error)
        address = os.environ.get("WOOLLAMA_ADDRESS") or DEFAULT_ADDRESS
    line, quoted = SHELLS[args.shell or _own_shell(os.environ)]
    for name, value in variables(address or DEFAULT_ADDRESS, str(daemon.socket_path)).items():
        print(line.format(name, quoted(value)))
    if os.environ.get(TOKEN):  # named, not shown: what is printed may end in a log
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
            print(line.format(name, f'"${TOKEN}"'))
    return 0


def variables(address: str, socket: str) -> dict[str, str]:
    host, _, port = address.rpartition(":")
    address = f"{_EVERYWHERE.get(host, host)}:{port}"
    return {
        "OPENAI_BASE_URL": f"http://{address}/v1",
        "OPENAI_API_BASE": f"http://{address}/v1",
        "OPENAI_API_KEY": ANY_KEY,
        "ANTHROPIC_BASE_URL": f"http://{address}",
        "ANTHROPIC_API_KEY": ANY_KEY,
        "OLLAMA_HOST": address,
        "WOOLLAMA_SOCKET": socket,
    }


def _own_shell(environ: Mapping[str, str]) -> str:
    name = PurePath(environ.get("SHELL") or "sh").name
    return name if name in SHELLS else "sh"
