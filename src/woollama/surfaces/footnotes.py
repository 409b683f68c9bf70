"""What a client could not know otherwise: the `x_woollama` field in the last object of an answer."""

from __future__ import annotations

from woollama.domain.answers import Answer
from woollama.domain.messages import Json, ToolCall, ToolResult
from woollama.domain.tools import Returned


def footnotes(answer: Answer) -> dict[str, Json]:
    """Rewrites, the calls that we ran, the last round's own usage and what all cost; empty with nothing to tell.

    `{"cost_usd": 0.0012, "rounds": 2, "last_round": {"input_tokens", "output_tokens"}, "tool_calls": [{"name",
    "arguments", "result"}], "rewrites": ["…"]}`, each only where it says something. `arguments` is the model's text,
    `result` what it was told.
    """
    notes: dict[str, Json] = {}
    if answer.rewrites:
        notes["rewrites"] = list(answer.rewrites)
    if (cost_usd := answer.usage.cost_usd) is not None:
        notes["cost_usd"] = cost_usd
    if len(answer.rounds) > 1:
        last = answer.usage.last_round
        notes["rounds"] = len(answer.rounds)
        notes["last_round"] = {"input_tokens": last.input_tokens, "output_tokens": last.output_tokens}
    items = answer.items
    results = {item.call_id: item.outcome for item in items if isinstance(item, ToolResult)}
    if calls := [item for item in items if isinstance(item, ToolCall) and item.runs == "server"]:
        notes["tool_calls"] = [
            {
                "name": call.name,
                "arguments": call.arguments,
                "result": results[call.id].for_model() if call.id in results else None,
                "ok": isinstance(outcome := results.get(call.id), Returned) and not outcome.is_error,
            }
            for call in calls
        ]
    return notes
