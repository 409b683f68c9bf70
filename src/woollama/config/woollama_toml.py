"""woollama.toml and the environment variables that override it: the daemon itself.

Here every key is an entry of its own: one that cannot be read leaves its default in force and its neighbours alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from woollama.config.documents import Document
from woollama.config.entries import place, section_of
from woollama.config.environment import ENVIRONMENT
from woollama.config.expand import Variables
from woollama.config.model import (
    ApprovalRules,
    CompressionSettings,
    Door,
    Limits,
    McpSettings,
    Price,
    StateSettings,
    Token,
)
from woollama.config.problems import Finding, Problem, Wrong, did_you_mean, dotted
from woollama.config.records import read_record, record, settings_of
from woollama.config.values import written

T = TypeVar("T")
LISTS = frozenset({"allow_hosts", "allow_origins"})
SECTIONS: Mapping[str, type] = {
    "server": Door,
    "limits": Limits,
    "approvals": ApprovalRules,
    "state": StateSettings,
    "compression": CompressionSettings,
    "mcp": McpSettings,
}
TABLES: Mapping[str, type] = {"tokens": Token, "prices": Price}
"""Sections whose keys are names of the user's, each with a table of its own."""


def read_daemon(
    documents: Sequence[Document], variables: Variables, problems: list[Problem]
) -> tuple[Door, Limits, ApprovalRules, StateSettings, CompressionSettings, McpSettings, bool]:
    """How the daemon listens, what it takes, what needs a yes and what is kept; and whether nothing may start on that.

    A wrong variable of the environment makes a start impossible, and so does a rule about approvals that cannot be
    read: without it things would be allowed that the owner wanted to prevent.
    """
    _tell_unknown_sections(documents, problems)
    fatal: list[Problem] = []
    door = _section("server", Door, documents, variables, problems, fatal)
    limits = _section("limits", Limits, documents, variables, problems, fatal)
    approvals = _section("approvals", ApprovalRules, documents, variables, fatal, fatal)
    state = _section("state", StateSettings, documents, variables, problems, fatal)
    compression = _section("compression", CompressionSettings, documents, variables, problems, fatal)
    mcp = _section("mcp", McpSettings, documents, variables, problems, fatal)
    problems += fatal
    return door, limits, approvals, state, compression, mcp, bool(fatal)


def _section(
    name: str,
    cls: type[T],
    documents: Sequence[Document],
    variables: Variables,
    problems: list[Problem],
    fatal: list[Problem],
) -> T:
    raw: dict[str, Any] = {}
    sources: dict[str, Document] = {}
    for document in documents:
        for key, value in section_of(name, document, problems).items():
            raw[key], sources[key] = value, document
    from_environment = {
        key: variable
        for variable, (section, key) in ENVIRONMENT.items()
        if section == name and variables.environ.get(variable)
    }
    for key in list(raw):
        try:
            raw[key] = variables.expand(raw[key])
        except Wrong as wrong:
            del raw[key]
            problems += [place(sources[key], (name, key), finding, dotted((name, key))) for finding in wrong.findings]
    kinds = {key: how.kind for key, (_, how) in settings_of(cls).items()}
    for key, variable in from_environment.items():
        value = variables.environ[variable]
        several = [part.strip() for part in value.split(",") if part.strip()]
        raw[key] = several if key in LISTS else written(kinds[key], value)
    while True:
        made, findings = read_record(cls, raw)
        if made is not None:
            return made
        for finding in findings:
            key = str(finding.at[0])
            raw.pop(key, None)
            if key in from_environment:
                fatal.append(Problem(None, None, from_environment[key], finding.message, finding.suggestion))
            else:
                problems.append(place(sources[key], (name, *finding.at), finding, dotted((name, key))))


def read_prices(documents: Sequence[Document], variables: Variables, problems: list[Problem]) -> Mapping[str, Price]:
    """What tokens cost, by globs over `inferencer/model`."""
    prices: dict[str, Price] = {}
    for document in documents:
        for glob, raw in section_of("prices", document, problems).items():
            path = ("prices", glob)
            try:
                prices[glob] = record(Price).read(variables.expand(raw))
            except Wrong as wrong:
                problems += [place(document, (*path, *each.at), each, dotted(path)) for each in wrong.findings]
    return prices


def _tell_unknown_sections(documents: Sequence[Document], problems: list[Problem]) -> None:
    for document in documents:
        for key in document.data:
            if key not in SECTIONS and key not in TABLES:
                home = [section for section, cls in SECTIONS.items() if key in settings_of(cls)]
                hint = f"it belongs into [{home[0]}]" if home else did_you_mean(key, [*SECTIONS, *TABLES])
                problems.append(place(document, (key,), Finding("is no known section", suggestion=hint), key))
