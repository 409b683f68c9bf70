"""`python -m tests.clients`: the daemon that the client scripts are run against, until it is interrupted."""

from __future__ import annotations

import asyncio
import os
import sys

from conformance.case import HERE, environment
from tests.conversing import converse
from tests.daemon import daemon
from tests.upstream import ScriptedUpstream


async def main() -> None:
    async with ScriptedUpstream() as upstream:
        upstream.always(converse)
        environ = {**os.environ, **environment(upstream.origin)}
        async with daemon(HERE / "config", environ) as running:
            sys.stdout.write(f"{running.url}\n")
            sys.stdout.flush()
            await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
