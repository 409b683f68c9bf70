"""What the public suite launches to hold our client side against its servers: `client.py URL`.

It is a woollama without surfaces: one tool server, the suite's, over the code that every daemon has. Like a model that
tries everything it lists and calls every tool; the suite says in its variables where it wants something else. Where its
server wants a login, its owner logs in as by `woollama login`: the suite's pages agree at once, so a request that goes
where it is sent is browser enough.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2

from woollama.domain.messages import Answer, Ask
from woollama.domain.peers import Host, PeerError
from woollama.domain.ports import ToolContext
from woollama.domain.turns import INTERNAL
from woollama.processes.children import Supervisor
from woollama.processes.environment import private_environment
from woollama.toolservers.browser import NotLoggedIn
from woollama.toolservers.fleet import Fleet
from woollama.toolservers.logging_in import log_in
from woollama.toolservers.logins import LoginFile, Logins, OwnClient
from woollama.toolservers.spec import ServerSpec

NAME = "suite"
STARTS_WITHIN_S = 20.0
MOST_LOGINS = 3
"""So often an owner does what `needs login` and `login wanted` ask for, before they give up."""
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


async def _log_in(file: LoginFile, context: Mapping[str, Any]) -> bool:
    """What `woollama login` does. Whether that went well."""
    client = OwnClient(str(context.get("client_id") or ""), context.get("client_secret"))
    browsers: list[asyncio.Task[None]] = []
    try:
        show = lambda url: browsers.append(asyncio.create_task(_browse(url)))  # noqa: E731
        await log_in(file, client, show, STARTS_WITHIN_S)
    except NotLoggedIn as error:
        sys.stdout.write(f"not logged in: {error}\n")
        return False
    finally:
        await asyncio.gather(*browsers)
    return True


async def _browse(url: str) -> None:
    async with httpx2.AsyncClient(follow_redirects=True, trust_env=False) as browser:
        sys.stdout.write(f"browser: {(await browser.get(url)).text}\n")


class Owner:
    """Logs in as long as the server is waiting for that, but not without end."""

    def __init__(self, fleet: Fleet, file: LoginFile, context: Mapping[str, Any]) -> None:
        self._fleet = fleet
        self._file = file
        self._context = context
        self._more = MOST_LOGINS

    async def looks_after_it(self) -> bool:
        """Whether they have logged in."""
        has_logged_in = False
        while self._more and self._is_wanted:
            self._more -= 1
            if not await _log_in(self._file, self._context):
                break
            has_logged_in = True
            with suppress(PeerError):  # whoever asks for something has the new login looked at
                await self._fleet.peers.request(NAME, "tools/list", {}, HOST)
        return has_logged_in

    @property
    def _is_wanted(self) -> bool:
        (server,) = self._fleet.health()
        return server.health == "needs login" or server.login_wanted is not None


async def _call(fleet: Fleet, name: str, arguments: Mapping[str, Any]) -> None:
    if (function := fleet.resolve(f"{NAME}.{name}")) is not None:
        outcome = await fleet.call(function, arguments, ToolContext(INTERNAL, asker=Agreeing()))
        sys.stdout.write(f"{name}: {outcome.for_model()}\n")


async def drive(url: str, context: Mapping[str, Any], directory: Path) -> int:
    spec = ServerSpec(NAME, transport="http", url=url)
    logins = Logins(directory)
    file = logins.of(NAME, url)
    async with Supervisor() as supervisor:
        environment = private_environment(os.environ)
        fleet = Fleet([spec], spawner=supervisor, environment=environment, logins=logins)
        fleet.start()
        try:
            await fleet.wait_warm(STARTS_WITHIN_S)
            owner = Owner(fleet, file, context)
            await owner.looks_after_it()
            for name, arguments in _calls(fleet, context):
                await _call(fleet, name, arguments)
                if await owner.looks_after_it():
                    await _call(fleet, name, arguments)
            await _read_the_rest(fleet)
            sys.stdout.write(f"{fleet!r}\n")
            return 0 if fleet.health()[0].health == "ready" else 1
        finally:
            await fleet.close()


def main() -> int:
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    with TemporaryDirectory() as directory:
        return asyncio.run(drive(sys.argv[-1], context, Path(directory) / "logins"))


if __name__ == "__main__":
    sys.exit(main())
