"""An MCP server with three small operations on text."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from mcp.server import MCPServer
from mcp_types import ToolAnnotations
from pydantic import Field

server = MCPServer("textops", version="1.0", log_level="WARNING")

Input = Annotated[str, Field(description="The text", examples=["the quick brown fox"])]
PURE = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)


@server.tool(annotations=PURE, structured_output=False)
def uppercase(text: Input) -> str:
    """Return the text in upper case."""
    return text.upper()


@server.tool(annotations=PURE, structured_output=False)
def word_count(text: Input) -> str:
    """Count the words of the text."""
    return str(len(text.split()))


@server.tool(annotations=PURE, structured_output=False)
def reverse_text(text: Input) -> str:
    """Return the text with its characters in reverse order."""
    clusters: list[str] = []
    for character in text:
        # An accent of its own belongs to the letter before it and must not wander to the next.
        if clusters and unicodedata.combining(character):
            clusters[-1] += character
        else:
            clusters.append(character)
    return "".join(reversed(clusters))


if __name__ == "__main__":
    server.run("stdio")
