"""Whether a process lives. One that is dead, and only not collected by its parent yet, does not."""

from __future__ import annotations

import os
from pathlib import Path


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:  # gone in between, or there is no /proc to ask
        return not Path("/proc/self/stat").exists()
    return state not in "ZX"
