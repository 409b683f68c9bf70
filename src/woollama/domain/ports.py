"""What the core needs from the outside world, as protocols. Only `app.py` and `daemon.py` know who implements them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from woollama.domain.events import Event
from woollama.domain.messages import Answer, Ask, Json
from woollama.domain.peers import Host
from woollama.domain.tools import Function, Pin, Tool, ToolOutcome
from woollama.domain.turns import Call, Caller, Target


class Inferencer(Protocol):
    """Answers one round: `async with inferencer.answer(call) as events: async for event in events`.

    Yields `RoundBegan(round=0)` first, `UsageSeen(round=0)` where known and ends with `Stopped`; the engine counts
    the rounds. A failure is raised as a `RouterError`, before or between events. Leaving the block closes the
    upstream request. The iterator yields no `Failed`.
    """

    name: str

    def answer(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[Event]]: ...

    async def list_models(self) -> Sequence[str]:
        """Asks the upstream what it has. Only the catalogue calls this, in the background."""
        ...


class Asker(Protocol):
    async def ask(self, ask: Ask) -> Answer | None:
        """A person's answer, or one that says why there is none. `None`: it will come to a later turn."""
        ...


@dataclass(frozen=True, slots=True)
class ToolContext:
    """Around one tool call: who it is for, whom to tell of progress and whom to ask. `call_id` goes into an `Ask`.

    `approved`: a person has said yes to this very call. `host` is the MCP host that makes it, where one does.
    """

    caller: Caller
    progress: Callable[[float, float | None, str | None], Awaitable[None]] | None = None
    asker: Asker | None = None
    timeout_s: float | None = None
    call_id: str = ""
    approved: bool = False
    host: Host | None = None


class Sampler(Protocol):
    """Asks a model for a tool server that cannot do so through the host of its call (MCP's sampling)."""

    async def sample(
        self, server: str, params: Mapping[str, Json], context: ToolContext, asker: Asker | None
    ) -> Mapping[str, Json]:
        """The result of `sampling/createMessage`, for a call that is made in `context`. Raises `PeerError`.

        Without an `asker` it is not known whose call it is, and everybody is asked who can answer for anyone.
        """
        ...


