"""woollama: one local door for every model and tool.

    async with woollama.open() as core:
        async with core.start(turn) as run:
            async for event in run.watch():
                ...

plays turns without a server, with the configuration that the daemon would use.
"""

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from woollama.app import Core

__version__ = "0.1.0"


def open(directory: Path | None = None) -> AbstractAsyncContextManager[Core]:  # noqa: A001
    """The router without a server, warmed inside the block and closed after it.

    `directory` holds the configuration files; without it they are where the daemon looks. Raises `ValueError` with
    every problem of a configuration that nothing can start on; entries that are wrong are left out.
    """
    from woollama.app import open_core  # imported here: only who plays turns pays for what that needs
    from woollama.config import load

    loaded = load(directory, os.environ)
    if loaded.fatal:
        raise ValueError("\n".join(map(str, loaded.errors)))
    return open_core(loaded.config, os.environ)
