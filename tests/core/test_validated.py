"""Calls are held against the server's own schema, whatever the model was shown."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import pytest

from woollama.core import arguments
from woollama.core.toolboxes import Validated
from woollama.domain.ports import ToolContext
from woollama.domain.tools import Function, Invalid, Returned, Tool, ToolOutcome
from woollama.domain.turns import INTERNAL
from woollama.toolservers.offered import offered, own_names

SCHEMA = {
    "type": "object",
    "properties": {"$top": {"type": "integer"}, "name": {"type": "string"}, "id": {"type": "integer"}},
    "oneOf": [{"required": ["name"]}, {"required": ["id"]}],
}
TOOL = Tool("odata", "find", {"name": "find", "inputSchema": SCHEMA})
FIND = Function("odata__find", "", offered(SCHEMA), tool=TOOL, renamed=own_names(SCHEMA))


class Box:
    called: Mapping[str, Any] | None = None

    def functions(self) -> Sequence[Function]:
        return (FIND,)

    async def call(self, function: Function, arguments: Mapping[str, Any], context: ToolContext) -> ToolOutcome:
        self.called = arguments
        return Returned.of_text("done")


async def test_an_argument_gets_its_own_name_back() -> None:
    box = Box()
    assert FIND.parameters is not None
    assert list(FIND.parameters["properties"]) == ["top", "name", "id"]
    await Validated(box).call(FIND, {"top": 3, "name": "a"}, ToolContext(INTERNAL))
    assert box.called == {"$top": 3, "name": "a"}
    await Validated(box).call(FIND, {"$top": 4, "id": 1}, ToolContext(INTERNAL))
    assert box.called == {"$top": 4, "id": 1}


async def test_what_the_model_was_shown_too_wide_is_told_when_it_is_called() -> None:
    box = Box()
    outcome = await Validated(box).call(FIND, {"name": "a", "id": 1}, ToolContext(INTERNAL))
    assert isinstance(outcome, Invalid)
    assert "valid under each of" in outcome.for_model()
    assert box.called is None


async def test_what_judges_arguments_is_loaded_where_it_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[str] = []
    build = arguments._validator.__wrapped__

    @lru_cache
    def noting(schema: str) -> Any:
        where.append(threading.current_thread().name)
        return build(schema)

    monkeypatch.setattr(arguments, "_validator", noting)
    for _ in range(2):
        assert not isinstance(await Validated(Box()).call(FIND, {"name": "a"}, ToolContext(INTERNAL)), Invalid)
    assert len(where) == 1, "a schema is looked at once"
    assert where != [threading.current_thread().name]
