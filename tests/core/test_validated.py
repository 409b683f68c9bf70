"""Calls are held against the server's own schema, whatever the model was shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
