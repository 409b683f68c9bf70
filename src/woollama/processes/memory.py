"""How much memory processes have, with all that they started. Known where there is /proc."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

_PARENT, _RESIDENT = 1, 21
"""Places in /proc/PID/stat behind the name: `ppid` and `rss`, the latter in pages."""


@dataclass(frozen=True, slots=True)
class Seen:
    parent: int
    resident_bytes: int


def all_processes() -> Mapping[int, Seen]:
    """Every process of this machine that can be seen; empty where there is no /proc."""
    seen: dict[int, Seen] = {}
    try:
        page_bytes = os.sysconf("SC_PAGE_SIZE")
        pids = [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]
    except OSError:
        return seen
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                # The name in parentheses may hold anything, a parenthesis included: the last one ends it.
                fields = file.read().rpartition(b")")[2].split()
            seen[pid] = Seen(int(fields[_PARENT]), int(fields[_RESIDENT]) * page_bytes)
        except (OSError, ValueError, IndexError):
            continue  # it ended meanwhile
    return seen


def below(root: int, seen: Mapping[int, Seen]) -> int:
    """The resident memory of everything below a process, in bytes; pages that are shared count for each."""
    children: dict[int, list[int]] = {}
    for pid, process in seen.items():
        children.setdefault(process.parent, []).append(pid)
    total, todo = 0, list(children.get(root, ()))
    while todo:
        pid = todo.pop()
        total += seen[pid].resident_bytes
        todo += children.get(pid, ())
    return total
