"""What hosts of one kind are to be told of the lists that they find."""

from __future__ import annotations

from collections.abc import Mapping

from mcp.server.subscriptions import PromptsListChanged, ResourcesListChanged, ToolsListChanged

from woollama.domain.peers import ListKind

ListChanged = ToolsListChanged | PromptsListChanged | ResourcesListChanged
EVENT_OF: Mapping[ListKind, ListChanged] = {
    "tools": ToolsListChanged(),
    "prompts": PromptsListChanged(),
    "resources": ResourcesListChanged(),
}


class News:
    """`said` are the lists that a server has said to be others, since they were taken last."""

    def __init__(self, lists: Mapping[ListChanged, object]) -> None:
        self.said: set[ListChanged] = set()
        self._lists = lists

    def __repr__(self) -> str:
        return f"<News {len(self.said)} said>"

    def taken(self, lists: Mapping[ListChanged, object]) -> list[ListChanged]:
        """Those that are others now, or were said to be."""
        said, self.said = self.said, set()
        before, self._lists = self._lists, lists
        return [what for what, listing in lists.items() if what in said or before.get(what) != listing]
