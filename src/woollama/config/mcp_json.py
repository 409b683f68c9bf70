"""mcp.json: tool servers, in the shapes in which people already have them.

`mcpServers` as Claude Code, Claude Desktop, Cursor and Cline write it, `servers` and `inputs` as VS Code does. The
shapes belong to others, so a key that nobody here knows is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from woollama.config.documents import Document
from woollama.config.entries import Entry, entries, place, read_entry, switched_off
from woollama.config.expand import Variables
from woollama.config.inferencers_toml import in_the_clear
from woollama.config.model import NOT_YET, ToolServer
from woollama.config.problems import Finding, Problem, Wrong

SECTIONS = ("mcpServers", "servers")
KNOWN = frozenset({*SECTIONS, "inputs", "$schema"})
OF_OTHERS = frozenset({"autoApprove", "alwaysAllow"})
"""What another program never asks about. Nothing is asked about here, so these lists have no effect to miss."""


def read_servers(
    documents: Sequence[Document], variables: Variables, problems: list[Problem]
) -> Mapping[str, ToolServer]:
    """The servers by name, switched-off ones included: they are listed, though never started."""
    servers: dict[str, ToolServer] = {}
    for document in documents:
        problems += _unknown_keys(document)
        here: set[str] = set()
        for section in SECTIONS:
            for entry in entries(section, [document], problems):
                servers.pop(entry.name, None)
                if entry.name in here:
                    problems += entry.problems([Finding(f"is also in {SECTIONS[0]}: one name, one server")])
                    continue
                here.add(entry.name)
                server = _server_of(entry, variables, problems)
                if server is not None:
                    servers[server.name] = server
    return servers


def _unknown_keys(document: Document) -> Iterator[Problem]:
    not_yet = NOT_YET["mcp.json"]
    for key, value in document.data.items():
        if key in not_yet:
            if value != not_yet[key]:
                yield place(document, (key,), Finding("is not supported in this version"), key)
        elif key not in KNOWN:
            yield place(document, (key,), Finding("is no key that is used here", severity="warning"))


def _server_of(entry: Entry, variables: Variables, problems: list[Problem]) -> ToolServer | None:
    if switched_off(entry, problems):
        return ToolServer(entry.name, disabled=True)
    server = read_entry(
        ToolServer, entry, variables, problems, ignored=OF_OTHERS, not_yet=NOT_YET["servers"], unknown="warning"
    )
    if server is None:
        return None
    findings = list(_inconsistencies(server, entry))
    try:
        server = _resolved(server, entry.home.file.parent)
    except Wrong as wrong:
        findings += wrong.findings
    problems += entry.problems(findings)
    return None if any(finding.severity == "error" for finding in findings) else server


def _inconsistencies(server: ToolServer, entry: Entry) -> Iterator[Finding]:
    if bool(server.command) == bool(server.url):
        yield Finding('needs either "command" or "url"' + (", not both" if server.url else ""))
    elif server.type is not None and (server.type == "stdio") != bool(server.command):
        yield Finding(f"does not fit a server with a {'command' if server.command else 'url'}", ("type",))
    of_the_other = ("args", "env", "cwd", "envFile") if server.url else ("headers",)
    for key in of_the_other:
        if entry.raw.get(key):
            yield Finding("has no effect on this server", (key,))
    if server.headers and in_the_clear(server.url):
        yield Finding("carries credentials without encryption to another machine", ("url",), severity="warning")


def _resolved(server: ToolServer, beside: Path) -> ToolServer:
    """With its paths taken from the file's directory, and the variables of its file."""
    env, env_file = dict(server.env), server.env_file
    if env_file:
        env_file = str(beside / Path(env_file).expanduser())
        env = {**_read_env(Path(env_file)), **env}
    cwd = str(beside / Path(server.cwd).expanduser()) if server.cwd else None
    return replace(server, transport="http" if server.url else "stdio", env=env, cwd=cwd, env_file=env_file)


def _read_env(file: Path) -> dict[str, str]:
    """The variables in a file of `NAME=value` lines, with comments, `export` and quotes as shells have them."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):  # no text, or a path that no file can have
        raise Wrong(Finding("names a file that cannot be read", ("envFile",))) from None
    pairs = (line.strip().removeprefix("export ").partition("=") for line in lines if not line.lstrip().startswith("#"))
    return {name.strip(): _unquoted(value.strip()) for name, is_pair, value in pairs if is_pair and name.strip()}


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
