"""What tool servers ask a model for (MCP's sampling), answered by the recipe that the owner has chosen for it.

It is a turn like any other, beside the one in whose middle it is asked. A person says yes to it as to a call of a tool
named `sampling/createMessage`: so the owner's rules name it, too, and a trusted server needs no yes. Its answer may
lead to further calls of tools, and these may ask again: only `MOST_DEEP` of such questions may stand one in another.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from woollama.core.approvals import Approvals
from woollama.core.names import OWN_PREFIX
from woollama.core.policy import Rules
from woollama.core.recipes import Recipe
from woollama.core.runs import Runs
from woollama.domain.answers import Answer
from woollama.domain.errors import RouterError
from woollama.domain.events import Failed, Stopped
from woollama.domain.ids import new_id
from woollama.domain.messages import Ask, Audio, Image, Json, Message, Part, Text
from woollama.domain.peers import PeerError
from woollama.domain.ports import Asker, ToolContext
from woollama.domain.tools import Tool
from woollama.domain.turns import Params, Turn
from woollama.domain.visible import visible

METHOD = "sampling/createMessage"
MOST_DEEP = 2
MOST_AT_ONCE = 8
TIMEOUT_S = 300.0
PREVIEW_CHARS = 2000
INVALID_REQUEST, INVALID_PARAMS, INTERNAL_ERROR, REJECTED = -32600, -32602, -32603, -1
"""JSON-RPC's codes, and the one that MCP has for a person's no."""

_STOP_REASONS = {"end": "endTurn", "length": "maxTokens", "stop_sequence": "stopSequence"}

log = logging.getLogger("woollama.sampling")


@dataclass(frozen=True, slots=True)
class SamplingRules:
    """`recipe` answers, unless there is none; `policy` says what is never done and what needs a yes."""

    recipe: Recipe | None
    policy: Rules


class Sampling:
    """Implements `domain.ports.Sampler`. `observers` get the fields of each one's log line, and its caller's label."""

    def __init__(
        self,
        runs: Callable[[], Runs],
        approvals: Approvals,
        rules: Callable[[], SamplingRules],
        scrub: Callable[[str], str] = str,
    ) -> None:
        self._runs = runs
        self._approvals = approvals
        self._rules = rules
        self._scrub = scrub
        self._places: defaultdict[int, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(MOST_AT_ONCE))
        self.observers: list[Callable[[Mapping[str, str | int | float | None], str], None]] = []

    def __repr__(self) -> str:
        recipe = self._rules().recipe
        return f"<Sampling by {recipe.name if recipe else 'nobody'}>"

    async def sample(
        self, server: str, params: Mapping[str, Json], context: ToolContext, asker: Asker | None
    ) -> Mapping[str, Json]:
        rules, depth = self._rules(), context.caller.depth + 1
        if rules.recipe is None:
            raise PeerError(INVALID_REQUEST, "sampling_recipe in [mcp] of woollama.toml names no recipe that there is")
        if depth > MOST_DEEP:
            raise PeerError(
                INVALID_REQUEST,
                f"{MOST_DEEP} tool servers wait for a model already, one inside the other: this goes round in circles",
            )
        turn = Turn(
            id=new_id("turn_"),
            caller=replace(context.caller, depth=depth),
            dialect="chat",
            model=f"{OWN_PREFIX}/{rules.recipe.name}",
            items=tuple(_messages(params)),
            params=_params(params),
        )
        await self._approved(server, params, context, asker, rules)
        async with self._places[depth]:  # one for each depth, or those inside would wait for those around them
            return await self._answered(server, turn)

    async def _answered(self, server: str, turn: Turn) -> Mapping[str, Json]:
        answer, began = Answer(), time.monotonic()
        turn = replace(turn, deadline=asyncio.get_running_loop().time() + TIMEOUT_S)
        try:
            async with self._runs().start(turn) as run:
                async for event in run.watch():
                    answer.see(event)
        except RouterError as error:
            answer.see(Failed(error))
        finally:
            self._tell(server, turn, answer, time.monotonic() - began)
        if isinstance(answer.ending, Failed):
            raise PeerError(INTERNAL_ERROR, self._scrub(answer.ending.error.message))
        reason = answer.ending.reason if isinstance(answer.ending, Stopped) else "end"
        return {
            "role": "assistant",
            "content": {"type": "text", "text": answer.text},
            "model": str(answer.rounds[-1].target) if answer.rounds else turn.model,
            "stopReason": _STOP_REASONS.get(reason, reason),
        }

    def _tell(self, server: str, turn: Turn, answer: Answer, seconds: float) -> None:
        usage, ending = answer.usage, answer.ending
        fields = {
            "server": server,
            "caller": turn.caller.name,
            "model": turn.model,
            "target": str(answer.rounds[-1].target) if answer.rounds else None,
            "tokens_in": usage.total.input_tokens if usage.seen else None,
            "tokens_out": usage.total.output_tokens if usage.seen else None,
            "cost_usd": usage.cost_usd,
            "ms": round(seconds * 1000),
            "error": ending.error.kind if isinstance(ending, Failed) else None if ending else "cancelled",
        }
        log.info("sampling", extra={"fields": fields})
        for observer in self.observers:
            observer(fields, turn.caller.label)

    async def _approved(
        self,
        server: str,
        params: Mapping[str, Json],
        context: ToolContext,
        asker: Asker | None,
        rules: SamplingRules,
    ) -> None:
        """Raises `PeerError` for what is not to be."""
        tool, recipe = Tool(server, METHOD, {}), rules.recipe
        assert recipe is not None
        if rules.policy.denies(tool):
            raise PeerError(REJECTED, "the owner of this machine does not allow it")
        if (need := rules.policy.need(tool, None)) is None:
            return
        ask = Ask(
            id=new_id("ask_"),
            call_id=context.call_id,
            server=server,
            tool=METHOD,
            arguments=json.dumps(params, ensure_ascii=False),
            preview=visible(f"{server} asks your model (recipe {recipe.name}): {_preview(params)}"),
            confirm_by=need.confirm_by,
            caller=context.caller.name,
            recipe=recipe.name,
            tool_digest=tool.digest,
            recipe_digest=recipe.digest,
            under_way=True,
        )
        answer = await (asker or self._approvals).ask(ask)
        if answer is None or answer.missing:
            raise PeerError(REJECTED, f"it needs a person's yes, and {answer.missing if answer else 'nobody answered'}")
        if not answer.approved:
            raise PeerError(REJECTED, "the user has rejected it")


def _params(params: Mapping[str, Json]) -> Params:
    """Which model answers, and what it knows beside the messages, is the recipe's to say."""
    if params.get("tools") or params.get("toolChoice"):
        raise PeerError(INVALID_PARAMS, "tools in sampling are not supported: they were not declared")
    return Params(
        max_tokens=params.get("maxTokens"),
        temperature=params.get("temperature"),
        stop=tuple(params.get("stopSequences") or ()),
    )


def _messages(params: Mapping[str, Json]) -> Iterator[Message]:
    if system := params.get("systemPrompt"):
        yield Message("system", (Text(str(system)),))
    for message in params["messages"]:
        yield Message(message["role"], tuple(map(_part, _blocks(message))))


def _blocks(message: Mapping[str, Json]) -> Sequence[Mapping[str, Json]]:
    content: Any = message["content"]
    return content if isinstance(content, list) else [content]


def _part(block: Mapping[str, Json]) -> Part:
    match block.get("type"):
        case "text":
            return Text(block["text"])
        case "image":
            return Image(f"data:{block['mimeType']};base64,{block['data']}")
        case "audio":
            return Audio(block["data"], str(block["mimeType"]).rpartition("/")[2].removeprefix("x-"))
        case other:
            raise PeerError(INVALID_PARAMS, f"sampling with {other!r} is not supported")


def _preview(params: Mapping[str, Json]) -> str:
    """What the model would be told last."""
    blocks = [block for message in params["messages"] for block in _blocks(message)]
    last = blocks[-1] if blocks else {}
    said = str(last.get("text") or f"[{last.get('type')}]")
    return said if len(said) <= PREVIEW_CHARS else f"{said[:PREVIEW_CHARS]}…"
