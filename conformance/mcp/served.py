"""One server, written as other people do: with FastMCP, or with the SDK's first generation.

Each of them lives in an environment that `scripts/clients` makes, whose interpreter starts this over stdio.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

try:
    from fastmcp import Context, FastMCP
except ImportError:
    from mcp.server.fastmcp import Context, FastMCP


class Place(BaseModel):
    name: str
    near: list[Place] = []


server: Any = FastMCP("served")


@server.tool()
def add(a: int, b: Annotated[int, Field(description="the second one")] = 1) -> int:
    """Adds."""
    return a + b


@server.tool()
def visit(place: Place, how: str | None = None) -> dict[str, Any]:
    """A schema that contains itself."""
    return {"visited": [place.name, *(each.name for each in place.near)], "how": how}


@server.tool()
async def climb(steps: int, ctx: Context) -> str:
    """Tells how far it is."""
    for step in range(steps):
        await ctx.report_progress(step + 1, steps)
    return f"{steps} steps"


@server.resource("served://greeting")
def greeting() -> str:
    return "hello"


@server.prompt()
def ask(topic: str) -> str:
    return f"Tell me about {topic}."


if __name__ == "__main__":
    server.run("stdio")
