"""Processes that do not want to go: `nasty.py FORM`. Each says `pid N` on stderr once it has settled."""

from __future__ import annotations

import os
import signal
import sys

FORMS = {
    "stubborn": 1,
    "shell": 2,
    "session": 2,
    "orphan": 2,
    "daemonized": 2,
    "daemonized-stubborn": 2,
}
"""Form -> how many processes say that they have settled."""


def settle(*, stubborn: bool) -> None:
    if stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.write(2, f"pid {os.getpid()}\n".encode())
    while True:
        signal.pause()


def again(form: str, env: dict[str, str]) -> None:
    os.execve(sys.executable, [sys.executable, "-I", "-S", __file__, form], env)


def main(form: str) -> None:
    match form:
        case "polite":
            settle(stubborn=False)
        case "stubborn":
            settle(stubborn=True)
        case "shell":
            command = f"'{sys.executable}' -IS '{__file__}' polite & '{sys.executable}' -IS '{__file__}' stubborn; wait"
            os.execv("/bin/sh", ["sh", "-c", command])
        case "session":
            if os.fork() == 0:
                os.setsid()
                settle(stubborn=True)
            settle(stubborn=False)
        case "orphan":
            if os.fork() == 0:
                if os.fork() == 0:
                    settle(stubborn=True)
                os._exit(0)
            settle(stubborn=False)
        case "daemonized" | "daemonized-stubborn":
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    again("stubborn" if form.endswith("stubborn") else "polite", {})
                os._exit(0)
            settle(stubborn=False)


if __name__ == "__main__":
    main(sys.argv[1])
