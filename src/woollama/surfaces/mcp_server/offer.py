"""What our MCP server has to offer and works with; made by `app` out of a core."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from woollama.core.approvals import Approvals
from woollama.core.names import Names
from woollama.core.plan import Absent
from woollama.core.runs import Runs
from woollama.domain.peers import HostSession, Peers
from woollama.domain.ports import Shrinker, Toolbox
from woollama.domain.tools import Function


@dataclass(frozen=True, slots=True)
class Offer:
    """`toolbox` asks a person where the policy wants it, through `approvals`; `peers` is all of MCP but tools.

    `exposes` says which of a server's tools, prompts and resources hosts see, by their names at that server.

    `may_answer` says of a request's ASGI scope whether its host may be the one who answers.
    `on_tools` takes what is to be called whenever the tools of the servers may have changed. `scrub` takes known
    secrets out of a text. `instance` says which woollama this is. `absent` says
    why a tool is not in `toolbox`, by any of its names. `functions_of` gives what a host has in `toolbox` beside what
    everybody has.
    """

    names: Names
    runs: Runs
    toolbox: Toolbox
    peers: Peers
    approvals: Approvals
    may_answer: Callable[[Mapping[str, Any]], bool]
    exposes: Callable[[str, str], bool]
    on_tools: Callable[[Callable[[], None]], None]
    shrinker: Shrinker
    scrub: Callable[[str], str]
    instance: str
    absent: Absent
    functions_of: Callable[[HostSession], Sequence[Function]]
