"""Named client tokens on a whole daemon: whoever presents one may use what it names, and nothing else anywhere."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from tests.daemon import daemon
from tests.surfaces.mcp_server.hosts import PATIENCE_S, configure, said, server
from tests.upstream import ScriptedUpstream, chat, chat_tool_call
from woollama.server import InProcess

OWNER, AIDER, EDITOR = "the-owners-own-token", "aiders-token-1", "editors-token-2"
ENVIRON = {"WOOLLAMA_TOKEN": OWNER, "WOOLLAMA_TOKEN_AIDER": AIDER, "EDITOR_KEY": EDITOR}
TOKENS = """
[tokens.aider]
models = ["mock/small*", "woollama/helper", "quick"]
tools = ["all.echo"]

[tokens.editor]
token_env = "EDITOR_KEY"
"""
RECIPES = """
[aliases]
quick = "mock/large"
slow = "mock/large"
small = "mock/small-1"

[recipes.helper]
inferencer = "mock/large"
tools = ["all.*"]
system = "Help."

[recipes.secret]
inferencer = "mock/small-1"
system = "Hush."
"""
ALLOWED = ["mock/small-1", "woollama/helper", "helper", "quick", "small", "small-1"]
FORBIDDEN = ["mock/large", "woollama/secret", "secret", "slow", "large"]


@dataclass
class Table:
    running: InProcess
    upstream: ScriptedUpstream

    @asynccontextmanager
    async def client(self, token: str | None, *, unix: bool = False) -> AsyncIterator[httpx2.AsyncClient]:
        transport = httpx2.AsyncHTTPTransport(uds=str(self.running.unix_path)) if unix else None
        headers = {"authorization": f"Bearer {token}"} if token else {}
        async with httpx2.AsyncClient(
            base_url="http://localhost" if unix else self.running.url,
            transport=transport,
            headers=headers,
            trust_env=False,
            timeout=PATIENCE_S,
        ) as client:
            yield client

    @asynccontextmanager
    async def host(self, token: str, mode: Any) -> AsyncIterator[Client]:
        headers = {"authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(headers=headers, trust_env=False, timeout=PATIENCE_S) as http:
            transport = streamable_http_client(f"{self.running.url}/mcp", http_client=http)
            async with Client(transport, mode=mode) as host:
                yield host


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[Table]:
    config = configure(tmp_path / "config", {"all": server()})
    (config / "recipes.toml").write_text(RECIPES)
    (config / "woollama.toml").write_text(TOKENS)
    async with ScriptedUpstream() as upstream:
        entry = f'base_url = "{upstream.base_url}"\ndiscover = false\nretries = 0\nmodels = ["small-1", "large"]\n'
        (config / "inferencers.toml").write_text(f"[inferencers.mock]\n{entry}")
        upstream.always(chat("fine"))
        environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], **ENVIRON}
        async with daemon(config, environ) as running:
            table = Table(running, upstream)
            async with table.client(OWNER) as client, asyncio.timeout(PATIENCE_S):
                while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            yield table


async def asked(client: httpx2.AsyncClient, model: str, **more: Any) -> httpx2.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "x"}], **more}
    return await client.post("/v1/chat/completions", json=body)


async def test_every_tcp_request_needs_one_of_the_tokens_and_the_unix_socket_none(table: Table) -> None:
    for token, status in ((OWNER, 200), (AIDER, 200), (EDITOR, 200), ("aiders-token-2", 401), (None, 401)):
        async with table.client(token) as client:
            assert (await client.get("/healthz")).status_code == status
            by_key = await client.get("/healthz", headers={"authorization": "", "x-api-key": token or ""})
            assert by_key.status_code == status
    for token in (None, "sk-anything"):
        async with table.client(token, unix=True) as client:
            assert (await asked(client, "mock/large")).status_code == 200


@pytest.mark.parametrize("unix", [False, True])
async def test_a_token_may_use_its_models_by_all_their_names_and_no_other(table: Table, unix: bool) -> None:
    async with table.client(AIDER, unix=unix) as client:
        for model in ALLOWED:
            assert (await asked(client, model)).status_code == 200, model
        for model in FORBIDDEN:
            for path, body in (
                ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}),
                ("/v1/responses", {"input": "x"}),
                ("/v1/embeddings", {"input": "x"}),
                ("/v1/messages", {"messages": [{"role": "user", "content": "x"}], "max_tokens": 9}),
                ("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": "x"}]}),
                ("/api/chat", {"messages": [{"role": "user", "content": "x"}]}),
                ("/api/embed", {"input": "x"}),
            ):
                refused = await client.post(path, json={"model": model, **body})
                assert refused.status_code == 403, (path, model)
                assert f"the token 'aider' may not use the model {model!r}" in refused.text
                assert AIDER not in refused.text
                if path == "/v1/chat/completions":
                    error = refused.json()["error"]
                    assert (error["type"], error["param"]) == ("permission_error", "model")
    async with table.client(EDITOR, unix=unix) as client:
        for model in (*ALLOWED, *FORBIDDEN):
            assert (await asked(client, model)).status_code == 200, model


async def test_listings_and_hints_show_only_what_may_be_used(table: Table) -> None:
    async with table.client(AIDER) as client:
        listed = [model["id"] for model in (await client.get("/v1/models")).json()["data"]]
        assert listed == ["woollama/helper", "quick", "small", "mock/small-1"]
        assert (await client.get("/v1/models/mock/large")).status_code == 403
        assert (await client.get("/v1/models/quick")).status_code == 200
        assert [each["name"] for each in (await client.get("/w1/patterns")).json()["data"]] == ["helper"]
        assert (await client.post("/w1/patterns/secret/render", json={})).status_code == 403
        tools = (await client.get("/v1/tools")).json()
        assert tools["tools"] == ["all.echo"] == [each["name"] for each in tools["data"]]
        assert [each["name"] for each in tools["servers"]] == ["all"]
        assert [each["name"] for each in (await client.get("/w1/servers")).json()["data"]] == ["all"]
        unknown = (await asked(client, "mokc/large")).json()["error"]["message"]
        assert "mock/large" not in unknown
        assert "mock/small-1" in (await asked(client, "mock-small-1")).json()["error"]["message"]
        tags = [model["name"] for model in (await client.get("/api/tags")).json()["models"]]
        assert tags == listed
        assert (await client.post("/api/show", json={"model": "mock/large"})).status_code == 403
    async with table.client(OWNER) as client:
        assert "mock/large" in [model["id"] for model in (await client.get("/v1/models")).json()["data"]]
        assert len((await client.get("/v1/tools")).json()["tools"]) > 1


async def test_a_pattern_needs_its_own_name_and_that_of_the_model_that_it_is_run_on(table: Table) -> None:
    async with table.client(AIDER) as client:

        async def run(name: str, **more: Any) -> int:
            return (await client.post(f"/w1/patterns/{name}/run", json={"input": "x", **more})).status_code

        assert await run("helper") == 200
        assert await run("helper", model="mock/small-1") == 200
        assert await run("helper", model="mock/large") == 403
        assert await run("secret") == 403
        assert await run("secret", model="mock/small-1") == 403


async def test_a_recipe_offers_and_calls_only_the_tools_of_the_token(table: Table) -> None:
    async with table.client(AIDER) as client:
        table.upstream.answers(chat_tool_call("all__trace", {}), chat("done"))
        answer = (await asked(client, "woollama/helper")).json()
        offered, told = table.upstream.requests[-2:]
        assert [tool["function"]["name"] for tool in offered.json["tools"]] == ["all__echo"]
        assert "there is no tool 'all__trace'" in told.json["messages"][-1]["content"]
        assert answer["x_woollama"]["tool_calls"][0]["ok"] is False
    async with table.client(EDITOR) as client:
        await asked(client, "woollama/helper")
        assert len(table.upstream.requests[-1].json["tools"]) > 1


async def test_a_request_cannot_grant_itself_more_tools(table: Table) -> None:
    async with table.client(AIDER) as client:
        grant = {"type": "mcp", "server_label": "all", "require_approval": "never"}
        body = {"model": "mock/small-1", "input": "x", "tools": [grant], "store": False}
        answer = await client.post("/v1/responses", json=body)
        assert answer.status_code == 200, answer.text
        (asked,) = table.upstream.requests
        assert [tool["function"]["name"] for tool in asked.json["tools"]] == ["all__echo"]
        assert "all__trace" not in answer.text
        assert '"trace"' not in answer.text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_an_mcp_host_sees_and_uses_what_its_token_names(table: Table, mode: str) -> None:
    async with table.host(AIDER, mode) as host:
        listed = await host.list_tools()
        assert [tool.name for tool in listed.tools if "__" in tool.name] == ["all__echo"]
        assert listed.tools[0].name == "chat"
        assert listed.tools[0].description is not None
        assert listed.tools[0].description.endswith("Recipes: helper.")
        assert [prompt.name for prompt in (await host.list_prompts()).prompts] == ["helper"]
        with pytest.raises(MCPError, match="there is no prompt 'secret'"):
            await host.get_prompt("secret", {})
        question = {"messages": [{"role": "user", "content": "x"}]}
        assert said(await host.call_tool("chat", {**question, "model": "mock/small-1"})) == "fine"
        refused = await host.call_tool("chat", {**question, "recipe": "secret"})
        assert (refused.is_error, said(refused)) == (
            True,
            "the token 'aider' may not use the model 'woollama/secret'",
        )
        denied = await host.call_tool("all__trace", {})
        assert denied.is_error
        assert "denied by the token 'aider'" in said(denied)


async def test_what_others_do_is_the_owners_to_watch(table: Table) -> None:
    for token in (AIDER, EDITOR):
        async with table.client(token) as client:
            for path in ("/w1/events", "/w1/approvals", "/w1/status", "/w1/processes", "/w1/config"):
                refused = await client.get(path)
                assert refused.status_code == 403
                assert "is for the owner" in refused.json()["error"]["message"]
    async with table.client(AIDER, unix=True) as client:
        for path in ("/w1/reload", "/w1/approvals/x"):
            refused = await client.post(path, json={"decision": "approve"})
            assert (refused.status_code, "is for the owner" in refused.text) == (403, True)
    async with table.client(OWNER) as client, client.stream("GET", "/w1/events") as answer:
        assert answer.status_code == 200


async def test_conversations_of_one_token_are_not_those_of_another(table: Table) -> None:
    async def say(client: httpx2.AsyncClient, text: str) -> str:
        body = {"model": "woollama/helper", "input": text, "key": "notes"}
        return str((await client.post("/v1/responses", json=body)).json()["output"][-1]["content"][0]["text"])

    async def keys(client: httpx2.AsyncClient, **query: str) -> set[str]:
        found = (await client.get("/v1/conversations", params=query)).json()["data"]
        return {conversation["key"] for conversation in found}

    async with table.client(OWNER) as owner, table.client(AIDER) as aider, table.client(EDITOR) as editor:
        for client, text in ((owner, "mine"), (aider, "aiders"), (editor, "editors")):
            assert await say(client, text) == "fine"
        await say(aider, "again")
        said = str(table.upstream.requests[-1].json["messages"])
        assert ("aiders" in said, "mine" in said, "editors" in said) == (True, False, False)
        await aider.post("/v1/conversations", json={"key": "more"})
        assert await keys(aider) == {"aider/notes", "aider/more"}
        assert await keys(aider, key="no") == {"aider/notes"}
        assert await keys(editor) == {"editor/notes"}
        assert await keys(owner) == {"notes", "aider/notes", "aider/more", "editor/notes"}


async def test_what_a_token_made_is_nothing_to_the_others_and_everything_to_the_owner(table: Table) -> None:
    model = "mock/small-1"

    async def respond(client: httpx2.AsyncClient, **body: Any) -> httpx2.Response:
        return await client.post("/v1/responses", json={"model": model, "input": "x", **body})

    async with (
        table.client(OWNER) as owner,
        table.client(None, unix=True) as person,
        table.client(AIDER) as aider,
        table.client(EDITOR) as editor,
    ):
        talk = (await aider.post("/v1/conversations", json={"items": [{"role": "user", "content": "secret"}]})).json()
        of_the_owner = (await owner.post("/v1/conversations", json={})).json()
        made = (await respond(aider, conversation=talk["id"])).json()
        waiting = (await respond(aider, background=True)).json()
        item = (await aider.get(f"/v1/conversations/{talk['id']}/items")).json()["data"][0]
        place, said = f"/v1/conversations/{talk['id']}", f"/v1/responses/{made['id']}"
        reads = (place, f"{place}/items", f"{place}/items/{item['id']}", said, f"{said}/input_items")
        for path in (*reads, f"/v1/responses/{waiting['id']}", f"/v1/responses/{waiting['id']}?stream=true"):
            assert (await editor.get(path)).status_code == 404, path
            assert (await aider.get(path)).status_code == 200, path
        assert (await aider.get(f"/v1/conversations/{of_the_owner['id']}")).status_code == 404
        for method, path, body in (
            ("POST", place, {"metadata": {"a": "b"}}),
            ("POST", f"{place}/items", {"items": [{"role": "user", "content": "mine"}]}),
            ("DELETE", f"{place}/items/{item['id']}", None),
            ("POST", f"/v1/responses/{waiting['id']}/cancel", {}),
            ("DELETE", said, None),
            ("POST", "/v1/responses", {"model": model, "input": "x", "conversation": talk["id"]}),
            ("POST", "/v1/responses", {"model": model, "input": "x", "previous_response_id": made["id"]}),
            ("POST", "/v1/responses/input_tokens", {"model": model, "input": "x", "previous_response_id": made["id"]}),
        ):
            refused = await editor.request(method, path, json=body)
            assert refused.status_code == 404, (path, refused.text)
            assert "secret" not in refused.text
        assert (await respond(editor, input=[{"type": "item_reference", "id": item["id"]}])).status_code == 400
        assert (await respond(aider, input=[{"type": "item_reference", "id": item["id"]}])).status_code == 200
        assert (await editor.get("/v1/conversations")).json()["data"] == []
        assert (await editor.get("/v1/conversations", params={"after": talk["id"]})).status_code == 404
        never = await editor.delete("/v1/conversations/conv_never")
        others = await editor.delete(place)  # nothing tells that it is there, and it stays
        assert others.status_code == never.status_code == 200
        assert others.json() == {**never.json(), "id": talk["id"]}
        for client in (owner, person):
            for path in reads:
                assert (await client.get(path)).status_code == 200, path
            listed = (await client.get("/v1/conversations")).json()["data"]
            assert {each["id"] for each in listed} == {talk["id"], of_the_owner["id"]}
        assert (await respond(owner, conversation=talk["id"])).status_code == 200
        assert (await aider.delete(said)).status_code == 200
        assert (await aider.delete(place)).status_code == 200


async def test_no_token_of_ours_reaches_an_upstream(table: Table) -> None:
    for token in (OWNER, AIDER, EDITOR):
        for unix in (False, True):
            async with table.client(token, unix=unix) as client:
                for model in ("mock/small-1", "woollama/helper"):
                    await client.post(
                        "/v1/chat/completions",
                        json={"model": model, "messages": [{"role": "user", "content": "x"}]},
                        headers={"x-api-key": token},
                    )
    assert len(table.upstream.requests) == 12
    everything = str([(request.headers, request.json) for request in table.upstream.requests])
    assert not [token for token in (OWNER, AIDER, EDITOR) if token in everything]


async def test_who_asked_is_in_the_metrics_by_token_or_by_the_way_in_and_never_by_a_name_of_its_own(
    table: Table,
) -> None:
    for token, unix in ((AIDER, False), (OWNER, False), (None, True)):
        async with table.client(token, unix=unix) as client:
            for number in range(2):
                await asked(client, "mock/small-1", user=f"u{number}")
            client.headers["user-agent"] = "invented-by-a-client/1"
            await asked(client, "mock/small-1")
    async with table.client(OWNER) as client:
        metrics = (await client.get("/metrics")).text
    for caller in ("aider", "tcp", "unix"):
        assert f'woollama_caller_tokens_total{{caller="{caller}",gen_ai_token_type="output"}} 21' in metrics
    assert "invented" not in metrics


async def test_tokens_without_a_value_shut_the_door_and_open_nothing(tmp_path: Path) -> None:
    (tmp_path / "woollama.toml").write_text("[tokens.nobody]\n")
    (tmp_path / "credentials").mkdir()
    environ = {"HOME": str(tmp_path), "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    nobody = ScriptedUpstream()
    async with (
        daemon(tmp_path, environ, problems_expected=True) as running,
        Table(running, nobody).client("") as client,
    ):
        assert (await client.get("/healthz")).status_code == 401
    (tmp_path / "credentials" / "WOOLLAMA_TOKEN_NOBODY").write_text("from-a-credential\n")
    async with daemon(tmp_path, environ) as running, Table(running, nobody).client("from-a-credential") as client:
        assert (await client.get("/healthz")).status_code == 200
