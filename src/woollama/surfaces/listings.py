"""What there is: models, tools and the health of tool servers. Always from memory, whoever is down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from starlette.types import Receive, Scope, Send

from woollama.core.catalog import Catalog, Listed
from woollama.core.estimates import schema_tokens
from woollama.core.names import Names
from woollama.domain.errors import UnknownModel
from woollama.domain.ports import ToolServers
from woollama.domain.tools import Function
from woollama.domain.turns import EVERYTHING, Target
from woollama.domain.turns import Scope as Allowed
from woollama.surfaces.bodies import send_json


class Models:
    """`GET /v1/models` and `/v1/models/{id}`: one shape that satisfies the SDKs of OpenAI and Anthropic."""

    def __init__(self, catalog: Catalog, names: Names) -> None:
        self._catalog = catalog
        self._names = names

    async def listing(self, scope: Scope, receive: Receive, send: Send) -> None:
        data = [self._told(listed) for listed in allowed_models(self._catalog, self._names, scope)]
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        body = {"object": "list", "data": data, "has_more": False, "first_id": first, "last_id": last}
        await send_json(send, 200, body)

    async def one(self, scope: Scope, receive: Receive, send: Send) -> None:
        wanted = scope["path_params"]["model"]
        if not wanted:
            await self.listing(scope, receive, send)
            return
        allowed = allowed_models(self._catalog, self._names, scope)
        found = next((listed for listed in allowed if listed.id == wanted), None)
        if found is None:
            # It refuses an unknown name with the nearest ones.
            target = self._names.resolve(wanted, _scope_of(scope)).targets[0]
            if wanted == str(target) and target not in self._catalog.targets():
                raise UnknownModel(f"there is no model {wanted!r}", param="model", code="model_not_found")
            found = Listed(wanted, target.inferencer, 0)
        await send_json(send, 200, self._told(found))

    def _told(self, listed: Listed) -> dict[str, Any]:
        """What is declared of it is our own addition, and nothing where nothing is."""
        target = Target(listed.owned_by, listed.id.removeprefix(f"{listed.owned_by}/"))
        capabilities = list(self._names.capabilities_of(target))
        return {**_model(listed), **({"x_woollama": {"capabilities": capabilities}} if capabilities else {})}


class Tools:
    """`GET /v1/tools`: every tool, and how each tool server is. `tools` keeps the shape of the first woollama.

    `tokens` is about what it costs to offer a tool, and of `recipes` what it would cost to offer all of theirs.
    `GET /w1/servers` is the health alone. `scrub` takes known secrets out of what a server died of.
    """

    def __init__(self, servers: ToolServers, scrub: Callable[[str], str] = str, names: Names | None = None) -> None:
        self._servers = servers
        self._scrub = scrub
        self._names = names

    async def listing(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = _scope_of(scope)
        tools = [tool for tool in self._servers.tools() if allowed.allows_tool([tool.qualified])]
        functions = self._functions(allowed)
        body = {
            "tools": [tool.qualified for tool in tools],
            "data": [
                {
                    "name": tool.qualified,
                    "server": tool.server,
                    "tool": tool.name,
                    "description": tool.description,
                    "tokens": schema_tokens([functions[tool.qualified]]) if tool.qualified in functions else 0,
                }
                for tool in tools
            ],
            "recipes": list(self.costs(allowed)),
            "servers": self.health(allowed),
        }
        await send_json(send, 200, body)

    def _functions(self, allowed: Allowed) -> Mapping[str, Function]:
        """What models are offered of these tools, by `server.tool`."""
        offered = ((each.tool, each) for each in self._servers.functions())
        return {tool.qualified: each for tool, each in offered if tool and allowed.allows_tool([tool.qualified])}

    def costs(self, allowed: Allowed = EVERYTHING) -> Iterator[dict[str, Any]]:
        """Of each recipe with tools: how many, and the `tokens` that they take in each of its rounds."""
        if self._names is None:
            return
        functions = self._functions(allowed).values()
        for name in self._names.recipes:
            recipe = self._names.recipe_of(name, allowed)
            globs = recipe.tools if recipe else ()
            own = [f for f in functions if f.tool and any(fnmatchcase(f.tool.qualified, glob) for glob in globs)]
            if recipe is not None and own:
                tokens, budget_tokens = schema_tokens(own), recipe.tools_budget_tokens
                over = 0 < budget_tokens < tokens
                yield {"name": name, "tools": len(own), "tokens": tokens, "budget_tokens": budget_tokens, "found": over}

    async def servers(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, {"data": self.health(_scope_of(scope))})

    def health(self, allowed: Allowed = EVERYTHING) -> list[dict[str, Any]]:
        return [
            {
                "name": server.name,
                "transport": server.transport,
                "health": server.health,
                "tools": server.tools,
                "attempts": server.attempts,
                "last_error": server.last_error and self._scrub(server.last_error),
                "changed": list(server.changed),
                "quarantined": list(server.quarantined),
                "login_wanted": server.login_wanted,
            }
            for server in self._servers.health()
            if allowed.allows_server(server.name)
        ]


class Processes:
    """`GET /w1/processes`: every child process, as `processes.table` has it. `scrub` as in `Tools`."""

    def __init__(self, table: Callable[[], Awaitable[list[dict[str, Any]]]], scrub: Callable[[str], str] = str) -> None:
        self._table = table
        self._scrub = scrub

    async def listing(self, scope: Scope, receive: Receive, send: Send) -> None:
        rows = [
            {**row, "last_error": row["last_error"] and self._scrub(row["last_error"])} for row in await self._table()
        ]
        await send_json(send, 200, {"data": rows})


class Probes:
    """`GET /healthz` (alive) and `/readyz` (ready, or what it still waits for)."""

    def __init__(self, waits_for: Callable[[], list[str]], version: str) -> None:
        self._waits_for = waits_for
        self.version = version

    async def healthz(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, {"ok": True, "service": "woollama", "version": self.version})

    async def readyz(self, scope: Scope, receive: Receive, send: Send) -> None:
        told = self.readiness()
        await send_json(send, 200 if told["ready"] else 503, told)

    def readiness(self) -> dict[str, Any]:
        waiting = self._waits_for()
        return {"ready": not waiting, "waiting_for": waiting}


def allowed_models(catalog: Catalog, names: Names, scope: Scope) -> list[Listed]:
    """The listing, as far as the caller of a request may use what is in it."""
    allowed = _scope_of(scope)
    return [listed for listed in catalog.listing() if names.allows(listed.id, allowed)]


def _scope_of(scope: Scope) -> Allowed:
    allowed: Allowed = scope["state"]["caller"].scope
    return allowed


def _model(listed: Listed) -> dict[str, Any]:
    return {
        "id": listed.id,
        "object": "model",
        "type": "model",
        "created": listed.created,
        "created_at": datetime.fromtimestamp(listed.created, UTC).isoformat().replace("+00:00", "Z"),
        "owned_by": listed.owned_by,
        "display_name": listed.id,
    }
