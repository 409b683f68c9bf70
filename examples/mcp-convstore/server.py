"""An MCP server that keeps conversations: each thread is a file of JSON lines in one directory.

    python server.py DIRECTORY

woollama writes every turn here when mcp.json says "conversationStore": "convstore".
"""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from pathlib import Path
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

server = MCPServer("convstore", version="1.0", log_level="WARNING")

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WRITES = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
REMOVES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)

ThreadId = Annotated[str, Field(description="The id that create_thread gave")]
Messages = Annotated[list[dict[str, Any]], Field(description="Messages with a role and a content")]


def directory() -> Path:
    place = Path(sys.argv[1] if len(sys.argv) > 1 else "threads")
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place


def file_of(thread_id: str) -> Path:
    """An id is a file's name here, so nothing but what create_thread makes is one."""
    file = directory() / f"{thread_id}.jsonl"
    if not re.fullmatch(r"[0-9a-f]{32}", thread_id) or not file.exists():
        raise ToolError(f"no thread {thread_id}")
    return file


@server.tool(annotations=WRITES)
def create_thread() -> str:
    """Begin an empty thread and return its id."""
    thread_id = uuid.uuid4().hex
    (directory() / f"{thread_id}.jsonl").touch(mode=0o600, exist_ok=False)
    return thread_id


@server.tool(annotations=READS)
def get_thread(thread_id: ThreadId) -> list[dict[str, Any]]:
    """Return all messages of a thread, the oldest first."""
    return [json.loads(line) for line in file_of(thread_id).read_text(encoding="utf-8").splitlines()]


@server.tool(annotations=WRITES)
def append_turn(thread_id: ThreadId, messages: Messages) -> int:
    """Add messages to the end of a thread, all of them or none. Return how many it has now."""
    file = file_of(thread_id)
    lines = [*file.read_text(encoding="utf-8").splitlines(), *(json.dumps(message) for message in messages)]
    written = file.with_suffix(".new")
    written.touch(mode=0o600)
    written.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    os.replace(written, file)
    return len(lines)


@server.tool(annotations=REMOVES)
def delete_thread(thread_id: ThreadId) -> bool:
    """Remove a thread. Return whether it was there."""
    try:
        file_of(thread_id).unlink()
    except ToolError:
        return False
    return True


if __name__ == "__main__":
    server.run("stdio")
