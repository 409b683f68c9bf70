"""The reading of the published descriptions: strict, and in words that say what is wrong where."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.published import Invalid, check, check_event

CALL = {"type": "mcp_call", "id": "mcp_1", "server_label": "clock", "name": "now", "arguments": "{}"}
DELTA: dict[str, Any] = {
    "type": "response.output_text.delta",
    "item_id": "msg_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "x",
    "logprobs": [],
    "sequence_number": 3,
}


def test_what_is_published_passes() -> None:
    check("openai", "OutputItem", CALL)
    check_event(DELTA)


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({**CALL, "surprise": 1}, "'surprise' was unexpected"),
        ({**CALL, "status": "nearly"}, "status"),
        ({**CALL, "output": 3}, "output"),
        ({key: value for key, value in CALL.items() if key != "name"}, '"name" is a required property'),
        ({**CALL, "type": "made_up"}, "type"),
        ("words", "words"),
    ],
)
def test_what_is_not_is_named(item: Any, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        check("openai", "OutputItem", item)


def test_an_event_needs_all_its_fields() -> None:
    for name in ("item_id", "sequence_number", "delta"):
        with pytest.raises(Invalid, match=name):
            check_event({key: value for key, value in DELTA.items() if key != name})
