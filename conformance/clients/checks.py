"""Checks of one client program: named by their functions, run in order against a daemon, told a line each.

A client's script registers checks with `@check` and ends with `main(BASE)`, which reads the daemon's base URL (without
`/v1`) from the command line. It imports nothing but the standard library, so that it runs in any client's environment.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import traceback
from collections.abc import Callable
from typing import Any

LIMIT_S = 60
_checks: list[Callable[[str], Any]] = []

RELAYED = "mock/mock-model"
"""A model whose requests are relayed as they are."""
PLAIN = "woollama/case-plain"
"""A recipe: the request goes through the engine."""
TOOLS = "woollama/case-tools"
"""A recipe with the tools of `textops`, which the daemon runs."""


def check(function: Callable[[str], Any]) -> Callable[[str], Any]:
    """Registers a check: a function, plain or asynchronous, of the daemon's base URL."""
    _checks.append(function)
    return function


def main() -> int:
    """Runs all checks, or those whose name holds a further argument; 1 if one failed."""
    base, *wanted = sys.argv[1:]
    chosen = [each for each in _checks if not wanted or any(word in each.__name__ for word in wanted)]
    return asyncio.run(_run(chosen, base))


async def _run(chosen: list[Callable[[str], Any]], base: str) -> int:
    failed = 0
    for function in chosen:
        try:
            async with asyncio.timeout(LIMIT_S):
                if inspect.iscoroutinefunction(function):
                    await function(base)
                else:
                    await asyncio.to_thread(function, base)
        except Exception as error:
            failed += 1
            told = "".join(traceback.format_exception(error)).rstrip().replace("\n", "\n# ")
            print(f"not ok {function.__name__}\n# {told}", flush=True)
        else:
            print(f"ok {function.__name__}", flush=True)
    return 1 if failed else 0
