"""What hosts have subscribed to, while the entries of its servers come, change and go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.subscriptions import ResourceUpdated

from tests.surfaces.mcp_server.asking import Asking
from tests.surfaces.mcp_server.hosts import PATIENCE_S, configure, over_http, serving, until
from tests.surfaces.mcp_server.raw_hosts import raw_host, said
from woollama.server import InProcess

HERE = Asking()


class Scene:
    """A daemon with the server `a`, whose entry can be another one."""

    def __init__(self, directory: Path, running: InProcess, url: str) -> None:
        self.running = running
        self._directory = directory
        self._url = url
        self._written = 0

    def entry(self) -> dict[str, Any]:
        self._written += 1
        return {"url": self._url, "trusted": True, "era": "handshake", "headers": {"x-entry": str(self._written)}}

    async def reload(self, **servers: Any) -> None:
        configure(self._directory / "config", servers)
        transport = httpx2.AsyncHTTPTransport(uds=str(self.running.unix_path))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=PATIENCE_S) as owner:
            (await owner.post("/w1/reload", json={})).raise_for_status()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("daemon")
    with HERE.serving() as url:
        entry = {"url": url, "trusted": True, "era": "handshake"}
        with serving(directory, a=entry) as running:
            yield Scene(directory, running, url)


async def test_they_go_on_when_the_entry_of_the_server_is_another(scene: Scene) -> None:
    """While calls under way hold the old one, and what it still says is not said twice."""
    uri = "woollama://a/test://one"
    async with (
        raw_host(scene.running, "ann") as ann,
        over_http(scene.running, "auto") as modern,
        modern.listen(resource_subscriptions=[uri]) as changes,
    ):
        await ann.request("resources/subscribe", {"uri": uri})
        number, waiting = ann.begin_call("a__wait", key="held")
        await ann.heard(number, "notifications/progress")
        asked = HERE.subscribed
        await scene.reload(a=scene.entry())
        await until(lambda: HERE.subscribed == asked + 2)  # for ann, and for whoever listens
        await ann.call("a__change", uri="test://one")
        assert (await ann.heard("feed", "notifications/resources/updated"))[0]["uri"] == uri
        async with asyncio.timeout(PATIENCE_S):
            assert await anext(aiter(changes)) == ResourceUpdated(uri=uri)
        await ann.call("a__release", key="held")
        assert said(await waiting) == "released held"
        assert len(ann.of("feed", "notifications/resources/updated")) == 1


async def test_whoever_listens_hears_of_a_server_again_that_was_gone_for_a_while(scene: Scene) -> None:
    uri = "woollama://a/test://two"
    async with (
        over_http(scene.running, "auto") as modern,
        modern.listen(resource_subscriptions=[uri]) as changes,
    ):
        await scene.reload()
        HERE.run(HERE.forget)
        asked = HERE.subscribed
        await scene.reload(a=scene.entry())
        await until(lambda: HERE.subscribed > asked)
        await modern.call_tool("a__change", {"uri": "test://two"})
        async with asyncio.timeout(PATIENCE_S):
            assert await anext(aiter(changes)) == ResourceUpdated(uri=uri)
