"""The largest result of a tool that is taken, and what is said where it was larger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from woollama.core.bounded_results import BoundedResults, cut
from woollama.domain.messages import Json
from woollama.domain.ports import ToolContext
from woollama.domain.tools import Denied, Function, Returned, Tool, ToolOutcome
from woollama.domain.turns import INTERNAL

NOTE = "this result was cut. It had {size} bytes, and at most {limit} are taken"


class Answers:
    def __init__(self, outcome: ToolOutcome) -> None:
        self._outcome = outcome

    def functions(self) -> Sequence[Function]:
        return ()

    async def call(self, function: Function, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        return self._outcome


async def called(outcome: ToolOutcome, limit: int, **raw: Json) -> ToolOutcome:
    function = Function("s__t", tool=Tool("s", "t", raw))
    return await BoundedResults(Answers(outcome), lambda: limit).call(function, {}, ToolContext(INTERNAL))


async def test_what_fits_and_what_is_no_result_pass_as_they_are() -> None:
    for outcome in (Returned.of_text("x" * 900), Denied(), Returned.of_text("é" * 400, is_error=True)):
        assert await called(outcome, 1000) is outcome


async def test_a_text_is_cut_where_a_letter_ends_and_its_size_is_told() -> None:
    whole = Returned.of_text("é" * 10_000)
    outcome = await called(whole, 1000)
    assert isinstance(outcome, Returned)
    kept, note = outcome.content
    assert set(kept["text"]) == {"é"}
    assert 950 < len(kept["text"].encode()) <= 1000
    assert NOTE.format(size=whole.size_bytes, limit=1000) in note["text"]
    assert note["text"] in outcome.for_model()
    assert not outcome.is_error


async def test_data_is_whole_or_not_there() -> None:
    picture = {"type": "image", "mimeType": "image/png", "data": "A" * 5000}
    outcome = await called(
        Returned(({"type": "text", "text": "before"}, picture, {"type": "text", "text": "after"})), 900
    )
    assert isinstance(outcome, Returned)
    assert [block.get("text") for block in outcome.content[:-1]] == ["before", "after"]


async def test_structured_data_that_was_promised_and_does_not_fit_is_an_error() -> None:
    whole = Returned(({"type": "text", "text": "short"},), structured={"rows": ["x" * 100] * 100})
    for raw, is_error in (({}, False), ({"outputSchema": {"type": "object"}}, True)):
        outcome = await called(whole, 900, **raw)
        assert isinstance(outcome, Returned)
        assert (outcome.structured, outcome.is_error) == (None, is_error)
        assert outcome.content[0]["text"] == "short"


def test_structured_data_that_fits_is_kept() -> None:
    whole = Returned(({"type": "text", "text": "x" * 5000},), structured={"rows": 3})
    assert cut(whole, 5000, promises_structure=True).structured is None
    assert cut(Returned((), structured={"rows": 3}), 5000).structured == {"rows": 3}
