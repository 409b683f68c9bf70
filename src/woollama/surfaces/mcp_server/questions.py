"""Asking the person at a host: an `Ask` as an elicitation, and what comes back as its `Answer`."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server import ServerRequestContext
from mcp.shared.message import ServerMessageMetadata
from pydantic import ValidationError

from woollama.domain.messages import Answer, Ask

log = logging.getLogger("woollama.mcp")

PATIENCE_S = 300.0
"""How long a person may take."""
YES_OR_NO: dict[str, Any] = {"type": "object", "properties": {}}
"""Nothing to fill in: to accept the form is the yes."""


class HandshakeHost:
    """Asks a host of the handshake era, which takes requests of ours in the middle of its own."""

    def __init__(self, ctx: ServerRequestContext[Any, Any]) -> None:
        self._ctx = ctx

    async def ask(self, ask: Ask) -> Answer:
        try:
            with anyio.fail_after(PATIENCE_S):
                result = await self._ctx.session.send_request(
                    elicitation(ask),
                    types.ElicitResult,
                    metadata=ServerMessageMetadata(related_request_id=self._ctx.request_id),
                )
        except (MCPError, ValidationError, TimeoutError) as error:
            log.info("the host gave no answer about %s.%s: %s", ask.server, ask.tool, error)
            return Answer(ask.id, approved=False)
        return answer_of(ask, result)


def can_ask(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Whether the host shows forms. One that says nothing of modes means forms."""
    capabilities = ctx.session.client_capabilities
    elicits = capabilities.elicitation if capabilities else None
    return elicits is not None and (elicits.form is not None or elicits.url is None)


def elicitation(ask: Ask) -> types.ElicitRequest:
    """The server's name stands beside its question; what could disguise the text is made visible."""
    if ask.question is None:
        form = types.ElicitRequestFormParams(message=_visible(ask.preview), requested_schema=YES_OR_NO)
        return types.ElicitRequest(params=form)
    named = {**ask.question, "message": _visible(f"{ask.server}: {ask.question.get('message', '')}")}
    return types.ElicitRequest.model_validate({"method": "elicitation/create", "params": named}, by_name=False)


def answer_of(ask: Ask, result: types.ElicitResult) -> Answer:
    return Answer(ask.id, result.action == "accept", result.content)


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\u{ord(c):04x}" for c in text)
