"""`[tokens.NAME]` of woollama.toml: what the bearer of a token may use, and where the token itself is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from woollama.config.documents import Document
from woollama.config.entries import entries, read_entry, switched_off
from woollama.config.expand import Variables
from woollama.config.model import Token
from woollama.config.problems import Finding, Problem
from woollama.platform import secret_of

SHORTEST_CHARS = 8
"""What is shorter can be guessed, and cannot be taken out of a text without harm to its words."""


def read_tokens(documents: Sequence[Document], variables: Variables, problems: list[Problem]) -> Mapping[str, Token]:
    """All tokens, those that nobody can present too: their being there shuts the door. Why is told as a problem.

    A value that two tokens have opens what the first of them does.
    """
    # What cannot be read grants nothing, and still it was meant to shut the door.
    written = [document.data.get("tokens") for document in documents]
    tokens = {name: Token(name, (), ()) for section in written if isinstance(section, dict) for name in section}
    owners: dict[str, str] = {}
    for entry in entries("tokens", documents, problems):
        if switched_off(entry, problems):
            del tokens[entry.name]
            continue
        token = tokens[entry.name] = read_entry(Token, entry, variables, problems) or tokens[entry.name]
        value = value_of(token, variables.environ)
        if value is None:
            problems += entry.problems([Finding(_why_not(token, variables.environ))])
        elif value in owners:
            problems += entry.problems([Finding(f"has the same value as the token {owners[value]!r}")])
        else:
            owners[value] = token.name
    return tokens


def value_of(token: Token, environ: Mapping[str, str]) -> str | None:
    """The value, if there is one that will do."""
    value = secret_of(environ, token.variable)
    return value if value is not None and len(value) >= SHORTEST_CHARS else None


def values_of(tokens: Mapping[str, Token], environ: Mapping[str, str]) -> Iterator[str]:
    """The values that there are."""
    yield from filter(None, (value_of(token, environ) for token in tokens.values()))


def _why_not(token: Token, environ: Mapping[str, str]) -> str:
    if secret_of(environ, token.variable) is None:
        return f"needs {token.variable}, which is not set: nobody can present it"
    return f"{token.variable} is shorter than {SHORTEST_CHARS} characters, which is no secret"
