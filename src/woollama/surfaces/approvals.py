"""`GET /w1/approvals` and `POST /w1/approvals/{id}`: what waits for a person's yes, and the answer.

Who may answer: over the unix socket any process of the user but our own children; over TCP who shows the nonce of the
ask, which is given out with the listing, to pages of allowed origins and to holders of the token.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from woollama.core.approvals import Approvals, Remember
from woollama.domain.errors import BadRequest, Forbidden
from woollama.domain.messages import Ask
from woollama.domain.turns import EVERYTHING, Caller
from woollama.surfaces.bodies import header_of, parse_json, read_json, send_json
from woollama.surfaces.fields import Fields

_MEMBERS = frozenset({"decision", "remember", "content", "nonce"})
_REMEMBER: tuple[Remember, ...] = ("once", "conversation", "always")


class ApprovalRoutes:
    """`may_answer` says of a request whether a program of the owner's can have sent it, and not one of our children.

    `scrub` takes known secrets out of a text.
    """

    def __init__(
        self,
        approvals: Approvals,
        *,
        may_answer: Callable[[AsgiScope], bool],
        scrub: Callable[[str], str] = str,
    ) -> None:
        self._approvals = approvals
        self._may_answer = may_answer
        self._scrub = scrub

    async def listing(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        gives_nonces = self._gets_nonces(scope)
        data = []
        for ask in self._approvals.pending():
            told = shown(ask, self._scrub)
            if gives_nonces:
                told["nonce"] = self._approvals.nonce(ask.id)
            data.append(told)
        await send_json(send, 200, {"data": data})

    async def answer(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """`{"decision": "approve"|"deny", "remember"?, "content"?, "nonce"?}`; what was kept for how long."""
        ask_id = scope["path_params"]["id"]
        body = parse_json(await read_json(scope, receive))
        if unknown := sorted(set(body) - _MEMBERS):
            raise BadRequest(f"an answer has no member {unknown[0]!r}", param=unknown[0])
        fields = Fields(body)
        decision, remember = fields.text("decision"), fields.text("remember") or "once"
        if decision not in ("approve", "deny"):
            raise BadRequest("`decision` must be approve or deny", param="decision")
        if remember not in _REMEMBER:
            raise BadRequest(f"`remember` must be one of {', '.join(_REMEMBER)}", param="remember")
        content = fields.object("content")
        self._check_sender(scope, ask_id, fields.text("nonce") or "")
        caller = scope["state"]["caller"]
        kept = self._approvals.answer(
            ask_id, decision == "approve", by=f"{caller.via} ({caller.name})", remember=remember, content=content
        )
        scope["state"]["span"].note(surface="approvals")
        await send_json(send, 200, {"id": ask_id, "decision": decision, "remember": kept})

    def _check_sender(self, scope: AsgiScope, ask_id: str, nonce: str) -> None:
        caller: Caller = scope["state"]["caller"]
        if caller.scope != EVERYTHING or not self._may_answer(scope):
            raise Forbidden(
                "an answer must come from a program of the owner, and from none that woollama has started itself"
            )
        wanted = self._approvals.nonce(ask_id)
        if caller.via == "unix" or wanted is None:  # of what is over, or never was, anybody may hear that
            return
        if not hmac.compare_digest(nonce.encode(), wanted.encode()):
            raise Forbidden(
                "over TCP an answer needs the `nonce` that the listing gives to a page, or to who has the token",
                param="nonce",
            )

    def _gets_nonces(self, scope: AsgiScope) -> bool:
        """Pages of foreign origins do not get this far; one of our own sends no origin, but says that it is ours."""
        caller: Caller = scope["state"]["caller"]
        if caller.via == "unix" or caller.scope != EVERYTHING:
            return False
        is_page = bool(header_of(scope, b"origin")) or header_of(scope, b"sec-fetch-site") == "same-origin"
        return (is_page or scope["state"].get("by_token", False)) and self._may_answer(scope)


def shown(ask: Ask, scrub: Callable[[str], str] = str) -> dict[str, Any]:
    """An ask as clients see it."""
    return {
        "id": ask.id,
        "kind": "call" if ask.question is None else "question",
        "name": ask.name,
        "server": ask.server,
        "tool": ask.tool,
        "args": scrub(ask.arguments),
        "command_preview": scrub(ask.preview),
        "question": ask.question,
        "annotations": dict(ask.annotations),
        "pin": ask.pin,
        "recipe": ask.recipe,
        "caller": ask.caller,
        "run": ask.run,
        "asked_at": round(ask.asked_at, 3),
        "expires_at": round(ask.expires_at, 3),
    }
