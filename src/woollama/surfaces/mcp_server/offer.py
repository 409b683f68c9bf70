"""What our MCP server has to offer and works with; made by `app` out of a core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from woollama.core.names import Names
from woollama.core.runs import Runs
from woollama.domain.ports import Toolbox
from woollama.domain.tools import Tool


@dataclass(frozen=True, slots=True)
class Offer:
    """`toolbox` asks a person where the policy wants it; `exposes` says which of its tools hosts may see at all.

    `on_tools` takes what is to be called whenever the tools of the servers may have changed. `scrub` takes known
    secrets out of a text.
    """

    names: Names
    runs: Runs
    toolbox: Toolbox
    exposes: Callable[[Tool], bool]
    on_tools: Callable[[Callable[[], None]], None]
    scrub: Callable[[str], str]
