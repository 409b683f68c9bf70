"""The ledger: what compression saved, and what that cost, by recipe and tool.

Saved are the tokens that a prompt did not have to hold; the cost is what was looked up afterwards, and what a provider
had to read anew because a prompt no longer began as before. A tool for which the sum is negative is not left anything
out of any more, and the statistics say so.

The books are kept in an SQLite file and outlive the daemon. Several processes may keep them at once: each adds.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from woollama.compression.database import Database

if TYPE_CHECKING:
    import sqlite3

FEWEST_BLOCKS = 5
MOST_ACCOUNTS = 1000
"""Tools that nobody has called for longest are struck from the books beyond these."""
BYTES_PER_TOKEN = 4
_SCHEMA = """
create table if not exists accounts (
    recipe text not null, tool text not null, entries text not null, latest real not null, primary key (recipe, tool)
);
create table if not exists begun (at real not null);
"""


@dataclass(slots=True)
class Account:
    blocks: int = 0
    left_out: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    retrievals: int = 0
    tokens_retrieved: int = 0
    cache_tokens_lost: int = 0
    took_s: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def net_tokens(self) -> int:
        return self.tokens_in - self.tokens_out - self.tokens_retrieved - self.cache_tokens_lost

    def add(self, other: Account) -> None:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def as_json(self) -> dict[str, Any]:
        return {
            "blocks": self.blocks,
            "left_out": self.left_out,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "tokens_saved": self.tokens_in - self.tokens_out,
            "retrievals": self.retrievals,
            "tokens_retrieved": self.tokens_retrieved,
            "cache_tokens_lost": self.cache_tokens_lost,
            "net_tokens": self.net_tokens,
            "milliseconds": round(self.took_s * 1000, 1),
            "reasons": dict(self.reasons.most_common()),
        }


class Ledger:
    """May be used from any thread. Entries are in memory until `save` writes them; `broken` counts what could not be
    written or read."""

    def __init__(self, path: Path | None = None) -> None:
        self._database = None if path is None else Database(path, _SCHEMA)
        self._lock = threading.Lock()
        self._since = time.time()
        self._unsaved: dict[tuple[str, str], Account] = {}
        self.broken = 0
        self._accounts = self._read()

    def __repr__(self) -> str:
        return f"<Ledger of {len(self._accounts)} accounts>"

    def compressed(
        self, recipe: str, tool: str, *, before: int, after: int, reason: str, left_out: bool, took_s: float
    ) -> None:
        entry = Account(1, int(left_out), before, after, took_s=took_s, reasons=Counter([reason]))
        self._enter(recipe, tool, entry)

    def retrieved(self, recipe: str, tool: str, tokens: int) -> None:
        self._enter(recipe, tool, Account(retrievals=1, tokens_retrieved=tokens))

    def missed(self, recipe: str, lost_bytes: int) -> None:
        """A prompt of the recipe no longer began as the one before. No tool is to blame."""
        self._enter(recipe, "", Account(cache_tokens_lost=lost_bytes // BYTES_PER_TOKEN))

    def is_worthwhile(self, recipe: str, tool: str) -> bool:
        """Whether leaving something out of this tool's results has paid, as far as that is known."""
        account = self._accounts.get((recipe, tool))
        return account is None or account.left_out < FEWEST_BLOCKS or account.net_tokens >= 0

    def as_json(self) -> dict[str, Any]:
        """All accounts, those that saved most first, and their sum. `since` is in seconds of the epoch."""
        with self._lock:
            accounts = sorted(self._accounts.items(), key=lambda each: -each[1].net_tokens)
            return {
                "since": round(self._since, 3),
                "total": _total([account for _, account in accounts]),
                "data": [
                    {"recipe": recipe, "tool": tool, "switched_off": not self.is_worthwhile(recipe, tool)}
                    | account.as_json()
                    for (recipe, tool), account in accounts
                ],
            }

    def save(self) -> None:
        """Writes what was entered since the last time. Blocks for as long as the disk takes, and nobody who enters."""
        import sqlite3

        with self._lock:
            unsaved, self._unsaved = self._unsaved, {}
        if self._database is None or not unsaved:
            return
        try:
            with self._database.used() as connection:
                connection.execute("begin immediate")
                connection.execute("insert into begun select ? where not exists (select 1 from begun)", (self._since,))
                for (recipe, tool), entries in unsaved.items():
                    _add(connection, recipe, tool, entries)
                connection.execute(
                    "delete from accounts where rowid in"
                    " (select rowid from accounts order by latest desc limit -1 offset ?)",
                    (MOST_ACCOUNTS,),
                )
        except (sqlite3.Error, OSError):
            self.broken += 1

    def close(self) -> None:
        self.save()
        if self._database is not None:
            self._database.close()

    def _enter(self, recipe: str, tool: str, entry: Account) -> None:
        with self._lock:
            for accounts in (self._accounts, self._unsaved):
                accounts.setdefault((recipe, tool), Account()).add(entry)

    def _read(self) -> dict[tuple[str, str], Account]:
        import sqlite3

        if self._database is None or not self._database.exists:
            return {}
        try:
            with self._database.used() as connection:
                rows = connection.execute("select recipe, tool, entries from accounts").fetchall()
                (self._since,) = connection.execute("select at from begun").fetchone() or (self._since,)
            return {(recipe, tool): _loaded(entries) for recipe, tool, entries in rows}
        except (sqlite3.Error, OSError, ValueError, TypeError):
            self.broken += 1
            return {}


def _add(connection: sqlite3.Connection, recipe: str, tool: str, entries: Account) -> None:
    """To what is there, which may be of another process."""
    row = connection.execute("select entries from accounts where recipe = ? and tool = ?", (recipe, tool)).fetchone()
    account = _loaded(row[0]) if row else Account()
    account.add(entries)
    told = {each.name: getattr(account, each.name) for each in fields(account)}
    connection.execute(
        "insert or replace into accounts values (?, ?, ?, ?)", (recipe, tool, json.dumps(told), time.time())
    )


def _loaded(entries: str) -> Account:
    """Raises `ValueError` and `TypeError` for what we did not write."""
    told = json.loads(entries)
    return Account(**{**told, "reasons": Counter(told["reasons"])})


def _total(accounts: list[Account]) -> Mapping[str, Any]:
    total = Account()
    for account in accounts:
        total.add(account)
    return total.as_json()
