"""What no loopback server can produce: names that do not resolve, TLS that fails, pools that are full, and every
other exception of httpx2, through each part that uses it: Anthropic's SDK and the HTTP store."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpcore2
import httpx
import httpx2
import pytest
import respx

from tests import respx_on_httpx2
from tests.daemon import daemon
from tests.upstream import ScriptedUpstream, chat
from woollama.domain.errors import RouterError, StoreUnreachable, UpstreamRefused, UpstreamTimeout, UpstreamUnreachable
from woollama.domain.messages import Message, Text
from woollama.domain.turns import Call, Target
from woollama.inferencers.anthropic.inferencer import AnthropicInferencer
from woollama.inferencers.anthropic.sdk import Sdk
from woollama.stores.http import HttpStore

UPSTREAM = "https://api.maker.test"
CALL = Call(Target("maker", "claude-sonnet"), (Message("user", (Text("Hi"),)),))

NO_SUCH_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
BAD_CERTIFICATE = ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")


def from_core(kind: type[Exception], cause: Exception | str = "") -> Exception:
    """As httpcore2 raises it: httpx2 makes its own namesake of it."""
    error = kind(str(cause))
    error.__cause__ = cause if isinstance(cause, Exception) else None
    return error


FAULTS: dict[str, tuple[Any, type[RouterError], str]] = {
    "a name that does not resolve": (
        from_core(httpcore2.ConnectError, NO_SUCH_NAME),
        UpstreamUnreachable,
        "Name or service not known",
    ),
    "a certificate that nobody signed": (
        from_core(httpcore2.ConnectError, BAD_CERTIFICATE),
        UpstreamUnreachable,
        "certificate verify failed",
    ),
    "ConnectError": (from_core(httpcore2.ConnectError, "no route"), UpstreamUnreachable, "no route"),
    "ConnectTimeout": (from_core(httpcore2.ConnectTimeout), UpstreamTimeout, "in time"),
    "ReadTimeout": (from_core(httpcore2.ReadTimeout), UpstreamTimeout, "in time"),
    "WriteTimeout": (from_core(httpcore2.WriteTimeout), UpstreamTimeout, "in time"),
    "PoolTimeout": (from_core(httpcore2.PoolTimeout), UpstreamTimeout, "in time"),
    "ReadError": (from_core(httpcore2.ReadError, "reset"), UpstreamUnreachable, "reset"),
    "WriteError": (from_core(httpcore2.WriteError, "pipe"), UpstreamUnreachable, "pipe"),
    "ProxyError": (from_core(httpcore2.ProxyError, "407"), UpstreamUnreachable, "407"),
    "UnsupportedProtocol": (from_core(httpcore2.UnsupportedProtocol, "gopher"), UpstreamUnreachable, "gopher"),
    "LocalProtocolError": (from_core(httpcore2.LocalProtocolError, "header"), UpstreamUnreachable, "header"),
    "RemoteProtocolError": (from_core(httpcore2.RemoteProtocolError, "no status"), UpstreamUnreachable, "no status"),
    "CloseError": (httpx2.CloseError("closing"), UpstreamUnreachable, "closing"),
    "DecodingError": (httpx2.DecodingError("no gzip"), UpstreamUnreachable, "no gzip"),
    "HTTPStatusError": (httpx.Response(503, text="down"), RouterError, "503"),
    "a redirect": (
        httpx.Response(307, headers={"location": "https://elsewhere.test/"}),
        UpstreamRefused,
        "elsewhere.test/",
    ),
    "TooManyRedirects": (httpx2.TooManyRedirects("20 of them"), UpstreamUnreachable, "20 of them"),
    "InvalidURL": (httpx2.InvalidURL("no host"), UpstreamUnreachable, "no host"),
    "CookieConflict": (httpx2.CookieConflict("two"), UpstreamUnreachable, "two"),
    "StreamConsumed": (httpx2.StreamConsumed(), UpstreamUnreachable, ""),
    "StreamClosed": (httpx2.StreamClosed(), UpstreamUnreachable, ""),
    "ResponseNotRead": (httpx2.ResponseNotRead(), UpstreamUnreachable, ""),
    "RequestNotRead": (httpx2.RequestNotRead(), UpstreamUnreachable, ""),
    "SSEError": (httpx2.SSEError("no stream"), UpstreamUnreachable, "no stream"),
}
"""What happens -> what becomes of it, and a word of the message. What is no sentence is named after its class."""


@pytest.fixture
async def network() -> AsyncIterator[respx.MockRouter]:
    async with respx.mock(using=respx_on_httpx2.HTTPCore2Mocker.name, assert_all_called=False) as router:
        yield router


def test_every_exception_that_httpx2_can_raise_is_in_the_table() -> None:
    kinds = {value for value in vars(httpx2).values() if isinstance(value, type) and issubclass(value, Exception)}
    raised = {
        kind.__name__ for kind in kinds if not any(other is not kind and issubclass(other, kind) for other in kinds)
    }
    assert raised <= set(FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
async def test_through_the_sdk_each_is_an_error_of_the_upstream(network: respx.MockRouter, fault: str) -> None:
    happens, kind, word = FAULTS[fault]
    network.route(host="api.maker.test").mock(**_mocked(happens))
    claude = AnthropicInferencer(Sdk("maker", base_url=UPSTREAM, key=lambda: "sk-ant-1"))
    with pytest.raises(kind) as caught:
        await claude.answer(CALL).__aenter__()
    await claude.aclose()
    assert caught.value.at_fault == "upstream"
    assert word in caught.value.message


def _mocked(happens: Any) -> dict[str, Any]:
    return {"return_value": happens} if isinstance(happens, httpx.Response) else {"side_effect": happens}


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"a redirect", "HTTPStatusError"}))
async def test_a_store_behind_an_address_is_then_unreachable(network: respx.MockRouter, fault: str) -> None:
    happens, _, word = FAULTS[fault]
    network.route(host="threads.test").mock(**_mocked(happens))
    store = HttpStore("https://threads.test")
    with pytest.raises(StoreUnreachable) as caught:
        await store.read("t1")
    await store.close()
    assert "https://threads.test" in caught.value.message
    assert word in caught.value.message or "in time" in word


async def test_a_recipe_goes_to_its_fallback_when_a_name_does_not_resolve(
    network: respx.MockRouter, tmp_path: Path
) -> None:
    happens, *_ = FAULTS["a name that does not resolve"]
    nowhere = network.route(host="api.maker.test").mock(side_effect=happens)
    network.route(host="127.0.0.1").pass_through()
    async with ScriptedUpstream() as upstream:
        upstream.always(chat("fine"))
        (tmp_path / "inferencers.toml").write_text(
            f"""
            [inferencers.maker]
            api = "anthropic"
            base_url = "{UPSTREAM}"
            api_key_env = "MAKER_KEY"

            [inferencers.near]
            base_url = "{upstream.origin}/v1"
            """
        )
        (tmp_path / "recipes.toml").write_text(
            """
            [recipes.plain]
            inferencer = "maker/claude-sonnet"
            fallbacks = ["near/m"]
            """
        )
        (tmp_path / "mcp.json").write_text("{}")
        async with (
            daemon(tmp_path, {**os.environ, "HOME": str(tmp_path), "MAKER_KEY": "sk-ant-1"}) as running,
            httpx2.AsyncClient(base_url=running.url, timeout=60, trust_env=False) as client,
        ):
            asked = {"model": "woollama/plain", "messages": [{"role": "user", "content": "hi"}]}
            response = await client.post("/v1/chat/completions", json=asked)
            assert response.json()["choices"][0]["message"]["content"] == "fine"
            assert response.headers["x-woollama-target"] == "near/m"
            assert nowhere.called
            asked["model"] = "maker/claude-sonnet"
            response = await client.post("/v1/chat/completions", json=asked)
            assert response.status_code == 502
            assert "Name or service not known" in response.json()["error"]["message"]
