"""What Prometheus reads: the exposition itself, and what a whole daemon counts."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx2
import pytest
from mcp import Client

from tests.daemon import daemon
from tests.upstream import STALL, ScriptedUpstream, chat, error, head, json, raw
from woollama.surfaces.metrics import OTHER, SERIES_LIMIT, Histogram, sample

LINE = re.compile(r'[a-z_:][a-z0-9_:]*(\{([a-z_]+="(\\.|[^"\\\n])*",?)*\})? [0-9.e+-]+\Z')


def test_a_histogram_counts_up_to_each_bound():
    histogram = Histogram("x", "Doc.", (1, 4))
    for value in (0.5, 1, 3, 9):
        histogram.observe(value, {"a": "b"})
    assert list(histogram.lines()) == [
        "# HELP x Doc.",
        "# TYPE x histogram",
        'x_bucket{a="b",le="1"} 2',
        'x_bucket{a="b",le="4"} 3',
        'x_bucket{a="b",le="+Inf"} 4',
        'x_sum{a="b"} 13.5',
        'x_count{a="b"} 4',
    ]


def test_a_label_cannot_forge_a_line():
    written = sample("x", 1, {"model": 'a"} 9\nx{b="\\'})
    assert written == 'x{model="a\\"} 9\\nx{b=\\"\\\\"} 1'
    assert LINE.match(written)


def test_clients_that_invent_names_do_not_fill_the_memory():
    histogram = Histogram("x", "Doc.", (1,))
    for number in range(SERIES_LIMIT + 50):
        histogram.observe(1, {"model": f"m{number}"})
    counts = [line for line in histogram.lines() if line.startswith("x_count")]
    assert len(counts) == SERIES_LIMIT + 1
    assert counts[-1] == f'x_count{{model="{OTHER}"}} 50'


@pytest.fixture
async def table(tmp_path: Path):
    (tmp_path / "recipes.toml").write_text('[recipes.plain]\ninferencer = "mock/m"\n')
    async with ScriptedUpstream() as upstream:
        entry = f'base_url = "{upstream.base_url}"\ndiscover = false\nretries = 0\n'
        (tmp_path / "inferencers.toml").write_text(f"[inferencers.mock]\n{entry}")
        async with (
            daemon(tmp_path, {"HOME": str(tmp_path)}) as running,
            httpx2.AsyncClient(base_url=running.url, trust_env=False, timeout=60) as client,
        ):
            yield client, upstream


async def scraped(client: httpx2.AsyncClient) -> str:
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert [line for line in answer.text.splitlines() if not line.startswith("# ") and not LINE.match(line)] == []
    return answer.text


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("model", ["mock/m", "woollama/plain"], ids=["relay", "engine"])
async def test_each_request_counts_its_time_and_its_tokens_whichever_way_it_went(table, model: str, stream: bool):
    client, upstream = table
    upstream.answers(chat("hi"))
    body = {"model": model, "messages": [{"role": "user", "content": "x"}], "stream": stream}
    await client.post("/v1/chat/completions", json=body)
    text = await scraped(client)
    who = 'gen_ai_operation_name="chat",gen_ai_provider_name="mock",gen_ai_request_model="m"'
    assert f'gen_ai_client_operation_duration_seconds_count{{{who},error_type=""}} 1' in text
    assert f'gen_ai_client_token_usage_sum{{{who},gen_ai_token_type="input"}} 11' in text
    assert f'gen_ai_client_token_usage_sum{{{who},gen_ai_token_type="output"}} 7' in text


async def test_failures_are_counted_by_their_kind(table):
    client, upstream = table
    upstream.answers(error(503))
    for model in ("woollama/plain", "nobody/x"):
        await client.post("/v1/chat/completions", json={"model": model, "messages": [{"role": "user", "content": "x"}]})
    await client.get("/nowhere")
    text = await scraped(client)
    assert 'error_type="upstream_refused"} 1' in text
    assert 'http_response_status_code="404",error_type="unknown_model"} 1' in re.sub(r',le="[^"]*"', "", text)
    assert 'http_response_status_code="404",error_type="unknown_route"} 1' in re.sub(r',le="[^"]*"', "", text)


async def test_relayed_endpoints_are_operations_of_their_own(table):
    client, upstream = table
    upstream.answers(json({"data": [], "usage": {"prompt_tokens": 3, "total_tokens": 3}}))
    await client.post("/v1/embeddings", json={"model": "mock/e", "input": "x"})
    text = await scraped(client)
    who = 'gen_ai_operation_name="embeddings",gen_ai_provider_name="mock",gen_ai_request_model="e"'
    assert f'gen_ai_client_token_usage_sum{{{who},gen_ai_token_type="input"}} 3' in text


async def test_the_tool_servers_and_the_version_can_be_read_off(table):
    client, _ = table
    text = await scraped(client)
    assert re.search(r'^woollama_tool_server_up\{server="clock"\} [01]$', text, re.MULTILINE)
    assert re.search(r'^woollama_info\{version="[^"]+"\} 1$', text, re.MULTILINE)
    assert "\nwoollama_runs 0\n" in text


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_whose_client_has_left_is_counted_as_that(table, stream: bool):
    client, upstream = table
    begun = b"data: {}\n\n" if stream else b"{"
    kind = "text/event-stream" if stream else "application/json"
    upstream.always(raw(head(200, {"content-type": kind}, "connection: close"), begun, STALL))
    asked = {"model": "mock/m", "messages": [{"role": "user", "content": "x"}], "stream": stream}
    asking = asyncio.create_task(client.post("/v1/chat/completions", json=asked))
    await upstream.until(lambda: upstream.requests)
    asking.cancel()
    async with asyncio.timeout(30):
        while 'error_type="client_left"' not in (told := (await client.get("/metrics")).text):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    statuses = set(re.findall(r'status_code="(\d+)",error_type="client_left"', told))
    assert statuses <= {"200", "499"}
    assert statuses == {"499"} or stream


async def test_turns_beside_all_requests_are_counted_once(table):
    client, upstream = table
    upstream.always(chat("It is noon."))

    async def counted() -> int:
        told = (await client.get("/metrics")).text
        found = re.findall(r'gen_ai_client_token_usage_count{.*gen_ai_token_type="input"} ([0-9]+)', told)
        return sum(map(int, found))

    async def becomes(count: int) -> None:
        async with asyncio.timeout(30):
            while await counted() < count:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert await counted() == count

    asked = {"model": "mock/m", "input": "x", "background": True}
    assert (await client.post("/v1/responses", json=asked)).status_code == 200
    await becomes(1)
    async with client.stream("POST", "/v1/responses", json={**asked, "stream": True}) as answer:
        await answer.aread()
    await becomes(2)
    assert (await client.post("/v1/responses", json={**asked, "background": False})).status_code == 200
    await becomes(3)
    async with Client(f"{client.base_url}/mcp") as host:
        said = {"messages": [{"role": "user", "content": "x"}], "recipe": "plain"}
        assert not (await host.call_tool("chat", said)).is_error
    await becomes(4)
