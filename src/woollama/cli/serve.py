"""`woollama serve`: the daemon, in the foreground."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, MutableMapping
from functools import cache
from typing import TYPE_CHECKING, Literal, cast

from woollama.cli.arguments import SubParsers, checked
from woollama.cli.screen import complain

if TYPE_CHECKING:
    from woollama.config import Loaded
    from woollama.daemon import Daemon
    from woollama.domain.errors import RouterError

LIMITS: Mapping[str, tuple[str, str, str]] = {
    "max_body_bytes": ("SIZE", "size", "the largest request body (32MiB)"),
    "max_media_bytes": ("SIZE", "size", "the largest form with files (256MiB)"),
    "max_output_bytes": ("SIZE", "size", "what one turn may hold in memory (64MiB)"),
    "max_frame_bytes": ("SIZE", "size", "the largest event or line of an upstream's stream (32MiB)"),
    "max_tool_result_bytes": ("SIZE", "size", "the largest result of a tool (16MiB)"),
    "max_runs": ("COUNT", "whole", "turns at once, others wait; 0: any number (256)"),
    "max_connections": ("COUNT", "whole", "open connections (512)"),
    "max_header_bytes": ("SIZE", "size", "the largest head of a request (64KiB)"),
    "max_headers": ("COUNT", "whole", "the most headers of a request (128)"),
    "header_timeout": ("TIME", "duration", "how long the head of a request may take (10s)"),
    "body_timeout": ("TIME", "duration", "how long a body may stand still on its way (30s)"),
    "write_timeout": ("TIME", "duration", "how long a client may read nothing of its answer (5m)"),
}
"""Flag -> what its value is called, the kind that reads it, and what it is for."""
FLAGS: Mapping[str, str] = {
    "address": "WOOLLAMA_ADDRESS",
    "allow_host": "WOOLLAMA_ALLOW_HOST",
    "allow_origin": "WOOLLAMA_ALLOW_ORIGIN",
    "heartbeat": "WOOLLAMA_HEARTBEAT",
    "shutdown_timeout": "WOOLLAMA_SHUTDOWN_TIMEOUT",
    **{name: f"WOOLLAMA_{name.upper()}" for name in LIMITS},
}
"""A flag is another spelling of its variable, and wins over it."""


def add_parser(subparsers: SubParsers) -> None:
    parser = subparsers.add_parser(
        "serve",
        help="run the daemon (also without any command, and as woollamad)",
        description="Run the daemon in the foreground until it is told to end (Ctrl-C, SIGTERM).",
        epilog="Each option has an environment variable: --max-body-bytes is WOOLLAMA_MAX_BODY_BYTES.",
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        type=checked("address"),
        help="where to listen for TCP (127.0.0.1:11435, or any free port when that is taken)",
    )
    parser.add_argument(
        "--allow-host", metavar="NAME", action="append", help="a further name for the Host header; may be repeated"
    )
    parser.add_argument(
        "--allow-origin", metavar="URL", action="append", help="an origin whose pages may connect; may be repeated"
    )
    parser.add_argument(
        "--heartbeat", metavar="TIME", type=checked("duration"), help="how long a stream may be silent (15s)"
    )
    parser.add_argument(
        "--shutdown-timeout",
        metavar="TIME",
        type=checked("duration", positive=False),
        help="how long running turns get at the end (10s)",
    )
    for name, (metavar, kind, doc) in LIMITS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, type=checked(kind), help=doc)


def run(args: argparse.Namespace) -> int:
    for flag, variable in FLAGS.items():
        if (value := getattr(args, flag)) is not None:
            os.environ[variable] = value if isinstance(value, str) else ",".join(value)
    from woollama.config import load

    loaded = load(None, os.environ)
    for problem in loaded.problems:
        complain(problem)
    if loaded.fatal:
        complain("not started: woollama check tells what is wrong with the configuration")
        return 1
    return _serve(loaded, os.environ)


def _serve(loaded: Loaded, environ: MutableMapping[str, str]) -> int:
    from woollama import observe, server
    from woollama.config import load

    options = server.options_of(loaded.config, environ)
    scrubber = observe.Scrubber(options.tokens())
    log_format = environ.get("WOOLLAMA_LOG_FORMAT") or "text"
    if log_format not in ("text", "json"):
        complain("WOOLLAMA_LOG_FORMAT: must be text or json")
        return 2
    try:
        observe.configure(
            environ.get("WOOLLAMA_LOG") or "info", cast(Literal["text", "json"], log_format), scrubber=scrubber
        )
    except ValueError as error:
        complain(error)
        return 2

    @cache
    def daemon() -> Daemon:
        """Built when the sockets are ours: a second start ends before it has loaded what serving needs."""
        from woollama.app import Core
        from woollama.compressing import UnusableScorer
        from woollama.daemon import Daemon
        from woollama.found_models import FoundModels
        from woollama.platform import state_dir

        found = FoundModels(state_dir(environ) / "models.json")
        try:
            core = Core(loaded.config, environ, scrubber, found)
        except UnusableScorer as error:
            complain(error)
            raise SystemExit(1) from None
        return Daemon(core, scrubber=scrubber, loaded=loaded, load=lambda: load(None, environ))

    def render_error(path: str, error: RouterError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        return daemon().render_error(path, error)

    return server.run(options, daemon, render_error=render_error, environ=environ)
