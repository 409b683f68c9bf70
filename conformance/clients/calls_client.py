"""Calls of tools that a host makes through woollama: `calls_client.py BASE CALLS`.

CALLS is a JSON array of `[name, arguments, words]`; the words must be in what comes back. The host is whichever library
this environment has: FastMCP's client, or the SDK's of either generation, in each of its modes.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

try:
    from fastmcp import Client as FastMcpClient
except ImportError:
    FastMcpClient = None


async def calls(client: Any, wanted: list[list[Any]]) -> None:
    listed = await client.list_tools()
    names = {tool.name for tool in (listed if isinstance(listed, list) else listed.tools)}
    for name, arguments, words in wanted:
        assert name in names, f"{name} is not listed"
        result = await client.call_tool(name, arguments)
        said = " ".join(getattr(block, "text", "") for block in result.content)
        assert words in said, f"{name}: {said[:500]}"
        sys.stdout.write(f"ok {name}\n")


async def main() -> None:
    base, wanted = sys.argv[1], json.loads(sys.argv[2])
    if FastMcpClient is not None:
        async with FastMcpClient(f"{base}/mcp") as client:
            await calls(client, wanted)
        return
    from mcp_client import MODES, over_http

    for mode in MODES:
        async with over_http(base, mode) as client:
            await calls(client, wanted)


if __name__ == "__main__":
    asyncio.run(main())
