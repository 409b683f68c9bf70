"""A person in the loop: the only pause that waits for somebody. Ask, answer, expire.

What an ask is
    A call that the policy wants a yes for (`approved` builds it), or a question that a tool server asks in the middle
    of a call. Both are an `Ask`, and both are answered here, whoever asked and over whichever surface: the chat loop,
    `/mcp`, a tool server's elicitation.

Who hears of it, and who answers
    Everybody at once: the list of what is open, every observer (the event feed, a notification), and the host that
    made the call where that host can put a question to its user. The first answer counts; whoever comes later is told
    how it ended. Where nobody could hear of it, there is no waiting: the answer is that nobody can be asked.

How it ends
    Exactly once, and every observer hears how: answered; dismissed, by somebody at a host who closed the question and
    decided nothing; expired, after `timeout_s` and never after the deadline of its turn; or withdrawn, because the run
    or the request that it belongs to is gone. What is not a yes is no yes, and what is not a no is none either: the
    model is told that nobody decided, and a tool that its question was cancelled.

Waiting and pausing
    A run that waits keeps its ask open as long as it lives (`ask`). A run that pauses leaves its ask behind (`leave`)
    and ends; a later turn collects the answer that came meanwhile (`collect`). Only a call can be left: a question is
    asked while its tool is already at work, so it is always waited for, and so is a model that a tool asks for.

What is remembered
    An answer may be given for the rest of a conversation, kept here, or for good, kept in `remembered`. Either way it
    is for one tool as it is described now, under one recipe as it reads now: when any of that changes, people are
    asked again. Answers to questions are never remembered.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from woollama.core.arguments import problems_of
from woollama.core.remembered import Remembered, Subject, subject_of
from woollama.core.runs import Emit
from woollama.domain.errors import BadRequest, Conflict, UnknownApproval
from woollama.domain.events import Answered, Asked
from woollama.domain.messages import Answer, Ask, Json
from woollama.domain.ports import Asker
from woollama.domain.tools import Tool
from woollama.domain.turns import Turn

Remember = Literal["once", "conversation", "always"]
Observer = Callable[[Ask, Answer | None], None]
"""Hears an ask when it is open, and again with its answer when it is over."""
Tell = Callable[[Ask | Answer], Awaitable[None]]

TIMEOUT_S = 60.0
MOST_OPEN = 256
MOST_LEFT = 1024
MOST_OVER = 4096
MOST_SESSIONS = 1024
PAUSED_S = 7 * 24 * 3600.0

_log = logging.getLogger("woollama.approvals")


@dataclass(frozen=True, slots=True, eq=False)
class _Open:
    ask: Ask
    answered: asyncio.Future[Answer]
    nonce: str
    is_left: bool = False


class Approvals:
    """All asks of a daemon. One object for its whole life: a reload only sets `timeout_s`."""

    def __init__(
        self, remembered: Remembered | None = None, *, timeout_s: float = TIMEOUT_S, most_open: int = MOST_OPEN
    ) -> None:
        self.timeout_s = timeout_s
        self._remembered = remembered or Remembered()
        self._most_open = most_open
        self._open: dict[str, _Open] = {}
        self._over: OrderedDict[str, Answer] = OrderedDict()
        self._sessions: OrderedDict[str, dict[Subject, bool]] = OrderedDict()
        self._observers: list[Observer] = []
        self._hosts: dict[str, Asker] = {}

    def __repr__(self) -> str:
        return f"<Approvals {len(self._open)} open>"

    def observe(self, observer: Observer) -> None:
        """`observer` can reach a person: from now on it makes sense to wait."""
        self._observers.append(observer)

    @contextmanager
    def attended(self, run_id: str, host: Asker | None) -> Iterator[None]:
        """In this block `host`, if there is one, is asked about what the run asks."""
        if host is not None:
            self._hosts[run_id] = host
        try:
            yield
        finally:
            self._hosts.pop(run_id, None)

    def pending(self) -> Sequence[Ask]:
        """What waits for an answer, the oldest first."""
        self._drop_expired()
        return [each.ask for each in self._open.values()]

    def nonce(self, ask_id: str) -> str | None:
        """The secret that stands for an open ask: who shows it has been shown the ask. Of no use once that is over."""
        found = self._open.get(ask_id)
        return found.nonce if found else None

    # --- asking

    async def ask(
        self, ask: Ask, *, until: float | None = None, host: Asker | None = None, tell: Tell | None = None
    ) -> Answer:
        """Wait for the answer of whoever comes first; one that is `missing` says why there is none.

        `until` is a reading of the loop's clock. `host` is asked, too; `tell` hears the ask once it is open, and the
        answer. Cancelling withdraws the ask.
        """
        if (known := self.known(ask)) is not None:
            return known
        host = host or self._hosts.get(ask.run or "")
        if host is None and not self._observers:
            return Answer(ask.id, False, missing="nobody can be asked here")
        if sum(not each.is_left for each in self._open.values()) >= self._most_open:
            return Answer(ask.id, False, missing="too many calls wait for one already")
        loop = asyncio.get_running_loop()
        wait_s = min(self.timeout_s, math.inf if until is None else max(0.0, until - loop.time()))
        opened = self._begin(ask, wait_s)
        try:
            if tell is not None:
                await tell(opened.ask)
            answer = await self._answered(opened, wait_s, host)
            if tell is not None:
                await tell(answer)
            return answer
        finally:
            self._end(opened, Answer(ask.id, False, missing="it was withdrawn"))

    def leave(self, ask: Ask, keep_s: float = PAUSED_S) -> Ask:
        """Open an ask that nobody waits for; the ask with its times. `collect` gives what was answered meanwhile.

        One that was left before a restart is left again as it was: it keeps its times.
        """
        self._drop_expired()
        left = [each for each in self._open.values() if each.is_left]
        if len(left) >= MOST_LEFT:
            self._end(left[0], Answer(left[0].ask.id, False, missing="too many others came after it"))
        left_s = ask.expires_at - time.time() if ask.expires_at else keep_s
        return self._begin(ask, left_s, is_left=True).ask

    def collect(self, ask_id: str) -> Answer | None:
        """The answer to an ask that was left, if anybody gave one. Either way it is not open any more.

        A yes is for one call: it is collected once, however many turns go on from where it was asked for.
        """
        self._drop_expired()
        if (opened := self._open.get(ask_id)) is not None:
            self._end(opened, Answer(ask_id, False, missing="it was withdrawn"))
            return None
        answer = self._over.get(ask_id)
        if answer is None or answer.missing:
            return None
        if answer.approved:
            self._over[ask_id] = Answer(ask_id, False, missing="it was approved, and its call was made")
        return answer

    # --- answering

    def answer(
        self,
        ask_id: str,
        approved: bool,
        *,
        by: str,
        remember: Remember = "once",
        content: Mapping[str, Json] | None = None,
    ) -> Remember:
        """A person's answer; how long it is remembered. `content` is what was filled in where a tool had asked.

        Raises `UnknownApproval`, `Conflict` where it is over, and `BadRequest` for content that does not fit.
        """
        self._drop_expired()
        opened = self._open.get(ask_id)
        if opened is None:
            if (over := self._over.get(ask_id)) is not None:
                raise Conflict(f"{ask_id} is over: {over.missing or _said(over)}", code="approval_over")
            raise UnknownApproval(f"there is no approval {ask_id!r}", code="approval_not_found")
        ask = opened.ask
        if ask.question is None:
            content = None
        elif approved and (problems := problems_of(content or {}, ask.question.get("requestedSchema") or {})):
            raise BadRequest(f"the content does not answer the question: {'; '.join(problems)}", param="content")
        kept = self._keep(ask, approved, remember)
        self._end(opened, Answer(ask_id, approved, content, by))
        return kept

    def known(self, ask: Ask) -> Answer | None:
        """The answer that was given earlier, if one is remembered."""
        if ask.question is not None:
            return None
        subject = subject_of(ask)
        decided = self._sessions.get(ask.session or "", {}).get(subject)
        if decided is None:
            decided = self._remembered.recall(subject)
        return None if decided is None else Answer(ask.id, decided, by="an earlier answer")

    def forget(self, tool: Tool) -> None:
        """What was answered about a tool earlier counts no more: it has changed."""
        self._remembered.forget(tool.server, tool.name)
        for decided in self._sessions.values():
            for subject in [each for each in decided if (each.server, each.tool) == (tool.server, tool.name)]:
                del decided[subject]

    # --- inside

    def _begin(self, ask: Ask, wait_s: float, *, is_left: bool = False) -> _Open:
        now = time.time()
        ask = replace(ask, asked_at=ask.asked_at or now, expires_at=now + wait_s)
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        opened = self._open[ask.id] = _Open(ask, answered, secrets.token_urlsafe(24), is_left)
        self._observed(ask, None)
        return opened

    def _end(self, opened: _Open, answer: Answer) -> None:
        """The first end counts."""
        if opened.answered.done():
            return
        opened.answered.set_result(answer)
        del self._open[answer.ask_id]
        self._over[answer.ask_id] = answer
        while len(self._over) > MOST_OVER:
            self._over.popitem(last=False)
        verdict = answer.missing or ("approved" if answer.approved else "denied")
        told = {"server": opened.ask.server, "tool": opened.ask.tool, "answer": verdict, "by": answer.by or None}
        _log.info("approval", extra={"fields": told})
        self._observed(opened.ask, answer)

    async def _answered(self, opened: _Open, wait_s: float, host: Asker | None) -> Answer:
        asking = asyncio.create_task(self._ask_host(host, opened)) if host is not None else None
        try:
            await asyncio.wait({opened.answered}, timeout=wait_s)
            self._end(opened, Answer(opened.ask.id, False, missing=f"nobody answered within {wait_s:.3g} s"))
            return opened.answered.result()
        finally:
            if asking is not None:
                asking.cancel()
                await asyncio.wait({asking})

    async def _ask_host(self, host: Asker, opened: _Open) -> None:
        """A host that cannot be asked ends the ask only where nobody else could answer. One whose user has closed the
        question ends it for all: whoever pressed that key does not want the call to hang until others have had time."""
        try:
            answer = await host.ask(opened.ask)
        except Exception:
            _log.exception("asking the host about %s failed", opened.ask.name)
            answer = None
        answer = answer or Answer(opened.ask.id, False, missing="the host gave no answer")
        if not answer.missing or answer.dismissed or not self._observers:
            self._end(opened, answer)

    def _drop_expired(self) -> None:
        """Those that wait have a clock of their own; those that were left are looked at when somebody looks."""
        now = time.time()
        for opened in [each for each in self._open.values() if each.is_left and each.ask.expires_at <= now]:
            self._end(opened, Answer(opened.ask.id, False, missing="nobody answered in time"))

    def _observed(self, ask: Ask, answer: Answer | None) -> None:
        for observer in self._observers:
            try:
                observer(ask, answer)
            except Exception:
                _log.exception("a defect of an observer of approvals")

    def _keep(self, ask: Ask, approved: bool, remember: Remember) -> Remember:
        if ask.question is not None:
            return "once"
        if remember == "always":
            return "always" if self._remembered.remember(subject_of(ask), approved) else "once"
        if remember == "conversation" and ask.session:
            self._sessions.setdefault(ask.session, {})[subject_of(ask)] = approved
            self._sessions.move_to_end(ask.session)
            if len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
            return "conversation"
        return "once"


class RunAsker:
    """Asks for one run, and tells it in the run's events. A turn that wants to pause gets `None` for a call."""

    def __init__(self, approvals: Approvals, turn: Turn, emit: Emit) -> None:
        self._approvals = approvals
        self._turn = turn
        self._emit = emit

    async def ask(self, ask: Ask) -> Answer | None:
        turn = self._turn
        ask = replace(ask, run=turn.id, session=turn.state.session, caller=ask.caller or turn.caller.name)
        if turn.on_ask == "pause" and ask.question is None and not ask.under_way:
            if (known := self._approvals.known(ask)) is not None:
                return known
            await self._emit(Asked(self._approvals.leave(ask)))
            return None
        return await self._approvals.ask(ask, until=turn.deadline, tell=self._tell)

    async def _tell(self, said: Ask | Answer) -> None:
        await self._emit(Asked(said) if isinstance(said, Ask) else Answered(said))


def _said(answer: Answer) -> str:
    verdict = "approved" if answer.approved else "denied"
    return f"it was {verdict}" + (f" over {answer.by}" if answer.by else "")
