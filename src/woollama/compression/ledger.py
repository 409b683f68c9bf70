"""The ledger: what compression saved, and what that cost, by recipe and tool.

Saved are the tokens that a prompt did not have to hold; the cost is what was looked up afterwards. A tool for which the
sum is negative is not left anything out of any more, and the statistics say so.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FEWEST_BLOCKS = 5


@dataclass(slots=True)
class Account:
    blocks: int = 0
    left_out: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    retrievals: int = 0
    tokens_retrieved: int = 0
    took_s: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def net_tokens(self) -> int:
        return self.tokens_in - self.tokens_out - self.tokens_retrieved

    def as_json(self) -> dict[str, Any]:
        return {
            "blocks": self.blocks,
            "left_out": self.left_out,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "tokens_saved": self.tokens_in - self.tokens_out,
            "retrievals": self.retrievals,
            "tokens_retrieved": self.tokens_retrieved,
            "net_tokens": self.net_tokens,
            "milliseconds": round(self.took_s * 1000, 1),
            "reasons": dict(self.reasons.most_common()),
        }


class Ledger:
    """Since the daemon began. May be used from any thread."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, str], Account] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Ledger of {len(self._accounts)} accounts>"

    def compressed(
        self, recipe: str, tool: str, *, before: int, after: int, reason: str, left_out: bool, took_s: float
    ) -> None:
        with self._lock:
            account = self._accounts.setdefault((recipe, tool), Account())
            account.blocks += 1
            account.left_out += left_out
            account.tokens_in += before
            account.tokens_out += after
            account.took_s += took_s
            account.reasons[reason] += 1

    def retrieved(self, recipe: str, tool: str, tokens: int) -> None:
        with self._lock:
            account = self._accounts.setdefault((recipe, tool), Account())
            account.retrievals += 1
            account.tokens_retrieved += tokens

    def is_worthwhile(self, recipe: str, tool: str) -> bool:
        """Whether leaving something out of this tool's results has paid, as far as that is known."""
        account = self._accounts.get((recipe, tool))
        return account is None or account.left_out < FEWEST_BLOCKS or account.net_tokens >= 0

    def as_json(self) -> dict[str, Any]:
        """All accounts, those that saved most first, and their sum."""
        with self._lock:
            accounts = sorted(self._accounts.items(), key=lambda each: -each[1].net_tokens)
            total = _total([account for _, account in accounts])
            return {
                "total": total,
                "data": [
                    {"recipe": recipe, "tool": tool, "switched_off": not self.is_worthwhile(recipe, tool)}
                    | account.as_json()
                    for (recipe, tool), account in accounts
                ],
            }


def _total(accounts: list[Account]) -> Mapping[str, Any]:
    total = Account()
    for account in accounts:
        total.blocks += account.blocks
        total.left_out += account.left_out
        total.tokens_in += account.tokens_in
        total.tokens_out += account.tokens_out
        total.retrievals += account.retrievals
        total.tokens_retrieved += account.tokens_retrieved
        total.took_s += account.took_s
        total.reasons += account.reasons
    return total.as_json()
