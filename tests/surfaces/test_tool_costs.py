"""What a recipe's tools cost is told, and a budget of woollama.toml holds for recipes that have none."""

from __future__ import annotations

from tests.surfaces.mcp_server.hosts import server
from tests.surfaces.test_approvals import chat, over_tcp, over_unix, serving


async def test_costs_are_told_and_above_the_budget_tools_are_found() -> None:
    with serving({"all": server()}, rules="[mcp]\ntools_budget_tokens = 10") as running:
        async with over_tcp(running) as client, over_unix(running):
            listed = (await client.get("/v1/tools")).json()
            (count,) = [tool for tool in listed["data"] if tool["name"] == "all.count"]
            assert count["tokens"] > 10
            (careful,) = [recipe for recipe in listed["recipes"] if recipe["name"] == "careful"]
            assert careful == {
                "name": "careful",
                "tools": 1,
                "tokens": count["tokens"],
                "budget_tokens": 10,
                "found": True,
            }
            assert '"name": "all__count"' in await chat(client, "careful", "count to 3")
