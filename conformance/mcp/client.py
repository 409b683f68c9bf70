"""What the public suite launches to hold our client side against its servers: `client.py URL`.

It is a woollama without surfaces: one tool server, the suite's, over the code that every daemon has. Like a model that
tries everything it lists and calls every tool; the suite says in its variables where it wants something else.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from woollama.domain.messages import Answer, Ask
from woollama.domain.peers import Host, PeerError
from woollama.domain.ports import ToolContext
from woollama.domain.turns import INTERNAL
from woollama.processes.children import Supervisor
from woollama.processes.environment import private_environment
from woollama.toolservers.fleet import Fleet
from woollama.toolservers.spec import ServerSpec

NAME = "suite"
STARTS_WITHIN_S = 20.0
FOCAL, ECHO = "json_schema_2020_12_tool", "json_schema_echo"
SAMPLES: Mapping[str, Any] = {"string": "text", "integer": 3, "number": 5, "boolean": True, "array": [], "object": {}}


class Agreeing:
    """A person who agrees to everything and fills in nothing but what has no default."""

    async def ask(self, ask: Ask) -> Answer:
        properties = ((ask.question or {}).get("requestedSchema") or {}).get("properties") or {}
        content = {name: _sample(schema) for name, schema in properties.items() if "default" not in schema}
        return Answer(ask.id, True, content)


def _sample(schema: Mapping[str, Any]) -> Any:
    return schema["enum"][0] if "enum" in schema else SAMPLES.get(str(schema.get("type")))


def _arguments(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _sample(each) for name, each in (schema.get("properties") or {}).items()}


async def _refused(method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    raise PeerError(-32601, f"this host does not answer {method}")


async def _unheard(params: Mapping[str, Any]) -> None:
    return None


HOST = Host(
    session=None,
    capabilities={"roots": {}, "sampling": {}, "elicitation": {"form": {}}},
    ask=_refused,
    log=_unheard,
)
"""Somebody behind us who can do everything that a host can."""


def _calls(fleet: Fleet, context: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The tools to call, with their arguments."""
    if wanted := context.get("toolCalls"):
        return [(each["name"], each["arguments"]) for each in wanted]
    schemas = {tool.name: tool.input_schema for tool in fleet.tools()}
    if ECHO in schemas:
        return [(ECHO, {"schema": dict(schemas[FOCAL])})]
    return [(name, _arguments(schema)) for name, schema in schemas.items()]


async def _read_the_rest(fleet: Fleet) -> None:
    """What there is beside tools, as hosts read it through us."""
    for method in ("tools/list", "prompts/list", "resources/list"):
        try:
            listed = await fleet.peers.request(NAME, method, {}, HOST)
            for prompt in listed.get("prompts") or ():
                await fleet.peers.request(NAME, "prompts/get", {"name": prompt["name"]}, HOST)
            for resource in listed.get("resources") or ():
                await fleet.peers.request(NAME, "resources/read", {"uri": resource["uri"]}, HOST)
        except PeerError as error:
            sys.stdout.write(f"{method}: {error}\n")


async def drive(url: str, context: Mapping[str, Any]) -> int:
    spec = ServerSpec(NAME, transport="http", url=url)
    async with Supervisor() as supervisor:
        fleet = Fleet([spec], spawner=supervisor, environment=private_environment(os.environ))
        fleet.start()
        try:
            await fleet.wait_warm(STARTS_WITHIN_S)
            for name, arguments in _calls(fleet, context):
                if (function := fleet.resolve(f"{NAME}.{name}")) is not None:
                    outcome = await fleet.call(function, arguments, ToolContext(INTERNAL, asker=Agreeing()))
                    sys.stdout.write(f"{name}: {outcome.for_model()}\n")
            await _read_the_rest(fleet)
            sys.stdout.write(f"{fleet!r}\n")
            return 0 if fleet.health()[0].health == "ready" else 1
        finally:
            await fleet.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(drive(sys.argv[-1], json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}"))))
