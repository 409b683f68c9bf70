"""Images in results of tools: a model that sees is shown them again in the turns to come, after a restart too."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.dialects.recordings import Recording
from tests.stateful import MODEL, table
from tests.upstream import Answer, ScriptedUpstream, chat, sse

PIXEL = "iVBORw0KGgo="
CAMERA = f"""
import mcp_types as types
from mcp.server import MCPServer

server = MCPServer("camera", version="1.0", log_level="WARNING")


@server.tool(annotations=types.ToolAnnotations(read_only_hint=True), structured_output=False)
def snap() -> list[types.ContentBlock]:
    text = types.TextContent(type="text", text="a cat")
    return [text, types.ImageContent(type="image", data="{PIXEL}", mime_type="image/png")]


server.run("stdio")
"""


def recorded(name: str) -> Answer:
    return sse([frame + b"\n\n" for frame in Recording("anthropic", name).raw.split(b"\n\n") if frame])


def claude_at(upstream: ScriptedUpstream) -> str:
    return (
        f'[inferencers.seeing]\napi = "anthropic"\nbase_url = "{upstream.origin}"\nmodels = ["m"]\n'
        "discover = false\nretries = 0\n"
    )


def results(upstream: ScriptedUpstream) -> list[Any]:
    """The content of each result of a tool in the last request."""
    blocks = [block for message in upstream.requests[-1].json["messages"] for block in message["content"]]
    return [block["content"] for block in blocks if block["type"] == "tool_result"]


def images(content: Any) -> list[str]:
    return [block["source"]["data"] for block in content if block["type"] == "image"]


async def test_a_clients_own_result(tmp_path: Path) -> None:
    call: Any = {"type": "function_call", "call_id": "c1", "name": "snap", "arguments": "{}"}
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}
    result: Any = {"type": "function_call_output", "call_id": "c1", "output": [image]}
    async with ScriptedUpstream() as upstream:
        seeing = claude_at(upstream)
        async with table(tmp_path, upstream=upstream, inferencer=seeing) as at:
            upstream.answers(recorded("text"))
            first = await at.client.responses.create(
                model="seeing/m", input=[{"role": "user", "content": "look"}, call, result]
            )
        async with table(tmp_path, upstream=upstream, inferencer=seeing) as at:
            upstream.answers(recorded("text"), chat("I see nothing"))
            second = await at.client.responses.create(model="seeing/m", input="and now?", previous_response_id=first.id)
            assert [images(content) for content in results(upstream)] == [[PIXEL]]
            # one that gets no images in results is told of the result, and the client of what was left out
            blind = await at.client.responses.create(model=MODEL, input="and you?", previous_response_id=second.id)
            assert "images in tool results were left out" in blind.model_dump()["x_woollama"]["rewrites"]
            assert PIXEL not in upstream.requests[-1].body.decode()


async def test_a_result_of_a_tool_that_we_ran(tmp_path: Path) -> None:
    (tmp_path / "camera.py").write_text(CAMERA)
    servers = {"camera": {"command": sys.executable, "args": [str(tmp_path / "camera.py")]}}
    grant: Any = {"type": "mcp", "server_label": "camera", "require_approval": "never"}
    async with ScriptedUpstream() as upstream:
        seeing = claude_at(upstream)
        async with table(tmp_path, upstream=upstream, inferencer=seeing, mcpServers=servers) as at:
            upstream.answers(chat("", calls=[("camera__snap", {})]), chat("a cat"))
            first = await at.client.responses.create(model=MODEL, input="look", tools=[grant])
            call: Any = next(item for item in first.output if item.type == "mcp_call")
            assert call.output == "a cat\n[image image/png]"
        async with table(tmp_path, upstream=upstream, inferencer=seeing, mcpServers=servers) as at:
            upstream.answers(recorded("text"))
            await at.client.responses.create(model="seeing/m", input="and now?", previous_response_id=first.id)
            assert [images(content) for content in results(upstream)] == [[PIXEL]]
