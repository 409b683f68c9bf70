"""What is on this machine already: tool servers in the settings of other programs, and Ollama."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from woollama.cli.starters import MCP
from woollama.config.documents import Unparsable, has_comments, parse_document, read_document
from woollama.config.mcp_json import SECTIONS
from woollama.config.write import NotWritten, change_file

ASK_TIMEOUT_S = 1.0
OWN_NAME = "woollama"

_PLACES: Mapping[str, tuple[str, ...]] = {
    "": (".claude.json", ".cursor/mcp.json", ".codeium/windsurf/mcp_config.json"),
    "linux": (".config/Claude/claude_desktop_config.json", ".config/Code/User/mcp.json"),
    "darwin": (
        "Library/Application Support/Claude/claude_desktop_config.json",
        "Library/Application Support/Code/User/mcp.json",
    ),
}
"""Below the home directory: where Claude Code, Cursor, Windsurf, Claude Desktop and VS Code have their servers."""


class CannotImport(Exception):
    """`str(error)` says why, and what can be done."""


def importable(environ: Mapping[str, str], platform: str, own: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each file of another program, with the names of its servers that `own` does not have."""
    home = Path(environ.get("HOME") or Path.home())
    known = _servers_in(own)
    for place in (*_PLACES[""], *_PLACES.get(platform, ())):
        if names := [name for name in _servers_in(home / place) if name not in known]:
            yield home / place, names


def import_servers(source: Path, own: Path) -> tuple[list[str], list[str]]:
    """Adds the servers of `source` to `own`: the names that were added, and those that were there.

    Raises `CannotImport`; then nothing was changed.
    """
    try:
        document = read_document(source)
    except Unparsable as error:
        raise CannotImport(f"{source}:{error.line or 1}: {error.message}") from error
    if document is None:
        raise CannotImport(f"there is no file {source}")
    found = _servers_of(document.data)
    if not found:
        raise CannotImport(f"{source} names no tool servers (mcpServers, or servers as VS Code writes them)")
    added: list[str] = []
    kept: list[str] = []

    def change(text: str) -> str:
        added.clear()
        kept.clear()
        data = dict(parse_document(own, text).data)
        there = _servers_of(data)
        kept.extend(name for name in found if name in there)
        added.extend(name for name in found if name not in there)
        if not added:
            return text
        servers = {name: found[name] for name in added}
        if text.strip() and text != MCP and has_comments(text):
            by_hand = json.dumps(servers, indent=2)
            raise CannotImport(f"{own} has comments, which would be lost: put these into its mcpServers\n{by_hand}")
        data["mcpServers"] = {**(data.get("mcpServers") or {}), **servers}
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"

    try:
        change_file(own, change)
    except NotWritten as error:
        raise CannotImport(str(error)) from error
    except Unparsable as error:
        raise CannotImport(f"{own}:{error.line or 1}: {error.message}") from error
    return added, kept


def ollama_models(base_url: str) -> list[str] | None:
    """The models of the Ollama at `base_url`, or `None` if none answers there at once."""
    parts = urlsplit(base_url)
    made = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        with closing(made(parts.netloc, timeout=ASK_TIMEOUT_S)) as connection:
            connection.request("GET", f"{parts.path}/api/tags")
            answer = json.loads(connection.getresponse().read())
        return [str(model["name"]) for model in answer["models"]]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None


def _servers_in(file: Path) -> dict[str, Any]:
    try:
        document = read_document(file)
    except Unparsable:
        return {}
    return {} if document is None else _servers_of(document.data)


def _servers_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """By name; without ourselves, whom other programs are often told to launch."""
    tables = [table for section in SECTIONS if isinstance(table := data.get(section), dict)]
    return {
        name: server
        for table in tables
        for name, server in table.items()
        if isinstance(server, dict) and name != OWN_NAME and not _is_own(server)
    }


def _is_own(server: Mapping[str, Any]) -> bool:
    return Path(str(server.get("command") or "")).name == OWN_NAME
