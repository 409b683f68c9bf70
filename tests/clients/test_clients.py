"""Client programs that people use, each run against a daemon: what its users do with it works."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.clients.conftest import ENVIRONMENTS, OURS, SCRIPTS, Stage, python_of

PYTHON = [
    ("python", "agents_client.py"),
    ("python", "langchain_openai_client.py"),
    ("python", "pydantic_ai_client.py"),
    ("python", "fastmcp_client.py"),
    ("python", "mcp_client.py"),
    ("mcp1", "mcp_client.py"),
]
NODE = sorted(
    path.name for path in (SCRIPTS / "node").glob("*.mjs") if path.name not in ("checks.mjs", "calls_client.mjs")
)


@pytest.mark.parametrize("script", ["openai_sdk.py", "openai_state.py"])
async def test_the_openai_sdk(stage: Stage, script: str) -> None:
    await stage.passes(OURS, script)


@pytest.mark.parametrize(("environment", "script"), PYTHON)
async def test_a_client_in_python(stage: Stage, environment: str, script: str) -> None:
    await stage.passes(python_of(environment), script)


@pytest.mark.parametrize("script", NODE)
async def test_a_client_in_javascript(stage: Stage, script: str) -> None:
    node = node_environment()
    for each in (SCRIPTS / "node").glob("*.mjs"):
        shutil.copy(each, node)  # modules are looked for from where a script lies
    await stage.passes("node", str(node / script))


async def test_llm_on_the_command_line(stage: Stage, tmp_path: Path) -> None:
    llm = str(Path(python_of("python")).with_name("llm"))
    models = [
        {"model_id": name, "model_name": model, "api_base": f"{stage.url}/v1"}
        for name, model in (("relayed", "mock/mock-model"), ("recipe", "woollama/case-tools"))
    ]
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps(models))
    places = {"LLM_USER_PATH": str(tmp_path), "OPENAI_API_KEY": "unused"}
    for more in ((), ("--no-stream",)):
        said = await stage.run(llm, "-n", "-m", "relayed", "hello there", *more, **places)
        assert (said.code, said.out) == (0, "You said: hello there\n")
        ran = await stage.run(llm, "-n", "-m", "recipe", '@call textops__uppercase {"text": "abc"}', *more, **places)
        assert (ran.code, ran.out) == (0, "The tools said: ABC\n")
        refused = await stage.run(llm, "-n", "-m", "relayed", "@error 404", *more, **places)
        assert (refused.code, "as you wished" in refused.out) == (1, True)


async def test_the_inspector_on_the_command_line(stage: Stage) -> None:
    inspector = str(node_environment() / "node_modules" / ".bin" / "mcp-inspector")
    asked = (inspector, "--cli", f"{stage.url}/mcp", "--transport", "http", "--method")
    listed = await stage.run(*asked, "tools/list")
    assert {"chat", "textops__uppercase"} <= {tool["name"] for tool in json.loads(listed.out)["tools"]}
    called = await stage.run(*asked, "tools/call", "--tool-name", "textops__uppercase", "--tool-arg", "text=abc")
    assert json.loads(called.out)["content"][0]["text"] == "ABC"


def node_environment() -> Path:
    node = ENVIRONMENTS / "node"
    if not (node / "installed").exists() or shutil.which("node") is None:
        pytest.skip("the clients in JavaScript are not installed: install Node and run scripts/clients")
    return node
