"""Approvals: one ask, many who could answer, one end."""

from __future__ import annotations

import asyncio
import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from woollama.core.approvals import Approvals
from woollama.core.remembered import Remembered, subject_of
from woollama.domain.errors import BadRequest, Conflict, UnknownApproval
from woollama.domain.messages import Answer, Ask

PATIENCE_S = 60.0
ASK = Ask("ask_1", "call_1", "git", "push", "{}", recipe="r", tool_digest="t1", recipe_digest="r1")
QUESTION = {
    "message": "which?",
    "requestedSchema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
}


class Seen:
    """Approvals that somebody looks at, and what there was to see."""

    def __init__(self, remembered: Remembered | None = None, **more: float) -> None:
        self.approvals = Approvals(remembered, **{"timeout_s": PATIENCE_S, **more})  # type: ignore[arg-type]
        self.story: list[tuple[str, str]] = []
        self._asked = asyncio.Event()
        self.approvals.observe(self._see)

    def _see(self, ask: Ask, answer: Answer | None) -> None:
        how = "asked" if answer is None else answer.missing or ("approved" if answer.approved else "denied")
        self.story.append((ask.id, how))
        if answer is None:
            self._asked.set()

    async def asking(self, ask: Ask = ASK) -> asyncio.Task[Answer]:
        """A task that asks, once its ask is open."""
        self._asked.clear()
        task = asyncio.create_task(self.approvals.ask(ask))
        async with asyncio.timeout(PATIENCE_S):
            await self._asked.wait()
        return task


@pytest.mark.parametrize("approved", [True, False])
async def test_an_answer_ends_the_waiting(approved: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "woollama.approvals")
    seen = Seen()
    asking = await seen.asking()
    (shown,) = seen.approvals.pending()
    assert shown.expires_at - shown.asked_at == pytest.approx(PATIENCE_S)
    seen.approvals.answer("ask_1", approved, by="unix")
    assert await asking == Answer("ask_1", approved, by="unix")
    assert seen.story == [("ask_1", "asked"), ("ask_1", "approved" if approved else "denied")]
    assert seen.approvals.pending() == []
    verdict = "approved" if approved else "denied"
    assert [vars(record)["fields"] for record in caplog.records] == [
        {"server": "git", "tool": "push", "answer": verdict, "by": "unix"}
    ]


async def test_nobody_has_said_yes_by_saying_nothing() -> None:
    seen = Seen(timeout_s=0.01)
    answer = await seen.approvals.ask(ASK)
    assert (answer.approved, answer.missing) == (False, "nobody answered within 0.01 s")
    with pytest.raises(Conflict, match="ask_1 is over: nobody answered"):
        seen.approvals.answer("ask_1", True, by="unix")


async def test_the_deadline_of_a_turn_ends_it_earlier() -> None:
    seen = Seen()
    until = asyncio.get_running_loop().time() + 0.01
    assert (await seen.approvals.ask(ASK, until=until)).missing.startswith("nobody answered within 0")


async def test_who_leaves_takes_the_ask_along() -> None:
    seen = Seen()
    asking = await seen.asking()
    asking.cancel()
    await asyncio.wait({asking})
    assert seen.approvals.pending() == []
    assert seen.story[-1] == ("ask_1", "it was withdrawn")


async def test_the_second_answer_is_told_about_the_first() -> None:
    seen = Seen()
    asking = await seen.asking()
    seen.approvals.answer("ask_1", True, by="unix (panel)")
    with pytest.raises(Conflict, match=r"it was approved over unix \(panel\)"):
        seen.approvals.answer("ask_1", False, by="tcp")
    assert (await asking).approved


async def test_an_ask_that_never_was_is_unknown() -> None:
    with pytest.raises(UnknownApproval):
        Approvals().answer("ask_9", True, by="unix")


async def test_where_nobody_looks_nobody_is_waited_for() -> None:
    assert (await Approvals().ask(ASK)).missing == "nobody can be asked here"


async def test_two_asks_are_two_answers() -> None:
    seen = Seen()
    one, other = await seen.asking(), await seen.asking(replace(ASK, id="ask_2"))
    seen.approvals.answer("ask_2", True, by="unix")
    seen.approvals.answer("ask_1", False, by="unix")
    assert ((await one).approved, (await other).approved) == (False, True)


async def test_there_is_a_bound_to_what_waits() -> None:
    seen = Seen(most_open=1)
    asking = await seen.asking()
    refused = await seen.approvals.ask(replace(ASK, id="ask_2"))
    assert (refused.approved, refused.missing) == (False, "too many calls wait for one already")
    asking.cancel()


# --- a host that can be asked, too


class Host:
    def __init__(self, answer: Answer | None) -> None:
        self.answer = answer
        self.asked = asyncio.Event()
        self.withdrawn = asyncio.Event()

    async def ask(self, ask: Ask) -> Answer:
        self.asked.set()
        try:
            return self.answer or await asyncio.Future()
        except asyncio.CancelledError:
            self.withdrawn.set()
            raise


async def test_the_host_may_be_first() -> None:
    assert (await Seen().approvals.ask(ASK, host=Host(Answer("ask_1", True, by="mcp")))).by == "mcp"


async def test_somebody_else_may_be_first_and_the_host_need_not_answer_any_more() -> None:
    seen, host = Seen(), Host(None)
    asking = asyncio.create_task(seen.approvals.ask(ASK, host=host))
    async with asyncio.timeout(PATIENCE_S):
        await host.asked.wait()
        seen.approvals.answer("ask_1", True, by="unix")
        assert (await asking).approved
        await host.withdrawn.wait()


