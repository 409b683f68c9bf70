"""The tables, as the steps that lead to them. A step that was released is never changed; another one follows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_FIRST = (
    """CREATE TABLE instances (
        id TEXT PRIMARY KEY,
        place TEXT NOT NULL,
        beat_at DOUBLE PRECISION NOT NULL)""",
    """CREATE TABLE handles (
        id TEXT PRIMARY KEY,
        key TEXT UNIQUE,
        listed SMALLINT NOT NULL,
        backend TEXT NOT NULL,
        native_id TEXT,
        model TEXT,
        title TEXT,
        metadata TEXT NOT NULL,
        status TEXT NOT NULL,
        length BIGINT NOT NULL,
        created_at DOUBLE PRECISION NOT NULL,
        updated_at DOUBLE PRECISION NOT NULL,
        locked_by TEXT,
        locked_until DOUBLE PRECISION NOT NULL)""",
    "CREATE INDEX handles_in_order ON handles (listed, created_at, id)",
    """CREATE TABLE responses (
        id TEXT PRIMARY KEY,
        handle TEXT,
        parent TEXT,
        backend TEXT NOT NULL,
        model TEXT NOT NULL,
        status TEXT NOT NULL,
        background SMALLINT NOT NULL,
        cancelling SMALLINT NOT NULL,
        instance TEXT,
        body TEXT NOT NULL,
        begins_at BIGINT NOT NULL,
        outputs_at BIGINT NOT NULL,
        ends_at BIGINT NOT NULL,
        frames BYTEA,
        created_at DOUBLE PRECISION NOT NULL)""",
    "CREATE INDEX responses_of_a_handle ON responses (handle)",
    "CREATE INDEX responses_of_an_instance ON responses (instance)",
    """CREATE TABLE items (
        thread TEXT NOT NULL,
        position BIGINT NOT NULL,
        id TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (thread, position))""",
    "CREATE INDEX items_by_id ON items (id)",
)

_TOKENS = (
    "ALTER TABLE handles ADD COLUMN token TEXT",
    "ALTER TABLE responses ADD COLUMN token TEXT",
    "CREATE INDEX handles_by_native_id ON handles (native_id)",
)
"""What was there before is the owner's."""

_PARTS = (
    """CREATE TABLE stream_parts (
        response TEXT NOT NULL,
        begins_at BIGINT NOT NULL,
        ends_at BIGINT NOT NULL,
        frames BYTEA NOT NULL,
        PRIMARY KEY (response, begins_at))""",
    "CREATE INDEX responses_by_status ON responses (status)",
)
"""What streams in the background say is heard on other instances, too; and what runs is found without a long search."""

MIGRATIONS: Sequence[Sequence[str]] = (_FIRST, _TOKENS, _PARTS)


def migrations_after(version: int) -> Iterator[tuple[int, Sequence[str]]]:
    """What a database of this version still lacks, each step with the version that it makes."""
    yield from enumerate(MIGRATIONS[version:], version + 1)


def too_new(version: int) -> str | None:
    """Why a database of this version cannot be used, if that is so."""
    known = len(MIGRATIONS)
    return None if version <= known else f"was made by a newer woollama (schema {version}, this one knows {known})"
