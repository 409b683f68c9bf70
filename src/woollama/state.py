"""From the configuration to what is remembered: the part of the composition root that knows every store."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import assert_never

from woollama.config.model import Config, ConversationStore
from woollama.core.conversations import Conversations
from woollama.domain.ids import new_id
from woollama.domain.messages import Json
from woollama.domain.ports import ToolContext
from woollama.domain.stores import TranscriptStore
from woollama.domain.tools import Offline, ToolOutcome
from woollama.domain.turns import INTERNAL
from woollama.platform import config_dir, machine_id, runtime_dir, state_dir
from woollama.stores.database import Database, open_database, password_in
from woollama.stores.http import HttpStore
from woollama.stores.mcp import McpStore
from woollama.stores.sql import SqlStore
from woollama.stores.tables import Tables
from woollama.toolservers.fleet import Fleet

FILE = "state.db"
STORE_CALL_S = 30.0
"""How long a tool server that keeps transcripts may take for a call."""


class State:
    """`conversations` is the same through every reload; only the store of new transcripts may change.

    Nothing is opened before something is to be remembered, or `start` finds that something has been.
    """

    def __init__(self, config: Config, environ: Mapping[str, str], servers: Fleet) -> None:
        self._environ = environ
        self._servers = servers
        self._keep_days = config.state.keep_days
        self._keep_conversations_days = config.state.keep_conversations_days
        self._file = state_dir(environ) / FILE
        self._url = config.state.url
        self._databases: dict[str, Database] = {}
        self._services: dict[str, HttpStore] = {}
        self.conversations = Conversations(
            Tables(self._database(self._url)),
            self._store_of(config.conversation_store),
            instance=new_id("inst_"),
            place=f"{socket.gethostname()}:{machine_id()}:{runtime_dir(environ)}",
            how_to_keep=_how_to_keep(config_dir(environ)),
        )

    def __repr__(self) -> str:
        return f"<State {self.conversations!r}>"

    def secrets(self) -> Iterator[str]:
        if password := password_in(self._url):
            yield password

    def reconfigure(self, config: Config) -> None:
        self._keep_days = config.state.keep_days
        self._keep_conversations_days = config.state.keep_conversations_days
        self.conversations.store = self._store_of(config.conversation_store)

    def start(self, on_cancel: Callable[[str], Awaitable[None]]) -> None:
        """Look after what is remembered, from now on if there is something, else from its first use on."""
        self.conversations.presence.start(on_cancel, self.sweep, at_once=bool(self._url) or self._file.exists())

    async def close(self) -> None:
        await self.conversations.presence.close()
        for database in self._databases.values():
            await database.close()
        for service in self._services.values():
            await service.close()

    async def sweep(self, chain_days: float | None = None) -> int:
        """Forget what has been kept for long enough; how many handles."""
        days = self._keep_days if chain_days is None else chain_days
        return await self.conversations.forget(days, self._keep_conversations_days)

    def _database(self, url: str) -> Database:
        if url not in self._databases:
            self._databases[url] = open_database(url or f"sqlite://{self._file}")
        return self._databases[url]

    def _store_of(self, entry: ConversationStore | None) -> TranscriptStore | None:
        if entry is None:
            return None
        match entry.type:
            case "sql":
                url = entry.url or self._url
                return SqlStore(self._database(url), "sql" if url == self._url else f"sql:{_without_password(url)}")
            case "http":
                return self._http_store(entry.url)
            case "mcp":
                return McpStore(entry.server, partial(self._call_tool, entry.server))
            case _:
                assert_never(entry.type)

    def _http_store(self, url: str) -> HttpStore:
        if url not in self._services:
            self._services[url] = HttpStore(url)
        return self._services[url]

    async def _call_tool(self, server: str, tool: str, arguments: Mapping[str, Json]) -> ToolOutcome:
        await self._servers.ready([f"{server}.*"])
        function = self._servers.resolve(f"{server}.{tool}")
        if function is None:
            return Offline(
                next((h.last_error for h in self._servers.health() if h.name == server and h.last_error), "")
                or f"{server!r} has no tool {tool!r}"
            )
        return await self._servers.call(function, arguments, ToolContext(INTERNAL, timeout_s=STORE_CALL_S))


def _without_password(url: str) -> str:
    password = password_in(url)
    return url.replace(f":{password}@", "@") if password else url


def _how_to_keep(directory: Path) -> str:
    return f'This line in {directory / "mcp.json"} makes every model stateful: "conversationStore": {{"type": "sql"}}'
