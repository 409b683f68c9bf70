"""`{"type": "mcp", "server_url": …}`: a tool server of the request's own, where the owner allows it."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.dialects.responses_wire import check_stream
from tests.stateful import MODEL, kinds, table, with_tools
from tests.toolservers.guarded import bearer, guarded
from tests.upstream import chat, chat_tool_call
from woollama.observe import Scrubber, configure

TOKEN, KEY, IN_URL = "tok-5ecret-0f-the-user", "key-9hidden-header", "q-7secret-in-the-url"
HERE = '[mcp]\nallow_remote_servers = ["127.0.0.1"]\n'


def grant(url: str, approval: Any = "never", **more: Any) -> Any:
    return {"type": "mcp", "server_label": "far", "server_url": url, "require_approval": approval, **more}


async def test_it_is_listed_called_and_left_again(tmp_path: Path) -> None:
    async with guarded(bearer(TOKEN)) as far, table(tmp_path, daemon_toml=HERE) as at:
        at.upstream.answers(chat_tool_call("far__echo", {"text": "abc"}), chat("it says abc"))
        wanted = grant(far.url, authorization=TOKEN, headers={"X-Extra": "more"}, allowed_tools=["echo", "pid"])
        answered = await with_tools(at, wanted)
        assert kinds(answered) == ["mcp_list_tools", "mcp_call", "message"]
        listed, call, _ = answered.output
        assert (listed.server_label, [tool.name for tool in listed.tools]) == ("far", ["echo", "pid"])
        assert (call.server_label, call.name, call.output) == ("far", "echo", "abc")
        offered = [each["function"]["name"] for each in at.upstream.requests[0].json["tools"]]
        assert offered == ["far__echo", "far__pid"]
        assert all(headers["x-extra"] == "more" for _, headers in far.requests)
        tools = (await at.http.get("/v1/tools")).json()["data"]
        assert not any("far" in str(tool) for tool in tools)
        before = len(far.requests)
        at.upstream.answers(chat("nothing else"))
        await with_tools(at)
        assert len(far.requests) == before


async def test_it_is_asked_about_like_every_other_and_found_again_after_a_restart(tmp_path: Path) -> None:
    async with guarded(bearer(TOKEN)) as far:
        wanted = grant(far.url, "always", authorization=TOKEN)
        async with table(tmp_path, daemon_toml=HERE) as at:
            at.upstream.answers(chat_tool_call("far__echo", {"text": "abc"}))
            paused = await with_tools(at, wanted)
            assert kinds(paused)[-1] == "mcp_approval_request"
        yes = {"type": "mcp_approval_response", "approval_request_id": paused.output[-1].id, "approve": True}
        async with table(tmp_path, daemon_toml=HERE) as at:
            at.upstream.answers(chat("and so"), chat("without it"))
            answered = await with_tools(at, wanted, input=[yes], previous_response_id=paused.id)
            assert [item.output for item in answered.output if item.type == "mcp_call"] == ["abc"]
            forgotten = await with_tools(at, input=[yes], previous_response_id=paused.id)
            (call,) = [item for item in forgotten.output if item.type == "mcp_call"]
            assert "there is no tool" in str(call.error)


async def test_what_may_change_things_is_asked_about_whatever_the_request_says(tmp_path: Path) -> None:
    recipes = '[recipes.all]\ninferencer = "mock/m"\ntools = ["*"]\n'
    async with guarded() as far, table(tmp_path, daemon_toml=HERE, recipes=recipes) as at:
        at.upstream.answers(chat_tool_call("far__release", {"key": "k"}), chat_tool_call("far__release", {"key": "k"}))
        assert kinds(await with_tools(at, grant(far.url)))[-1] == "mcp_approval_request"
        assert kinds(await with_tools(at, grant(far.url), model="woollama/all"))[-1] == "mcp_approval_request"


@pytest.fixture
def logged() -> Iterator[tuple[Scrubber, io.StringIO]]:
    """What the log says, of every library, and the scrubber that stands before it."""
    scrubber, lines = Scrubber(), io.StringIO()
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logging.getLogger("woollama").level)
    configure("debug", scrubber=scrubber, stream=lines)
    root.setLevel(logging.DEBUG)
    yield scrubber, lines
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    logging.getLogger("woollama").setLevel(before[2])


async def test_nothing_that_it_was_sent_is_kept_or_told(tmp_path: Path, logged: tuple[Scrubber, io.StringIO]) -> None:
    scrubber, lines = logged
    async with guarded(bearer(TOKEN)) as far, table(tmp_path, daemon_toml=HERE, scrubber=scrubber) as at:
        wanted = grant(f"{far.url}?key={IN_URL}", "always", authorization=TOKEN, headers={"X-Key": KEY})
        refused = {**wanted, "authorization": f"{TOKEN}-wrong"}
        at.upstream.answers(chat_tool_call("far__echo", {"text": "abc"}), chat("I cannot"))
        paused = await with_tools(at, wanted, background=True)
        told = [(await at.ended(paused.id)).to_json(), (await with_tools(at, refused)).to_json()]
        told += [(await at.http.get("/w1/approvals")).text, lines.getvalue()]
        assert "no entrance with" in lines.getvalue()
        kept = [file.read_bytes() for file in (tmp_path / "state").rglob("*") if file.is_file()]
        for secret in (KEY, IN_URL, TOKEN):
            assert [each for each in told if secret in each] == []
            assert not any(secret.encode() in each for each in kept)


@pytest.mark.parametrize(
    ("rules", "changed", "expected"),
    [
        ("", {}, "allow_remote_servers, in [mcp] of woollama.toml"),
        ('[mcp]\nallow_remote_servers = ["*.example.com"]\n', {}, "allow_remote_servers, in [mcp] of woollama.toml"),
        ("[mcp]\nallow_remote_servers = true\n", {"server_url": "http://mcp.example.com/mcp"}, "must be https"),
        (HERE, {"server_label": "shipped"}, "one of the tool servers of this machine"),
        (HERE, {"server_label": "a.b"}, "letters, digits"),
        (HERE, {"server_url": "https://me:pass@127.0.0.1/mcp"}, "must be the address of an MCP server"),
        (HERE, {"server_url": "file:///etc/passwd"}, "must be the address of an MCP server"),
        (HERE, {"headers": {"Host": "elsewhere"}}, "cannot have 'Host'"),
        (HERE, {"headers": {"X-Two": "a\r\nb: c"}}, "must be a text of one line"),
        (HERE, {"server_url": None, "authorization": "x"}, "has an effect with a `server_url` only"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_not_allowed_is_refused_before_anything_is_asked(
    tmp_path: Path, rules: str, changed: Any, expected: str, stream: bool
) -> None:
    shipped = {"shipped": {"command": "true"}}
    async with table(tmp_path, daemon_toml=rules, mcpServers=shipped) as at:
        with pytest.raises(openai.BadRequestError) as refused:
            await with_tools(at, {**grant("http://127.0.0.1:9/mcp"), **changed}, stream=stream)
        assert expected in refused.value.message
        assert at.upstream.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254", "[::ffff:7f00:1]"])
async def test_where_all_are_allowed_none_may_lead_into_this_machine_or_its_network(tmp_path: Path, host: str) -> None:
    async with table(tmp_path, daemon_toml="[mcp]\nallow_remote_servers = true\n") as at:
        at.upstream.answers(chat("I cannot"))
        answered = await with_tools(at, grant(f"https://{host}:9/mcp"))
        assert answered.output_text == "I cannot"
        assert "leads into this machine or its network" in answered.output[0].error


async def test_one_that_does_not_answer_is_listed_with_its_error(tmp_path: Path) -> None:
    async with table(tmp_path, daemon_toml=HERE) as at:
        at.upstream.answers(chat("I cannot"), chat("I cannot"))
        body = {"model": MODEL, "input": "x", "tools": [grant("http://127.0.0.1:9/mcp")]}
        answered = (await at.http.post("/v1/responses", json=body)).json()
        assert "cannot connect to 127.0.0.1:9" in answered["output"][0]["error"]
        assert answered["output"][0]["tools"] == []
        streamed = await at.http.post("/v1/responses", json={**body, "stream": True})
        frames = [frame + b"\n\n" for frame in streamed.content.split(b"\n\n")[:-1] if not frame.startswith(b":")]
        seen = [wire["type"] for wire in check_stream(frames)]
        assert "response.mcp_list_tools.failed" in seen
        assert seen[-1] == "response.completed"
