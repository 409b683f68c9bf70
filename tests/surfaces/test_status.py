"""`GET /w1/status`, where something is worth telling."""

from __future__ import annotations

from typing import Any

import orjson

from woollama.core.attempts import Attempts
from woollama.core.catalog import Catalog, Source
from woollama.core.lease import FAILURES_BEFORE_COOLDOWN, LeasePolicy
from woollama.core.runs import Runs
from woollama.domain.errors import UpstreamUnreachable
from woollama.surfaces.listings import Probes, Tools
from woollama.surfaces.status import Status


class NoServers:
    def tools(self) -> list[Any]:
        return []

    def health(self) -> list[Any]:
        return []


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def ask(status: Status) -> Any:
    body = b""

    async def send(message: Any) -> None:
        nonlocal body
        body += message.get("body", b"")

    await status({"type": "http"}, None, send)  # type: ignore[arg-type]
    return orjson.loads(body)


async def nothing(turn: object, emit: object) -> None:
    return


async def test_an_inferencer_that_cools_is_told_with_its_reason_until_it_does_not() -> None:
    clock = Clock()
    attempts = Attempts({"groq": LeasePolicy(cooldown_s=30), "local": LeasePolicy()}, clock=clock)
    status = Status(
        probes=Probes(lambda: ["git"], "9.9"),
        catalog=Catalog({"local": Source(("a", "b"))}),
        attempts=attempts,
        runs=Runs(nothing),
        tools=Tools(NoServers()),
        recipes=3,
        aliases=1,
        started_at=clock.now,
        configuration=lambda: {"pending": [], "problems": [{"severity": "error"}], "needs_restart": []},
        scrub=lambda text: text.replace("hunter2", "***"),
        now=clock,
    )
    for _ in range(FAILURES_BEFORE_COOLDOWN):
        attempts.health["groq"].note(UpstreamUnreachable("no route for hunter2"))
    clock.now += 10
    assert await ask(status) == {
        "version": "9.9",
        "started_at": 1000.0,
        "uptime_s": 10.0,
        "ready": False,
        "waiting_for": ["git"],
        "recipes": 3,
        "aliases": 1,
        "inferencers": [
            {"name": "groq", "models": 0, "cooling_s": 20.0, "last_error": "no route for ***"},
            {"name": "local", "models": 2, "cooling_s": 0.0, "last_error": None},
        ],
        "servers": [],
        "tools": 0,
        "tool_tokens": {},
        "runs": 0,
        "pending": [],
        "problems": [{"severity": "error"}],
        "needs_restart": [],
    }
    clock.now += 20
    assert (await ask(status))["inferencers"][0] == {"name": "groq", "models": 0, "cooling_s": 0.0, "last_error": None}
