"""Every child process of the daemon, and how each is: what `woollama ps` shows."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from woollama.domain.ports import ProcessKind, ProcessState, ServerHealth
from woollama.processes.child import Child
from woollama.processes.children import Supervisor
from woollama.processes.memory import all_processes, below

OF_OURS = ("answer", "worker")
"""Kinds that are kept for nobody: they are as long as there is work for them."""


def server_states(servers: Iterable[ServerHealth]) -> Iterator[ProcessState]:
    """The processes of those tool servers that have one."""
    for server in servers:
        if server.transport == "stdio" and server.health != "disabled":
            restarts = max(0, server.attempts - 1)
            yield ProcessState(
                server.name, "tool_server", server.health, restarts=restarts, last_error=server.last_error
            )


def process_table(supervisor: Supervisor, states: Iterable[ProcessState]) -> Iterator[dict[str, Any]]:
    """A row for each of `states`, for each child that belongs to none of them, and for the supervisor.

    `memory_bytes` counts everything that a child has started; `keeper_pid` is the process that would end all of it.
    Blocks for as long as a look at all processes takes.
    """
    seen = all_processes()
    ours = [(child, "ready") for child in supervisor.children if child.kind in OF_OURS]
    children: dict[tuple[ProcessKind, str], Child] = {
        (child.kind, child.name): child for child in supervisor.children if child.kind not in OF_OURS
    }
    for state in states:
        child = children.pop((state.kind, state.name), None)
        yield {
            "name": state.name,
            "kind": state.kind,
            "state": state.state,
            **_measured(child, seen),
            "restarts": state.restarts,
            "idle_stop_in_s": None if state.idle_stop_in_s is None else round(state.idle_stop_in_s, 1),
            "last_error": state.last_error,
        }
    for child, word in (*((child, "stopping") for child in children.values()), *ours):
        nothing = {"restarts": 0, "idle_stop_in_s": None, "last_error": None}
        yield {"name": child.name, "kind": child.kind, "state": word, **_measured(child, seen), **nothing}
    pid = supervisor.pid
    own = seen[pid].resident_bytes if pid is not None and pid in seen else None
    yield {
        "name": "supervisor",
        "kind": "supervisor",
        "state": "ready" if pid else "down",
        "pid": pid,
        "keeper_pid": None,
        "started_at": supervisor.started_at if pid else None,
        "uptime_s": _since(supervisor.started_at) if pid else None,
        "memory_bytes": own,
        "restarts": max(0, supervisor.starts - 1),
        "idle_stop_in_s": None,
        "last_error": None,
    }


def _measured(child: Child | None, seen: Any) -> dict[str, Any]:
    if child is None:
        return dict.fromkeys(("pid", "keeper_pid", "started_at", "uptime_s", "memory_bytes"))
    keeper = seen[child.pid].parent if child.pid in seen else None
    return {
        "pid": child.pid,
        "keeper_pid": keeper,
        "started_at": round(child.started_at, 3),
        "uptime_s": _since(child.started_at),
        "memory_bytes": None if keeper is None else below(keeper, seen),
    }


def _since(began: float) -> float:
    return round(max(0.0, time.time() - began), 1)