async def test_a_host_that_gives_no_answer_leaves_it_to_others() -> None:
    seen, host = Seen(), Host(Answer("ask_1", False, missing="it cannot"))
    asking = asyncio.create_task(seen.approvals.ask(ASK, host=host))
    async with asyncio.timeout(PATIENCE_S):
        await host.asked.wait()
        await asyncio.sleep(0)
        seen.approvals.answer("ask_1", True, by="unix")
        assert (await asking).approved


async def test_where_there_are_no_others_that_is_the_end() -> None:
    host = Host(Answer("ask_1", False, missing="it cannot"))
    assert (await Approvals().ask(ASK, host=host)).missing == "it cannot"


async def test_a_host_whose_user_closes_the_question_ends_it_for_all_and_nothing_is_decided() -> None:
    seen = Seen()
    answer = await seen.approvals.ask(ASK, host=Host(Answer("ask_1", False, missing="it was closed", dismissed=True)))
    assert (answer.approved, answer.missing) == (False, "it was closed")
    assert seen.story == [("ask_1", "asked"), ("ask_1", "it was closed")]
    with pytest.raises(Conflict, match="ask_1 is over: it was closed"):
        seen.approvals.answer("ask_1", True, by="unix")
    again = await seen.asking()
    seen.approvals.answer("ask_1", True, by="unix")
    assert (await again).approved


# --- questions


async def test_an_answer_to_a_question_fits_its_form() -> None:
    seen = Seen()
    asking = await seen.asking(replace(ASK, question=QUESTION))
    with pytest.raises(BadRequest, match="'n' is a required property"):
        seen.approvals.answer("ask_1", True, by="unix")
    assert seen.approvals.answer("ask_1", True, by="unix", content={"n": 3}, remember="always") == "once"
    assert (await asking).content == {"n": 3}


# --- what is left behind


async def test_an_answer_to_what_was_left_is_kept_until_it_is_collected() -> None:
    seen = Seen()
    left = seen.approvals.leave(ASK)
    assert seen.approvals.pending() == [left]
    seen.approvals.answer("ask_1", True, by="unix")
    collected = seen.approvals.collect("ask_1")
    assert collected is not None
    assert collected.approved
    assert seen.approvals.collect("ask_1") is None, "one yes is good for one call"
    with pytest.raises(Conflict, match="its call was made"):
        seen.approvals.answer("ask_1", True, by="unix")


async def test_collecting_closes_what_nobody_has_answered() -> None:
    seen = Seen()
    seen.approvals.leave(ASK)
    assert seen.approvals.collect("ask_1") is None
    assert seen.approvals.pending() == []


async def test_what_was_left_expires() -> None:
    seen = Seen()
    seen.approvals.leave(ASK, keep_s=-1)
    assert seen.approvals.pending() == []
    assert seen.story[-1] == ("ask_1", "nobody answered in time")


# --- what is remembered


async def test_always_is_for_this_tool_and_this_recipe_as_they_are_now(tmp_path: Path) -> None:
    file = tmp_path / "state" / "approvals.json"
    seen = Seen(Remembered(file))
    asking = await seen.asking()
    assert seen.approvals.answer("ask_1", True, by="unix", remember="always") == "always"
    await asking
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    again = Approvals(Remembered(file))
    assert again.known(ASK) == Answer("ask_1", True, by="an earlier answer")
    changes = {"tool": "pull", "server": "hg", "tool_digest": "t2", "recipe": "s", "recipe_digest": "r2"}
    assert [name for name, value in changes.items() if again.known(replace(ASK, **{name: value}))] == []
    assert again.known(replace(ASK, question=QUESTION)) is None


async def test_a_conversation_remembers_for_itself(tmp_path: Path) -> None:
    file = tmp_path / "approvals.json"
    seen = Seen(Remembered(file))
    asking = await seen.asking(replace(ASK, session="conv_1"))
    assert seen.approvals.answer("ask_1", False, by="unix", remember="conversation") == "conversation"
    await asking
    assert seen.approvals.known(replace(ASK, session="conv_1")) == Answer("ask_1", False, by="an earlier answer")
    assert seen.approvals.known(replace(ASK, session="conv_2")) is None
    assert not file.exists()


async def test_without_a_conversation_it_is_for_once() -> None:
    seen = Seen()
    asking = await seen.asking()
    assert seen.approvals.answer("ask_1", True, by="unix", remember="conversation") == "once"
    await asking
    assert seen.approvals.known(ASK) is None


def test_a_later_decision_about_the_same_replaces_the_earlier(tmp_path: Path) -> None:
    file = tmp_path / "approvals.json"
    remembered = Remembered(file)
    remembered.remember(subject_of(ASK), True)
    remembered.remember(subject_of(replace(ASK, tool_digest="t2")), False)
    assert [row["tool_digest"] for row in json.loads(file.read_text())["decisions"]] == ["t2"]


def test_what_is_taken_out_of_the_file_counts_no_more(tmp_path: Path) -> None:
    remembered = Remembered(tmp_path / "approvals.json")
    remembered.remember(subject_of(ASK), True)
    (tmp_path / "approvals.json").unlink()
    assert remembered.recall(subject_of(ASK)) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"decisions": [{}]}', "\xff"])
def test_a_file_that_cannot_be_read_decides_nothing_and_is_not_lost(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "approvals.json"
    file.write_text(text, encoding="latin-1")
    remembered = Remembered(file)
    assert remembered.recall(subject_of(ASK)) is None
    assert "cannot be read" in caplog.text
    assert remembered.remember(subject_of(ASK), True)
    assert remembered.recall(subject_of(ASK)) is True
    (kept,) = tmp_path.glob("approvals.unreadable-*")
    assert kept.read_text(encoding="latin-1") == text


def test_what_cannot_be_written_is_not_remembered(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no directory")
    assert Remembered(tmp_path / "state" / "approvals.json").remember(subject_of(ASK), True) is False
