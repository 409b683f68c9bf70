"""A real daemon at a `Home`'s socket, with a scripted upstream behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.cli.conftest import Home
from tests.daemon import daemon
from tests.upstream import Scripted, ScriptedUpstream
from woollama.server import ServeOptions

NO_SERVERS = {"mcpServers": {name: {"disabled": True} for name in ("hello", "clock", "textops")}}


@dataclass
class Living:
    """`mock/mock-model` is answered by what was given to `answers`."""

    upstream: ScriptedUpstream
    portal: BlockingPortal

    def answers(self, *answers: Scripted) -> None:
        self.portal.call(self.upstream.answers, *answers)

    def until(self, condition: Any) -> None:
        self.portal.call(self.upstream.until, condition)

    @property
    def asked(self) -> list[Any]:
        """The messages of each request for an answer."""
        return [request.json["messages"] for request in self.upstream.requests if request.method == "POST"]


@contextmanager
def living(home: Home, files: Mapping[str, str] | None = None) -> Iterator[Living]:
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(ScriptedUpstream()) as upstream:
        mock = f'[inferencers.mock]\nbase_url = "{upstream.base_url}"\nmodels = ["mock-model"]\nretries = 0\n'
        for name, text in {"inferencers.toml": mock, "mcp.json": json.dumps(NO_SERVERS), **(files or {})}.items():
            home.write(name, text)
        options = ServeOptions(runtime_dir=home.runtime, shutdown_timeout_s=1.0)
        with portal.wrap_async_context_manager(daemon(home.directory / "config", home.environ, options)):
            yield Living(upstream, portal)
