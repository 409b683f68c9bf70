"""The tools that a server has for some hosts alone, beside those that it has for everybody.

A server may show a tool only to clients that can do something: name their roots, say, or ask a model. Over the
connection that everybody shares less is declared, so what a host is shown over one of its own can be more. That is the
host's; and as it was shown for what the host can do, it is known from then on for every host that can do the same,
without anything being opened. What is shown later on (a call may have switched a toolset on) is that one host's alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from weakref import WeakKeyDictionary

from woollama.domain.messages import Json
from woollama.domain.peers import HostSession
from woollama.domain.tools import Tool
from woollama.toolservers.pins import Pins
from woollama.toolservers.spec import ServerSpec

Tools = tuple[Tool, ...]

MOST_KINDS = 64
"""What hosts say of themselves can be anything."""


def can_more(capabilities: Mapping[str, Json], spec: ServerSpec) -> bool:
    """Whether a host can do what is not declared over the connection that everybody shares."""
    shared: Mapping[str, Json] = {"sampling": {}} if spec.samples else {}
    return any(shared.get(what) != how for what, how in capabilities.items() if what != "elicitation")


class HostTools:
    """`shared` gives what everybody has; `tell` hears of a host that finds other tools from now on."""

    def __init__(
        self, spec: ServerSpec, pins: Pins, shared: Callable[[], Sequence[Tool]], tell: Callable[[HostSession], None]
    ) -> None:
        self._spec = spec
        self._pins = pins
        self._shared = shared
        self._tell = tell
        self._kind_of: MutableMapping[HostSession, str] = WeakKeyDictionary()
        """What the hosts that are connected can do, as text."""
        self._of_kind: dict[str, Tools] = {}
        self._sought: set[str] = set()
        self._of_host: MutableMapping[HostSession, Tools] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"<HostTools {sorted(tool.name for tool in self.every)} of {self._spec.name!r}>"

    def of(self, session: HostSession) -> Tools:
        """What it has beside what everybody has, those in quarantine too."""
        if session in self._of_host:
            return self._more(self._of_host[session])
        return self._more(self._of_kind[self._kind(session)]) if self._kind(session) in self._of_kind else ()

    @property
    def every(self) -> Tools:
        """What any host has, or would have. Of two of one name the one that was shown last."""
        listings = (*self._of_kind.values(), *self._of_host.values())
        return self._more(tool for listing in listings for tool in listing)

    def has_shown(self, session: HostSession) -> bool:
        """Whether it was shown a list of its own."""
        return session in self._of_host

    def seek(self, session: HostSession) -> str | None:
        """What the host can do, if it is not known what such are shown, and nobody finds out already."""
        kind = self._kind(session)
        if kind in self._of_kind or kind in self._sought or len(self._sought) == MOST_KINDS:
            return None
        self._sought.add(kind)
        return kind

    def give_up(self, kind: str) -> None:
        """It was not found out: the next host may."""
        self._sought.discard(kind)

    def showed(self, session: HostSession, tools: Sequence[Tool], at_first: bool) -> None:
        """All that the server has for that host; `at_first`: before a call can have changed it."""
        kind, had = self._kind(session), self._had()
        own = self._pins.judge(self._spec, self._more(tool for tool in tools if self._spec.allows(tool)))
        self._of_host[session] = own
        if at_first:
            self._of_kind.pop(kind, None)
            self._of_kind[kind] = own
            self._sought.discard(kind)
            for oldest in list(self._of_kind)[:-MOST_KINDS]:
                del self._of_kind[oldest]
        self._tell_of_changes(had)

    def judge(self) -> None:
        """Look at their pins anew."""
        had = self._had()
        self._of_kind = {kind: self._pins.judge(self._spec, tools) for kind, tools in self._of_kind.items()}
        for session, tools in list(self._of_host.items()):
            self._of_host[session] = self._pins.judge(self._spec, tools)
        self._tell_of_changes(had)

    def leave(self, session: HostSession) -> None:
        """The host is gone."""
        self._kind_of.pop(session, None)
        self._of_host.pop(session, None)

    def retire(self) -> None:
        """Another entry of this server is at work from now on, or none."""
        tell, self._tell = self._tell, lambda session: None
        for session, tools in self._had().items():
            if tools:
                tell(session)

    def _kind(self, session: HostSession) -> str:
        """What a host can do does not change while it is connected."""
        if session not in self._kind_of:
            self._kind_of[session] = json.dumps(dict(session.capabilities), sort_keys=True)
        return self._kind_of[session]

    def _more(self, tools: Iterable[Tool]) -> Tools:
        own = {tool.name: tool for tool in tools}
        for everybodys in self._shared() if own else ():
            own.pop(everybodys.name, None)
        return tuple(own.values())

    def _had(self) -> Mapping[HostSession, Tools]:
        return {session: self.of(session) for session in self._kind_of}

    def _tell_of_changes(self, had: Mapping[HostSession, Tools]) -> None:
        for session, tools in self._had().items():
            if had.get(session, ()) != tools:
                self._tell(session)
