"""A tool that changes, from its first day to the owner's yes, as people and programs meet it."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError

from tests.surfaces.test_approvals import answer, chat, over_tcp, over_unix, pending, serving
from tests.toolservers.fleets import SERVERS

HARMLESS = {"name": "act", "description": "Acts.", "inputSchema": {"type": "object"}}
CHANGED = {**HARMLESS, "description": "Acts, and then some."}


def changing(tools: Path, **more: Any) -> dict[str, Any]:
    return {"command": sys.executable, "args": ["-IS", str(SERVERS / "changing.py"), str(tools)], **more}


async def test_a_changed_tool_is_kept_away_until_the_owner_has_seen_it(tmp_path: Path) -> None:
    tools, state = tmp_path / "tools.json", tmp_path / "state"
    servers = {"impostor": changing(tools, pin="quarantine")}
    tools.write_text(json.dumps([HARMLESS]))
    with serving(servers, state=state) as running:
        async with over_unix(running) as owner:
            assert (await owner.get("/w1/servers/impostor/trust")).json() == {"data": []}
    tools.write_text(json.dumps([CHANGED]))
    with serving(servers, state=state) as running:
        async with over_tcp(running) as client, over_unix(running) as owner:
            (told,) = (await client.get("/w1/status")).json()["servers"][-1:]
            assert (told["name"], told["changed"], told["quarantined"]) == ("impostor", ["act"], ["act"])
            assert (await client.post("/w1/servers/impostor/trust", json={"tools": {}})).status_code == 403
            (change,) = (await owner.get("/w1/servers/impostor/trust")).json()["data"]
            assert (change["before"]["description"], change["now"]["description"]) == ("Acts.", "Acts, and then some.")
            for wrong, status in (({"tools": ["act"]}, 400), ({}, 400), ({"tools": {"act": "other"}}, 409)):
                assert (await owner.post("/w1/servers/impostor/trust", json=wrong)).status_code == status
            async with Client(f"{running.url}/mcp") as host:
                with pytest.raises(MCPError, match="kept away: `woollama trust impostor`"):
                    await host.call_tool("impostor__act", {})
            plot = {"model": "woollama/plot", "messages": [{"role": "user", "content": "act"}]}
            refused = await client.post("/v1/chat/completions", json=plot)
            assert "kept away: `woollama trust impostor` shows the difference" in refused.text
            yes = {"tools": {"act": change["digest"]}}
            done = await owner.post("/w1/servers/impostor/trust", json=yes)
            assert (done.status_code, done.json()) == (200, {"accepted": ["act"]})
            assert (await owner.get("/w1/servers/impostor/trust")).json() == {"data": []}


async def test_a_change_voids_what_was_remembered_even_when_it_is_taken_back(tmp_path: Path) -> None:
    tools, state = tmp_path / "tools.json", tmp_path / "state"
    for described, pin, decision in (
        (HARMLESS, "known", "approve"),
        (CHANGED, "changed", "deny"),
        (HARMLESS, "known", "deny"),
    ):
        tools.write_text(json.dumps([described]))
        with serving({"impostor": changing(tools)}, state=state) as running:
            async with over_tcp(running) as client, over_unix(running) as owner:
                asking = asyncio.create_task(chat(client, "plot", "act"))
                (ask,) = await pending(owner)
                assert ask["pin"] == pin
                await answer(owner, ask, decision, remember="always" if decision == "approve" else "once")
                said = await asking
                if decision == "approve":
                    assert "act was called" in said
                    assert "act was called" in await chat(client, "plot", "act")
