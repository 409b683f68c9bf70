"""The daemon as a process: its sockets and files, its connections, its signals, its bounded end.

Importing this loads neither uvicorn nor an application: both come when serving begins.
"""

from woollama.server.in_process import InProcess, serve_in_process
from woollama.server.listening import AddressUnusable, AlreadyRunning, Listening, parse_address
from woollama.server.options import JustApp, Served, ServeOptions, options_of
from woollama.server.process import EXIT_PROBLEM, EXIT_RUNNING, EXIT_UNSAFE, EXIT_USAGE, run

__all__ = [
    "EXIT_PROBLEM",
    "EXIT_RUNNING",
    "EXIT_UNSAFE",
    "EXIT_USAGE",
    "AddressUnusable",
    "AlreadyRunning",
    "InProcess",
    "JustApp",
    "Listening",
    "ServeOptions",
    "Served",
    "options_of",
    "parse_address",
    "run",
    "serve_in_process",
]
