"""`woollama mcp --standalone`: the whole router in the process that the host started."""

from __future__ import annotations

import asyncio
import importlib
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from woollama.cli.screen import complain
from woollama.config import Config, load
from woollama.platform import config_dir
from woollama.processes.environment import is_within

if TYPE_CHECKING:
    from woollama.observe import Scrubber

WARM_S = 5.0
"""How long tool servers get before the host is answered: many hosts list tools once, at their start."""


def serve(environ: Mapping[str, str]) -> int:
    from woollama import observe

    if is_within(environ, str(config_dir(environ))):
        complain("this woollama is its own tool server, and would start itself without end: use `woollama mcp` alone")
        return 4
    loaded = load(None, environ)
    for problem in loaded.problems:
        complain(problem)
    if loaded.fatal:
        return 1
    scrubber = observe.Scrubber()
    observe.configure(environ.get("WOOLLAMA_LOG") or "info", scrubber=scrubber)
    with suppress(asyncio.CancelledError):
        asyncio.run(_serve(loaded.config, environ, scrubber))
    return 0


async def _serve(config: Config, environ: Mapping[str, str], scrubber: Scrubber) -> None:
    from woollama.app import open_core

    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with open_core(config, environ, scrubber) as core:
        await asyncio.to_thread(importlib.import_module, "woollama.surfaces.mcp_server.server")
        from mcp.server.stdio import stdio_server

        from woollama.surfaces.mcp_server.server import McpServer

        server = McpServer(core.offer())
        await core.tool_servers.wait_warm(WARM_S)
        try:
            async with stdio_server() as (read, write):
                await server.sdk.run(read, write, server.sdk.create_initialization_options())
        finally:
            await server.close()
