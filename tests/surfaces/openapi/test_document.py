"""`/openapi.json`: exactly the routes that there are, a valid document, and true of what a daemon answers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.daemon import daemon, daemon_in_thread
from tests.snippets import ROOT
from woollama.server import ServeOptions
from woollama.surfaces.openapi.described import OPERATIONS
from woollama.surfaces.openapi.document import document, plain
from woollama.surfaces.openapi.operations import JSON

ROUTE = re.compile(r'\bRoute\(\s*"([A-Z]+)",\s*"([^"]+)"')
CONFIG = ROOT / "tests" / "documents"
FUZZED = (
    "^/(healthz|readyz|metrics|v1/(models.*|tools|conversations.*|responses/.*)"
    "|w1/(approvals.*|compression.*|config|patterns.*|processes|reload|servers.*|status))$"
)
FUZZ_DEADLINE_S = 120


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx2.AsyncClient]:
    """Over the unix socket, on which everything is allowed."""
    directory = tmp_path_factory.mktemp("run")
    options = ServeOptions(runtime_dir=directory, shutdown_timeout_s=1.0)
    async with daemon(CONFIG, {"HOME": str(directory)}, options):
        transport = httpx2.AsyncHTTPTransport(uds=str(directory / "woollama.sock"))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            yield client


@pytest.fixture(scope="module")
async def described(client: httpx2.AsyncClient) -> dict[str, Any]:
    return dict((await client.get("/openapi.json")).json())


def written_routes() -> set[tuple[str, str]]:
    """As they stand in the source, so that a list which is built by halves does not vouch for itself."""
    source = (ROOT / "src" / "woollama" / "routes.py").read_text(encoding="utf-8")
    found = {(method, plain(path)) for method, path in ROUTE.findall(source)}
    assert 'for path in ("/mcp", "/mcp/") for method in ("POST", "GET", "DELETE")' in source
    return found | {(method, path) for path in ("/mcp", "/mcp/") for method in ("POST", "GET", "DELETE")}


async def test_it_is_a_valid_openapi_3_1_document_of_every_route_and_nothing_else(described: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(described).validate()
    assert described["openapi"].startswith("3.1.")
    assert {
        (method.upper(), path) for path, methods in described["paths"].items() for method in methods
    } == written_routes()


def test_every_route_is_explained() -> None:
    """One that is not needs its line in surfaces/openapi/described.py."""
    assert sorted(written_routes() - set(OPERATIONS)) == []
    assert sorted(set(OPERATIONS) - written_routes()) == []


def test_a_route_without_its_line_is_in_the_document_all_the_same() -> None:
    made = document([("PUT", "/v1/things/{thing:path}")], "1")
    OpenAPIV31SpecValidator(made).validate()
    assert made["paths"]["/v1/things/{thing}"]["put"]["parameters"][0]["name"] == "thing"


async def test_every_shape_is_used_and_every_part_of_a_path_is_explained(described: dict[str, Any]) -> None:
    text = json.dumps(described)
    unused = [name for name in described["components"]["schemas"] if f'"#/components/schemas/{name}"' not in text]
    assert unused == []
    for methods in described["paths"].values():
        for told in methods.values():
            assert all(each["description"] for each in told.get("parameters", []))


@pytest.mark.parametrize(
    ("method", "path", "route", "body"),
    [
        ("GET", "/healthz", "/healthz", None),
        ("GET", "/readyz", "/readyz", None),
        ("GET", "/v1/models", "/v1/models", None),
        ("GET", "/v1/models/woollama/demo", "/v1/models/{model}", None),
        ("GET", "/v1/models/gone", "/v1/models/{model}", None),
        ("GET", "/v1/tools", "/v1/tools", None),
        ("GET", "/w1/servers", "/w1/servers", None),
        ("GET", "/w1/processes", "/w1/processes", None),
        ("GET", "/w1/status", "/w1/status", None),
        ("GET", "/w1/config", "/w1/config", None),
        ("POST", "/w1/reload", "/w1/reload", None),
        ("GET", "/w1/patterns", "/w1/patterns", None),
        ("POST", "/w1/patterns/demo/render", "/w1/patterns/{name}/render", {"input": "x"}),
        ("POST", "/w1/patterns/gone/render", "/w1/patterns/{name}/render", {"input": "x"}),
        ("POST", "/v1/chat/completions", "/v1/chat/completions", {"model": "gone", "messages": []}),
        ("POST", "/v1/messages", "/v1/messages", {"model": "gone", "messages": []}),
        ("POST", "/api/show", "/api/show", {"model": "gone"}),
        ("GET", "/api/tags", "/api/tags", None),
    ],
)
async def test_what_the_daemon_answers_is_what_the_document_says(
    client: httpx2.AsyncClient,
    described: dict[str, Any],
    method: str,
    path: str,
    route: str,
    body: dict[str, Any] | None,
) -> None:
    answer = await client.request(method, path, json=body)
    told = described["paths"][route][method.lower()]["responses"]
    schema = told.get(str(answer.status_code), told["default"])["content"][JSON]["schema"]
    assert answer.headers["content-type"].startswith(JSON)
    whole = {**schema, "components": described["components"]}
    Draft202012Validator(whole).validate(answer.json())


FUZZED_RECIPES = """
[recipes]
assistant = { disabled = true }
streamer = { disabled = true }
textcounter = { disabled = true }
demo = { inferencer = "scripted/echo", system = "Answer in {{language}}." }
"""


def test_no_request_that_fits_the_document_breaks_the_daemon(tmp_path: Path) -> None:
    """Schemathesis makes the requests, among them many that do not fit: never a 500."""
    (tmp_path / "recipes.toml").write_text(FUZZED_RECIPES)
    with daemon_in_thread(tmp_path, {"HOME": str(tmp_path)}, ServeOptions(runtime_dir=tmp_path)) as running:
        finished = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{running.url}/openapi.json"),
                *("--include-path-regex", FUZZED, "--checks", "not_a_server_error", "--phases", "examples,fuzzing"),
                *("--max-examples", "15", "--no-shrink", "--generation-deterministic", "--no-color"),
                *("--suppress-health-check", "all"),
            ],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=FUZZ_DEADLINE_S,
            check=False,
        )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    made, passed = re.findall(r"(\d+) generated, (\d+) passed", finished.stdout)[0]
    assert made == passed
    assert int(made) > 40
