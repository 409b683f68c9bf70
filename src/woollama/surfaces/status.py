"""`GET /w1/status`: how the daemon is, in one answer. What `woollama status` prints, and a panel would show."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from starlette.types import Receive, Scope, Send

from woollama.core.attempts import Attempts
from woollama.core.catalog import Catalog
from woollama.core.runs import Runs
from woollama.surfaces.bodies import send_json
from woollama.surfaces.listings import Probes, Tools


class Status:
    """`recipes` and `aliases` are how many there are; `configuration` tells what waits for the owner and what is wrong.
    `tool_tokens` are what the tools of each recipe take in each of its rounds.

    `scrub` takes known secrets out of the reasons for which inferencers are tried last.
    """

    def __init__(
        self,
        *,
        probes: Probes,
        catalog: Catalog,
        attempts: Attempts,
        runs: Runs,
        tools: Tools,
        recipes: int,
        aliases: int,
        started_at: float,
        configuration: Callable[[], Mapping[str, Any]],
        scrub: Callable[[str], str] = str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._probes = probes
        self._catalog = catalog
        self._attempts = attempts
        self._runs = runs
        self._tools = tools
        self._counts = {"recipes": recipes, "aliases": aliases}
        self._configuration = configuration
        self._scrub = scrub
        self._now = now
        self._started_at = started_at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        servers = self._tools.health()
        told = self._configuration()
        body = {
            "version": self._probes.version,
            "started_at": round(self._started_at, 3),
            "uptime_s": round(self._now() - self._started_at, 3),
            **self._probes.readiness(),
            **self._counts,
            "inferencers": self._inferencers(),
            "servers": servers,
            "tools": sum(server["tools"] for server in servers),
            "tool_tokens": {cost["name"]: cost["tokens"] for cost in self._tools.costs()},
            "runs": len(self._runs),
            **{key: told[key] for key in ("pending", "problems", "needs_restart")},
        }
        await send_json(send, 200, body)

    def _inferencers(self) -> list[dict[str, Any]]:
        """Each with the number of its models that are known; `cooling_s` is how long it is still tried last."""
        models = Counter(target.inferencer for target in self._catalog.targets())
        found = []
        for name, health in self._attempts.health.items():
            reason = self._scrub(health.last_error) if health.cooling else None
            cooling = {"cooling_s": round(health.cooling_s, 1), "last_error": reason}
            found.append({"name": name, "models": models[name], **cooling})
        return found
