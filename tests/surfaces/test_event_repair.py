"""Relayed streams with named events: passed as they came, and their ends told apart."""

from __future__ import annotations

from collections.abc import Iterable

from tests.surfaces.tables import GOLDEN
from woollama.domain.errors import RouterError
from woollama.surfaces.event_repair import MessagesRepair, ResponsesRepair
from woollama.surfaces.sse import event_frame


def frames(dialect: str, name: str) -> list[bytes]:
    raw = (GOLDEN / dialect / f"{name}.sse").read_bytes()
    return [frame + b"\n\n" for frame in raw.split(b"\n\n") if frame.strip()]


def error_frame(error: RouterError) -> bytes:
    return b"error: " + error.kind.encode()


def passed(repair: ResponsesRepair, given: Iterable[bytes]) -> list[bytes]:
    return [out for frame in given for out in repair.repair(frame)]


def test_a_whole_answer_passes_and_is_counted() -> None:
    given = frames("anthropic", "thinking_and_two_tools")
    repair = MessagesRepair(error_frame)
    assert passed(repair, given) == given
    assert (repair.done, repair.end()) == (True, [])
    assert repair.tap.finish == "tool_use"
    assert repair.tap.usage is not None
    assert repair.tap.usage["prompt_tokens"] == 472 + 412 + 1821


def test_an_end_in_the_middle_is_an_error() -> None:
    repair = MessagesRepair(error_frame)
    passed(repair, frames("anthropic", "cut"))
    assert repair.end() == [b"error: upstream_broke"]


def test_a_stop_reason_without_the_last_event_is_a_whole_answer() -> None:
    repair = MessagesRepair(error_frame)
    passed(repair, frames("anthropic", "text")[:-1])
    assert repair.end() == [event_frame("message_stop", {"type": "message_stop"})]
    assert repair.done


def test_an_error_of_the_upstreams_own_is_the_end() -> None:
    repair = MessagesRepair(error_frame)
    given = frames("anthropic", "overloaded")
    assert passed(repair, given) == given
    assert repair.tap.error is not None
    assert repair.end() == []


def test_responses_end_as_they_say_or_with_an_error() -> None:
    whole = frames("responses", "refusal")
    repair = ResponsesRepair(error_frame)
    assert passed(repair, whole) == [frame for frame in whole if b"[DONE]" not in frame]
    assert (repair.done, repair.end()) == (True, [])
    cut = ResponsesRepair(error_frame)
    passed(cut, frames("responses", "cut_in_text"))
    assert cut.end() == [b"error: upstream_broke"]


def test_a_name_that_stands_in_the_data_alone_is_enough() -> None:
    repair = MessagesRepair(error_frame)
    repair.repair(b'data: {"type": "message_stop"}\n\n')
    assert repair.done
