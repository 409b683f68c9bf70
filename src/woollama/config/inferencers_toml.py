"""inferencers.toml: who answers, and how to reach them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address
from urllib.parse import urlsplit

from woollama.config.documents import Document
from woollama.config.entries import Entry, entries, read_entry, switched_off
from woollama.config.expand import Variables
from woollama.config.model import APIS_WITH_URL, LOOPBACK_FIRST_BYTE_TIMEOUT_S, NOT_YET, Inferencer
from woollama.config.problems import Finding, Problem

_SPOKEN: Mapping[str, tuple[str, ...]] = {"anthropic": ("anthropic",), "ollama": ("chat", "ollama")}


def read_inferencers(
    documents: Sequence[Document], variables: Variables, problems: list[Problem]
) -> Mapping[str, Inferencer]:
    inferencers: dict[str, Inferencer] = {}
    for entry in entries("inferencers", documents, problems, by_key=True):
        if switched_off(entry, problems):
            continue
        inferencer = read_entry(Inferencer, entry, variables, problems, not_yet=NOT_YET["inferencers"])
        if inferencer is None:
            continue
        findings = list(_inconsistencies(inferencer))
        problems += entry.problems(findings)
        if all(finding.severity != "error" for finding in findings):
            inferencers[inferencer.name] = _speaking(_patient(inferencer, entry), entry)
    return inferencers


def _inconsistencies(inferencer: Inferencer) -> Iterator[Finding]:
    if inferencer.api in APIS_WITH_URL and not inferencer.base_url:
        yield Finding('needs "base_url": where it is')
    if inferencer.api not in APIS_WITH_URL and inferencer.base_url:
        yield Finding(f'has no effect with api = "{inferencer.api}"', ("base_url",))
    if (inferencer.api_key_env or inferencer.headers) and in_the_clear(inferencer.base_url):
        yield Finding("carries credentials without encryption to another machine", ("base_url",), severity="warning")


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
