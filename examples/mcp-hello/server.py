"""An MCP server that greets, counts with progress and asks its user a question."""

from __future__ import annotations

from typing import Annotated

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import (
    AcceptedElicitation,
    CancelledElicitation,
    Context,
    DeclinedElicitation,
    Elicit,
    ElicitationResult,
    Resolve,
)
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

server = MCPServer("hello", version="1.0", log_level="WARNING")

READS_ONLY = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)


@server.tool(annotations=READS_ONLY, structured_output=False)
def hello(name: Annotated[str, Field(description="Who is greeted", examples=["Ada"])]) -> str:
    """Greet somebody by name."""
    return f"Hello, {name}!"


@server.tool(annotations=READS_ONLY, structured_output=False)
async def count_to(
    context: Context,
    n: Annotated[int, Field(description="The last number", ge=1, le=10_000, examples=[3])],
    delay_ms: Annotated[int, Field(description="Milliseconds before each number", ge=0, le=60_000)] = 100,
) -> str:
    """Count from 1 to n, reporting progress at each number."""
    for number in range(1, n + 1):
        await anyio.sleep(delay_ms / 1000)
        await context.report_progress(number, n, f"{number} of {n}")
    return f"Counted to {n}."


class Reply(BaseModel):
    answer: str = Field(description="Your answer")


async def put(question: str) -> Elicit[Reply]:
    return Elicit(question, Reply)


@server.tool(annotations=ToolAnnotations(read_only_hint=True), structured_output=False)
async def ask_user(
    question: Annotated[str, Field(description="What the user is asked")],
    reply: Annotated[ElicitationResult[Reply], Resolve(put)],
) -> str:
    """Ask the user a question and return the answer."""
    match reply:
        case AcceptedElicitation(data=given):
            return given.answer
        case DeclinedElicitation():
            return "The user declined to answer."
        case CancelledElicitation():
            return "The user closed the question without an answer."


if __name__ == "__main__":
    server.run("stdio")
