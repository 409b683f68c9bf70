"""mcp.json: tool servers, in the shapes in which people already have them.

`mcpServers` as Claude Code, Claude Desktop, Cursor, Cline and Windsurf write it, `servers` and `inputs` as VS Code, and
`context_servers` as Zed. The shapes belong to others, so a key that nobody here knows is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from woollama.config.documents import Document
from woollama.config.entries import Entry, entries, place, read_entry, switched_off
from woollama.config.expand import Variables
from woollama.config.inferencers_toml import in_the_clear
from woollama.config.model import ConversationStore, ToolServer
from woollama.config.problems import Finding, Problem, Wrong, did_you_mean
from woollama.config.records import record
from woollama.config.values import database, url

SECTIONS = ("mcpServers", "servers", "context_servers")
STORE = "conversationStore"
KNOWN = frozenset({*SECTIONS, STORE, "inputs", "fabric", "$schema"})
OF_OTHERS = frozenset({"$schema", "description", "gallery", "icon", "name", "source", "version"})
"""What tells people and other programs of a server, and has no effect that anybody could miss here."""
_OLDER_PATH = "/sse"


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
                    problems += entry.problems([Finding("is in two sections of this file: one name, one server")])
                    continue
                here.add(entry.name)
                server = _server_of(entry, variables, problems)
                if server is not None:
                    servers[server.name] = server
    return servers


def read_conversation_store(
    documents: Sequence[Document],
    servers: Mapping[str, ToolServer],
    variables: Variables,
    problems: list[Problem],
) -> ConversationStore | None:
    """The store of the last file that names one, or says `null`: none. A bare name is that of a tool server."""
    store: ConversationStore | None = None
    for document in documents:
        if STORE not in document.data:
            continue
        raw = document.data[STORE]
        try:
            given = variables.expand({"type": "mcp", "server": raw} if isinstance(raw, str) else raw)
            store = None if given is None else _store(given, servers)
        except Wrong as wrong:
            problems += [place(document, (STORE, *each.at), each, STORE) for each in wrong.findings]
    return store


def _store(given: object, servers: Mapping[str, ToolServer]) -> ConversationStore:
    made = record(ConversationStore).read(given)
    needed, useless = {"mcp": ("server", "url"), "http": ("url", "server"), "sql": ("", "server")}[made.type]
    if needed and not getattr(made, needed):
        raise Wrong(Finding(f'of type "{made.type}" needs "{needed}"'))
    if getattr(made, useless):
        raise Wrong(Finding(f'has no effect on a store of type "{made.type}"', (useless,)))
    if made.type == "mcp" and (made.server not in servers or servers[made.server].disabled):
        raise Wrong(Finding(f"names {made.server!r}, and there is no such tool server", ("server",)))
    if made.url:
        (database if made.type == "sql" else url).read(made.url)
    return made


def _unknown_keys(document: Document) -> Iterator[Problem]:
    for key, value in document.data.items():
        if key not in KNOWN:
            yield place(document, (key,), Finding("is no key that is used here", (), _meant(key, value), "warning"))


def _meant(key: str, value: object) -> str:
    if isinstance(value, dict) and value.keys() & {"command", "url", "serverUrl"}:
        return f"a server stands in {SECTIONS[0]}"
    same = [section for section in SECTIONS if section.lower() == key.lower()]
    return f'did you mean "{same[0]}"?' if same else did_you_mean(key, SECTIONS)


def _server_of(entry: Entry, variables: Variables, problems: list[Problem]) -> ToolServer | None:
    if switched_off(entry, problems) or entry.raw.get("enabled") is False:
        return ToolServer(entry.name, disabled=True)
    server = read_entry(ToolServer, entry, variables, problems, ignored=OF_OTHERS, unknown="warning")
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
    if server.url and server.server_url:
        yield Finding('says the same as "url": one of them is too many', ("serverUrl",))
    url = server.url or server.server_url
    if bool(server.command) == bool(url):
        yield Finding('needs either "command" or "url"' + (", not both" if url else ""))
    elif server.type is not None and (server.type == "stdio") != bool(server.command):
        yield Finding(f"does not fit a server with a {'command' if server.command else 'url'}", ("type",))
    if server.type == "sse" and server.era == "modern":
        yield Finding("is not spoken over sse", ("era",), 'did you mean type "http"?')
    of_the_other = ("args", "env", "cwd", "envFile") if url else ("headers", "oauth")
    for key in of_the_other:
        if entry.raw.get(key):
            yield Finding("has no effect on this server", (key,))
    if server.headers and in_the_clear(url):
        where = "url" if server.url else "serverUrl"
        yield Finding("carries credentials without encryption to another machine", (where,), severity="warning")


def _resolved(server: ToolServer, beside: Path) -> ToolServer:
    """With its paths taken from the file's directory, and the variables of its file."""
    env, env_file = dict(server.env), server.env_file
    if env_file:
        env_file = str(beside / Path(env_file).expanduser())
        env = {**_read_env(Path(env_file)), **env}
    cwd = str(beside / Path(server.cwd).expanduser()) if server.cwd else None
    url = server.url or server.server_url
    transport = _transport(server.type, url)
    return replace(server, transport=transport, url=url, env=env, cwd=cwd, env_file=env_file)


def _transport(kind: str | None, url: str) -> Literal["stdio", "http", "sse"]:
    """Many write no type: then an address that ends as those of the older transport do is one."""
    if not url:
        return "stdio"
    older = kind == "sse" or (kind is None and urlsplit(url).path.endswith(_OLDER_PATH))
    return "sse" if older else "http"


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
