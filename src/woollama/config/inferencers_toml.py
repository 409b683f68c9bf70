"""inferencers.toml: who answers, and how to reach them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from woollama.config.documents import Document
from woollama.config.entries import Entry, entries, read_entry, switched_off
from woollama.config.expand import Variables
from woollama.config.model import APIS_WITH_URL, LOOPBACK_FIRST_BYTE_TIMEOUT_S, Inferencer
from woollama.config.problems import Finding, Problem

PORT = "{port}"
_OF_A_COMMAND = ("env", "cwd", "ready_url")
_OF_A_PROCESS = ("start_timeout_s", "idle_s", "swap_group")
_OF_A_REQUEST = ("api_key_env", "headers", "extra_body", "dialects", "keeps_state", "tool_mode", "connect_timeout_s")
"""What has a meaning only where requests are sent, and none for a program that is asked over pipes."""
_OF_A_ROUND = ("dialects", "keeps_state", "tool_mode", "context_tokens")
"""What has a meaning only where each request is one call of a model."""
_KEY_HEADERS = frozenset({"authorization", "x-api-key"})

_SPOKEN: Mapping[str, tuple[str, ...]] = {"anthropic": ("anthropic",), "ollama": ("chat", "ollama")}


def read_inferencers(
    documents: Sequence[Document], variables: Variables, problems: list[Problem]
) -> Mapping[str, Inferencer]:
    inferencers: dict[str, Inferencer] = {}
    for entry in map(_without_superseded, entries("inferencers", documents, problems, by_key=True)):
        if switched_off(entry, problems):
            continue
        inferencer = read_entry(Inferencer, entry, variables, problems)
        if inferencer is None:
            continue
        findings = [*_inconsistencies(inferencer, entry), *_process_inconsistencies(inferencer, entry)]
        problems += entry.problems(findings)
        if all(finding.severity != "error" for finding in findings):
            inferencers[inferencer.name] = _speaking(_patient(_placed(inferencer, entry), entry), entry)
    return inferencers


def _without_superseded(entry: Entry) -> Entry:
    """Without what an earlier file says and a later one rules out: a shipped key, a shipped place."""
    raw = dict(entry.raw)
    told_a_port = PORT in str((raw.get("command"), raw.get("env")))
    rules = (("api_key_env", "auth", raw.get("auth") == "client"), ("base_url", "command", told_a_port))
    for key, by, ruled_out in rules:
        if ruled_out and key in raw and entry.sources.get(key) is not entry.sources.get(by):
            del raw[key]
    return replace(entry, raw=raw)


def _inconsistencies(inferencer: Inferencer, entry: Entry) -> Iterator[Finding]:
    if inferencer.api in APIS_WITH_URL and not inferencer.base_url and not inferencer.command:
        yield Finding('needs "base_url": where it is, or "command": how it is started')
    if inferencer.api not in APIS_WITH_URL and inferencer.base_url:
        yield Finding(f'has no effect with api = "{inferencer.api}"', ("base_url",))
    if (inferencer.api_key_env or inferencer.headers) and in_the_clear(inferencer.base_url):
        yield Finding("carries credentials without encryption to another machine", ("base_url",), severity="warning")
    if inferencer.local and inferencer.base_url and not is_loopback(inferencer.base_url):
        yield Finding("cannot be: its base_url is on another machine", ("local",))
    if inferencer.api == "claude-code":
        for key in _OF_A_REQUEST:
            if key in entry.raw:
                yield Finding('has no effect with api = "claude-code"', (key,))
    if inferencer.api == "managed-agents":
        for key in _OF_A_ROUND:
            if key in entry.raw:
                yield Finding('has no effect with api = "managed-agents"', (key,))
    if inferencer.auth == "client":
        yield from _of_the_callers_key(inferencer)


def _of_the_callers_key(inferencer: Inferencer) -> Iterator[Finding]:
    if inferencer.api not in APIS_WITH_URL:
        yield Finding(f'has no effect with api = "{inferencer.api}"', ("auth",))
    if inferencer.api_key_env:
        yield Finding('cannot be with auth = "client", which sends the caller\'s key instead', ("api_key_env",))
    for name in inferencer.headers:
        if name.lower() in _KEY_HEADERS:
            yield Finding('cannot be with auth = "client", which sends the caller\'s key there', ("headers", name))


def _process_inconsistencies(inferencer: Inferencer, entry: Entry) -> Iterator[Finding]:
    api, command = inferencer.api, inferencer.command
    if command and (api not in APIS_WITH_URL or api == "managed-agents"):
        yield Finding(f'has no effect with api = "{api}"', ("command",))
        return
    if not command:
        keys = _OF_A_COMMAND if api == "local" else (*_OF_A_COMMAND, *_OF_A_PROCESS)
        for key in keys if api != "claude-code" else keys[1:]:
            if entry.raw.get(key):
                yield Finding('has no effect without a "command"', (key,))
        for key in ("base_url", "ready_url"):
            if PORT in (getattr(inferencer, key) or ""):
                yield Finding(f'has {PORT}, which only a "command" gives a value', (key,))
        return
    if not command[0].strip():
        yield Finding("must begin with the program", ("command",))
    told = any(PORT in text for text in (*command, *inferencer.env.values()))
    if PORT in _base_url(inferencer) and not told:
        yield Finding(
            f"is not told its port: write {PORT} where it takes the port, or in env",
            ("command",),
            suggestion="or give base_url the port at which it always listens",
        )
    if told and PORT not in _base_url(inferencer):
        yield Finding(
            f"is told a {PORT}, and base_url is always {inferencer.base_url}",
            ("command",),
            suggestion=f'write base_url = "{_base_url(replace(inferencer, base_url=""))}"',
        )


def _base_url(inferencer: Inferencer) -> str:
    """Where it is; of a command that has no base URL, the usual place at its port."""
    if inferencer.base_url or not inferencer.command:
        return inferencer.base_url
    return f"http://127.0.0.1:{PORT}" + ("/v1" if inferencer.api == "openai" else "")


def _placed(inferencer: Inferencer, entry: Entry) -> Inferencer:
    """With its base URL, and its directory taken from the file's own."""
    home = entry.sources.get("cwd", entry.home).file.parent
    cwd = str(home / Path(inferencer.cwd).expanduser()) if inferencer.cwd else None
    return replace(inferencer, base_url=_base_url(inferencer), cwd=cwd)


def _patient(inferencer: Inferencer, entry: Entry) -> Inferencer:
    """A model on this machine may first have to be loaded, and reads a long prompt slowly."""
    if "first_byte_timeout_s" in entry.raw or (inferencer.base_url and not is_loopback(inferencer.base_url)):
        return inferencer
    return replace(inferencer, first_byte_timeout_s=LOOPBACK_FIRST_BYTE_TIMEOUT_S)


def _speaking(inferencer: Inferencer, entry: Entry) -> Inferencer:
    """Who is spoken to in its own words speaks them."""
    spoken = _SPOKEN.get(inferencer.api)
    return inferencer if spoken is None or "dialects" in entry.raw else replace(inferencer, dialects=spoken)


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def in_the_clear(url: str) -> bool:
    """Whether what is sent to `url` can be read on the network."""
    return url.startswith("http://") and not is_loopback(url)
