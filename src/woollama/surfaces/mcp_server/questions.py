"""Asking the person at a host: an `Ask` as an elicitation, and what comes back as its `Answer`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import mcp_types as types
from mcp.server import ServerRequestContext

from woollama.core.approvals import Approvals
from woollama.domain.messages import Answer, Ask
from woollama.domain.ports import Asker

PATIENCE_S = 300.0
"""How long a host of the stateless era may take to come back with an answer."""
DEAF_HOST_S = 50.0
"""How long others may take to answer for a host that cannot be asked: many give up a call after a minute."""
DISMISSED = "whoever was asked closed the question without an answer"
YES_OR_NO: dict[str, Any] = {"type": "object", "properties": {}}
"""Nothing to fill in: to accept the form is the yes."""


class OwnersHost:
    """A host that is asked only where it `may_answer`: our own children can be hosts, too, and must not say yes."""

    def __init__(self, host: Asker, may_answer: Callable[[], bool]) -> None:
        self._host = host
        self._may_answer = may_answer

    async def ask(self, ask: Ask) -> Answer | None:
        if not self._may_answer():
            return Answer(ask.id, False, missing="the host is a program that woollama has started itself")
        return await self._host.ask(ask)


class HostAsker:
    """Asks everybody who can answer, and among them the host that makes the call, where that can be asked."""

    def __init__(self, approvals: Approvals, host: Asker | None, session: str | None) -> None:
        self._approvals = approvals
        self._host = host
        self._session = session

    async def ask(self, ask: Ask) -> Answer:
        until = None if self._host else asyncio.get_running_loop().time() + DEAF_HOST_S
        return await self._approvals.ask(replace(ask, session=self._session), host=self._host, until=until)


def can_ask(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Whether the host shows forms. One that says nothing of modes means forms."""
    capabilities = ctx.session.client_capabilities
    elicits = capabilities.elicitation if capabilities else None
    return elicits is not None and (elicits.form is not None or elicits.url is None)


def elicitation(ask: Ask) -> types.ElicitRequest:
    if ask.question is None:
        form = types.ElicitRequestFormParams(message=ask.preview, requested_schema=YES_OR_NO)
        return types.ElicitRequest(params=form)
    named = {**ask.question, "message": ask.preview}
    return types.ElicitRequest.model_validate({"method": "elicitation/create", "params": named}, by_name=False)


def answer_of(ask: Ask, result: types.ElicitResult) -> Answer:
    """A cancelled form is neither a yes nor a no: whoever saw it has decided nothing."""
    if result.action == "cancel":
        return Answer(ask.id, False, by="mcp", missing=DISMISSED, dismissed=True)
    return Answer(ask.id, result.action == "accept", result.content, by="mcp")
