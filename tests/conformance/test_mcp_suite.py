"""The public conformance suite of MCP: against our own server, with a server behind us, and as servers of ours.

What a fixture passes alone, it passes through us. Alone, our server is held against what asks for nobody's tools.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from conformance.mcp.run import INSTALLED, SUITES, Scenario, client_scenarios, node, run, run_clients
from tests.ports import OwnPort
from tests.surfaces.mcp_server.hosts import serving

FIXTURE = Path(__file__).parents[2] / "conformance" / "mcp" / "fixture.py"
PATIENCE_S = 60.0
TIMES_AGAIN = 1
WHOLE = {"2025": 44, "2025-11-25": 84, "2026-07-28": 152}
OVER_STDIO: Mapping[str, int] = {**WHOLE, "2025-11-25": 83}
"""One check less: there is no stream of events that could end in the middle of a call."""


@pytest.fixture(scope="module", autouse=True)
def suite() -> None:
    if not INSTALLED.exists() or node() is None:
        pytest.skip("the conformance suite is not installed: scripts/clients does that, and needs npm")


@asynccontextmanager
async def fixture_over_http() -> AsyncIterator[int]:
    with OwnPort() as own:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(FIXTURE), "http", str(own.number)), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE_S):
                assert await process.stdout.readline() == b"serving\n"
            yield own.number
        finally:
            process.kill()
            await process.communicate()


async def hold(url: str, suites: Mapping[str, int]) -> None:
    """Each suite passes exactly so much, and nothing fails or vanishes.

    Some checks give an answer half a second. So the suites do not run at once, and one in which nothing but such
    answers was missing runs again: what is broken is missing each time.
    """
    for suite, whole in suites.items():
        score = await asyncio.to_thread(run, url, suite)
        for _ in range(TIMES_AGAIN):
            if not score.only_late:
                break
            print(f"{suite} runs again: {score.failures}")  # noqa: T201
            score = await asyncio.to_thread(run, url, suite)
        assert (score.passed, score.failed) == (whole, 0), f"{suite}: {score.failures}"


async def test_the_fixture_over_http_is_as_good_behind_woollama(tmp_path: Path) -> None:
    assert set(SUITES) == set(WHOLE)
    async with fixture_over_http() as port:
        entry = {"type": "http", "url": f"http://127.0.0.1:{port}/mcp", "prefix": "", "trusted": True}
        with serving(tmp_path, fixture=entry) as daemon:
            await hold(f"{daemon.url.replace('127.0.0.1', 'localhost')}/mcp", WHOLE)


async def test_the_fixture_over_stdio_is_as_good_behind_woollama(tmp_path: Path) -> None:
    entry: dict[str, Any] = {
        "command": sys.executable,
        "args": [str(FIXTURE), "stdio"],
        "prefix": "",
        "trusted": True,
    }
    with serving(tmp_path, fixture=entry) as daemon:
        await hold(f"{daemon.url.replace('127.0.0.1', 'localhost')}/mcp", OVER_STDIO)


OURS = frozenset(
    {
        "server-initialize",
        "logging-set-level",
        "ping",
        "tools-list",
        "server-sse-polling",
        "server-sse-multiple-streams",
        "resources-list",
        "prompts-list",
        "dns-rebinding-protection",
    }
)
"""What our server is asked for without a tool server behind it."""
OURS_ALONE = {
    "2025": OURS,
    "2025-11-25": OURS | {"server-session-lifecycle"},
    "2026-07-28": frozenset(
        {
            "tools-list",
            "server-sse-multiple-streams",
            "resources-list",
            "prompts-list",
            "dns-rebinding-protection",
            "caching",
            "http-header-validation",
            "sep-2164-resource-not-found",
            "input-required-result-missing-input-response",
            "input-required-result-unsupported-methods",
            "input-required-result-ignore-extra-params",
            "input-required-result-validate-input",
        }
    ),
}
"""All others want tools, prompts or resources that the fixture has; behind us they pass, see above."""


async def test_our_own_server_passes_what_asks_for_nobodys_tools(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        url = f"{daemon.url.replace('127.0.0.1', 'localhost')}/mcp"
        scores = await asyncio.gather(*(asyncio.to_thread(run, url, suite) for suite in OURS_ALONE))
    for (suite, ours), score in zip(OURS_ALONE.items(), scores, strict=True):
        assert score.clean == ours, f"{suite}: {score.failures}"


CLIENT_CHECKS = {
    "initialize": 2,
    "tools_call": 2,
    "elicitation-sep1034-client-defaults": 5,
    "sse-retry": 3,
    "request-metadata": 8,
    "sep-2322-client-request-state": 5,
    "http-standard-headers": 11,
    "http-custom-headers": 18,
    "http-invalid-tool-headers": 12,
    "json-schema-ref-no-deref": 1,
    "json-schema-2020-12-preservation": 9,
}
IN_2025 = {**CLIENT_CHECKS, "tools_call": 1}
"""The released suite does not look at each message of that scenario."""
HELD = 20


LOGIN_CHECKS = {
    "auth/metadata-default": 24,
    "auth/metadata-var1": 24,
    "auth/metadata-var2": 24,
    "auth/metadata-var3": 24,
    "auth/scope-from-www-authenticate": 20,
    "auth/scope-from-scopes-supported": 20,
    "auth/scope-omitted-when-undefined": 20,
    "auth/token-endpoint-auth-basic": 25,
    "auth/token-endpoint-auth-post": 25,
    "auth/token-endpoint-auth-none": 25,
    "auth/pre-registration": 18,
    "auth/resource-mismatch": 2,
    "auth/offline-access-scope": 21,
    "auth/offline-access-not-supported": 20,
    "auth/iss-supported": 20,
    "auth/iss-not-advertised": 20,
    "auth/iss-supported-missing": 8,
    "auth/iss-wrong-issuer": 8,
    "auth/iss-unexpected": 8,
    "auth/iss-normalized": 8,
    "auth/metadata-issuer-mismatch": 3,
}
"""With a login on the way. The earlier revisions ask for the same: `run.py client` has them all."""
ANOTHER_LOGIN_CHECKS = {
    "auth/scope-step-up": 33,
    "auth/scope-retry-limit": 11,
    "auth/authorization-server-migration": 34,
}
"""With more than one login on the way, or one that is never enough."""
WAITING = {
    "auth/2025-03-26-oauth-endpoint-fallback",
    "auth/2025-03-26-oauth-metadata-backcompat",
    "auth/basic-cimd",
    "auth/client-credentials-basic",
    "auth/client-credentials-jwt",
    "auth/cross-app-access-complete-flow",
    "auth/dpop",
    "auth/dpop-nonce",
    "auth/enterprise-managed-authorization",
    "auth/wif-jwt-bearer",
}
"""`WAITS_FOR` says what for."""


async def test_our_client_side_gets_along_with_every_server_of_the_suite() -> None:
    scores = await asyncio.to_thread(run_clients, lambda each: not each.name.startswith("auth/"))
    for scenario, score in scores.items():
        wanted = IN_2025 if scenario.package == "conformance-2025" else CLIENT_CHECKS
        assert (score.passed, score.failed) == (wanted[scenario.name], 0), f"{scenario}: {score.failures}"
    assert len(scores) == HELD
    waiting = {each.name for each in client_scenarios() if each.waits_for is not None}
    assert {name for name in waiting if not name.startswith("sep-2640-")} == WAITING


@pytest.mark.parametrize("another", [False, True])
async def test_our_client_side_logs_in_at_every_server_of_the_suite(another: bool) -> None:
    checks = ANOTHER_LOGIN_CHECKS if another else LOGIN_CHECKS

    def is_wanted(each: Scenario) -> bool:
        is_login = each.name.startswith("auth/") and each.revision == "2026-07-28"
        return is_login and (each.name in ANOTHER_LOGIN_CHECKS) == another

    scores = await asyncio.to_thread(run_clients, is_wanted)
    for scenario, score in scores.items():
        assert (score.passed, score.failed) == (checks[scenario.name], 0), f"{scenario}: {score.failures}"
    assert {scenario.name for scenario in scores} == set(checks)
