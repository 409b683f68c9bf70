"""An MCP server that knows what time it is, anywhere."""

from __future__ import annotations

import difflib
import zoneinfo
from datetime import datetime
from typing import Annotated

from mcp.server import MCPServer
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import Field

NEAREST = 3

server = MCPServer("clock", version="1.0", log_level="WARNING")


@server.tool(annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))
def now(
    timezone: Annotated[
        str,
        Field(
            description="IANA time zone name: Area/City, or UTC",
            examples=["Asia/Tokyo", "Europe/Paris", "America/New_York", "UTC"],
        ),
    ],
) -> CallToolResult:
    """Tell the current time and date in a time zone."""
    try:
        moment = datetime.now(zoneinfo.ZoneInfo(timezone))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return failed(why_unknown(timezone))
    offset = moment.strftime("%z")
    facts = {
        "timezone": timezone,
        "time": moment.strftime("%H:%M"),
        "date": moment.strftime("%Y-%m-%d"),
        "weekday": moment.strftime("%A"),
        "utc_offset": f"{offset[:3]}:{offset[3:5]}",
    }
    text = "The time in {timezone} is {time} on {weekday}, {date} (UTC{utc_offset}).".format(**facts)
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=facts)


def why_unknown(name: str) -> str:
    known = zoneinfo.available_timezones()
    if not known:
        return "This machine has no time zone data: install its package tzdata, or `pip install tzdata`."
    nearest = nearest_names(name, known)
    meant = f" Did you mean {', '.join(nearest)}?" if nearest else ""
    return f"There is no time zone {name!r}.{meant} Names are Area/City, such as Europe/Paris, or UTC."


def nearest_names(name: str, known: set[str]) -> list[str]:
    """The zones of that city, in any area and spelling, before those that merely look alike."""
    wanted = name.strip().replace(" ", "_").casefold()
    city = wanted.rpartition("/")[2]
    same_city = sorted(zone for zone in known if zone.rpartition("/")[2].casefold() == city)
    folded = {zone.casefold(): zone for zone in known}
    alike = [folded[zone] for zone in difflib.get_close_matches(wanted, folded, NEAREST)]
    return list(dict.fromkeys([*same_city, *alike]))[:NEAREST]


def failed(why: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=why)], is_error=True)


if __name__ == "__main__":
    server.run("stdio")