class Toolbox(Protocol):
    """A set of tools that may be offered and called. Policies are wrappers around another toolbox."""

    def functions(self) -> Sequence[Function]:
        """What can be offered now, from memory; never waits on a server."""
        ...

    async def call(self, function: Function, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        """Never raises for what a tool or its server does: that is an outcome."""
        ...


ShrinkLevel = Literal["off", "lossless", "auto", "aggressive"]


@dataclass(frozen=True, slots=True)
class Shrunk:
    """A text after it was made smaller, or as it was. `refs` lead to what was left out; `reason` is never empty."""

    text: str
    reason: str
    refs: tuple[str, ...] = ()


class Shrinker(Protocol):
    """Makes results of tools smaller without losing any of them. Neither call holds up the event loop for long."""

    @property
    def leaves_out(self) -> bool:
        """Whether anything is ever left out, so that a model needs the tool to have it back."""
        ...

    def hints(self, tool: str) -> Sequence[str]:
        """What was looked up of this tool's results in earlier conversations."""
        ...

    async def shrink(
        self, text: str, *, level: ShrinkLevel, query: str, tool: str, recipe: str = "", hints: Sequence[str] = ()
    ) -> Shrunk: ...

    async def retrieve(self, wish: Mapping[str, Json], *, recipe: str = "") -> str:
        """The part that `wish` (the arguments of the retrieve tool) asks for.

        Raises `LookupError` where there is nothing like it, and `ValueError` for a wish that makes no sense.
        """
        ...

    def ref_in(self, text: str) -> str | None:
        """The ref of the marker that `text` begins with."""
        ...


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """How a tool server is. `health` is one of `starting, ready, down, needs login, disabled`.

    `login_wanted` says for what a server that is ready wants a login, or one that allows more. `changed` are its tools
    that are not what they were when first seen; those in quarantine are not called.
    """

    name: str
    transport: str
    health: str
    tools: int
    attempts: int
    last_error: str | None = None
    changed: Sequence[str] = ()
    quarantined: Sequence[str] = ()
    login_wanted: str | None = None


@dataclass(frozen=True, slots=True)
class ChangedTool:
    """A tool that is not what it was when it was first seen. `digest` stands for what it is `now`."""

    name: str
    pin: Pin
    digest: str
    before: Mapping[str, Json]
    now: Mapping[str, Json]


class ToolServers(Protocol):
    """All tool servers together: a toolbox over every tool, and how each server is."""

    def tools(self) -> Sequence[Tool]: ...

    def functions(self) -> Sequence[Function]: ...

    async def call(self, function: Function, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome: ...

    def health(self) -> Sequence[ServerHealth]: ...


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What goes upstream beside the body. `path` is relative to the inferencer's base URL (`/chat/completions`); one
    of Ollama's own (`/api/chat`) is relative to what the base URL is without its `/v1`. `key` is the caller's own."""

    target: Target
    method: str
    path: str
    headers: Sequence[tuple[bytes, bytes]] = ()
    stream: bool = False
    key: str | None = field(default=None, repr=False)


class ReplayableBody(Protocol):
    """A request body that is too large to be one piece of memory and can be sent again from its beginning."""

    @property
    def size_bytes(self) -> int: ...

    def chunks(self) -> AsyncIterator[bytes]:
        """All of it, in pieces; each call begins anew."""
        ...


@dataclass(frozen=True, slots=True)
class Forwarded:
    """An upstream's answer, unread. Header names are lower case, `headers` without hop-by-hop ones.

    `frames` are the body's bytes: of an event stream whole frames, each with the blank line that ends it, verbatim; of
    NDJSON whole lines, each with its end; of any other body chunks as they arrive.
    """

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    frames: AsyncIterator[bytes]


class Forwarder(Protocol):
    """Sends a request body on as it is: `async with forwarder.forward(head, body) as answer`.

    Raises `UpstreamUnreachable` or `UpstreamTimeout` before there is a status line, and `UpstreamBroke` or
    `UpstreamTimeout` from `frames` when the upstream dies or falls silent. Leaving the block early closes the
    upstream connection.
    """

    def forward(self, head: RequestHead, body: bytes | ReplayableBody) -> AbstractAsyncContextManager[Forwarded]: ...


class Child(Protocol):
    """A process that was spawned. `closed` is set as soon as it has ended, whoever ended it, and `silent` when no more
    lines of it will come.

    `reader` and `writer` are its stdout and stdin, if it was spawned with pipes. `exit_code` is negative for a signal;
    `ending` says it for a person.
    """

    closed: asyncio.Event
    silent: asyncio.Event
    pid: int
    exit_code: int | None
    reader: asyncio.StreamReader | None
    writer: asyncio.StreamWriter | None

    @property
    def ending(self) -> str: ...

    async def stop(self) -> None:
        """Ends it and all that it started; returns when nothing is left."""
        ...


class Spawner(Protocol):
    """Runs programs that never outlive the daemon."""

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str | None = None,
        grace_s: float = 2.0,
        pipes: bool = False,
        log_line: Callable[[str], None] | None = None,
        name: str = "",
        kind: ProcessKind = "tool_server",
    ) -> Child:
        """Raises `OSError` when the program cannot be run. `env` is all of its environment."""
        ...


ProcessKind = Literal["tool_server", "model", "answer", "worker"]
"""An `answer` is a process that is started for one turn and ends with it, a `worker` one of our own program."""


@dataclass(frozen=True, slots=True)
class ProcessState:
    """How a process that is kept for somebody is, running or not. `idle_stop_in_s` while it waits for its end."""

    name: str
    kind: ProcessKind
    state: str
    restarts: int = 0
    idle_stop_in_s: float | None = None
    last_error: str | None = None


class ModelProcesses(Protocol):
    """The processes behind models, as far as leases must know of them."""

    def process_of(self, target: Target) -> str:
        """The name of the process that answers for `target`, running or not. Raises `UnknownModel`."""
        ...

    async def make_room(self, swap_group: str, process: str) -> None:
        """Stops every other process of the group, as soon as nobody uses it. When this returns, none is left."""
        ...
