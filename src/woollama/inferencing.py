"""From the entries of inferencers.toml to inferencers: the part of the composition root that knows every `api`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal, assert_never
from urllib.parse import urlsplit

from woollama.config.model import Inferencer as Entry
from woollama.core.route_of import Traits
from woollama.domain.ports import Forwarder, Inferencer, Spawner
from woollama.inferencers.emulated_tools.inferencer import EmulatedTools
from woollama.inferencers.http.endpoint import Endpoint
from woollama.inferencers.http.forwarder import UpstreamForwarder
from woollama.inferencers.http.request import Patience
from woollama.inferencers.http.transport import HttpClient
from woollama.inferencers.ollama.encode import OWN_KEYS as OLLAMA_KEYS
from woollama.inferencers.ollama.inferencer import OllamaInferencer, root_of
from woollama.inferencers.openai.inferencer import OpenAIInferencer
from woollama.inferencers.scripted import ScriptedInferencer
from woollama.platform import data_dir

_RELAYABLE = frozenset({"openai", "anthropic", "ollama"})
"""The APIs with endpoints that a request can be relayed to as it came."""


class Inferencing:
    """All inferencers of a configuration, and the way out for those that requests can be relayed to.

    Keys are read from the environment, or from systemd's credentials, at each call.
    """

    def __init__(self, entries: Mapping[str, Entry], environ: Mapping[str, str], spawner: Spawner) -> None:
        self._entries = entries
        self._environ = environ
        self._spawner = spawner
        self._http = HttpClient()
        self._closing: list[Callable[[], Awaitable[None]]] = [self._http.aclose]
        relayed_to = [self._endpoint(entry, _relay_url(entry)) for entry in entries.values() if entry.api in _RELAYABLE]
        self.forwarder: Forwarder = UpstreamForwarder(self._http, relayed_to)
        self.inferencers: dict[str, Inferencer] = {
            name: self._emulated(entry, self._inferencer(entry)) for name, entry in entries.items()
        }

    def __repr__(self) -> str:
        return f"<Inferencing {', '.join(self.inferencers)}>"

    def traits(self, name: str) -> Traits:
        entry = self._entries[name]
        return Traits(
            dialects=frozenset(entry.dialects) if entry.api in _RELAYABLE else frozenset(),
            keeps_state=entry.keeps_state,
            unserved_keys=OLLAMA_KEYS if entry.api == "ollama" else frozenset(),
            added_keys=frozenset(entry.extra_body),
            emulates_tools=entry.tool_mode == "emulated",
        )

    def discoverable(self, name: str) -> Inferencer | None:
        """The inferencer, if it may be asked for its models: not where its key is missing, it would only refuse."""
        entry = self._entries[name]
        asks = entry.discover and (entry.api_key_env is None or self._key(entry.api_key_env) is not None)
        return self.inferencers[name] if asks else None

    def secrets(self) -> Iterator[str]:
        """What must never be seen in a log or an error."""
        for entry in self._entries.values():
            yield from entry.headers.values()
            if entry.api_key_env and (key := self._key(entry.api_key_env)):
                yield key

    async def close(self) -> None:
        async with AsyncExitStack() as last_first:
            for close in reversed(self._closing):
                last_first.push_async_callback(close)

    def _emulated(self, entry: Entry, inferencer: Inferencer) -> Inferencer:
        return EmulatedTools(inferencer) if entry.tool_mode == "emulated" else inferencer

    def _inferencer(self, entry: Entry) -> Inferencer:
        match entry.api:
            case "openai":
                return OpenAIInferencer(self._endpoint(entry, entry.base_url), self._http)
            case "ollama":
                return OllamaInferencer(self._endpoint(entry, root_of(entry.base_url)), self._http)
            case "anthropic":
                return self._anthropic(entry)
            case "local":
                return self._local(entry)
            case "scripted":
                return ScriptedInferencer(entry.name, models=entry.models)
            case _:
                assert_never(entry.api)

    def _endpoint(self, entry: Entry, base_url: str) -> Endpoint:
        return Endpoint(
            entry.name,
            base_url,
            api_key=self._key_of(entry),
            headers=entry.headers,
            patience=_patience(entry),
            extra_body=entry.extra_body,
            max_tokens_field=_max_tokens_field(base_url),
            **(_messages_headers(base_url) if entry.api == "anthropic" else {}),
        )

    def _anthropic(self, entry: Entry) -> Inferencer:
        from woollama.inferencers.anthropic.inferencer import AnthropicInferencer

        inferencer = AnthropicInferencer(
            entry.name,
            key=self._key_of(entry),
            base_url=entry.base_url,
            headers=entry.headers,
            extra_body=entry.extra_body,
            connect_timeout_s=entry.connect_timeout_s,
            first_byte_timeout_s=entry.first_byte_timeout_s,
            idle_timeout_s=entry.idle_timeout_s,
        )
        self._closing.append(inferencer.aclose)
        return inferencer

    def _local(self, entry: Entry) -> Inferencer:
        from woollama.inferencers.local.inferencer import LocalInferencer
        from woollama.inferencers.local.weights import models_dir

        inferencer = LocalInferencer(
            entry.name,
            self._spawner,
            self._http,
            models_dir(data_dir(self._environ)),
            environ=self._environ,
            context_tokens=entry.context_tokens,
            patience=_patience(entry),
            start_timeout_s=entry.start_timeout_s,
            idle_s=entry.idle_s,
        )
        self._closing.insert(0, inferencer.close)
        return inferencer

    def _key_of(self, entry: Entry) -> Callable[[], str | None]:
        name = entry.api_key_env
        return lambda: self._key(name) if name else None

    def _key(self, name: str) -> str | None:
        if value := self._environ.get(name):
            return value
        directory = self._environ.get("CREDENTIALS_DIRECTORY")
        file = Path(directory, name) if directory else None
        return file.read_text().strip() or None if file and file.is_file() else None


def _relay_url(entry: Entry) -> str:
    """Below which it takes what is relayed to it."""
    return entry.base_url if entry.api == "openai" else f"{root_of(entry.base_url)}/v1"


def _messages_headers(base_url: str) -> dict[str, Any]:
    """Anthropic itself takes the key as a bearer token; others may look where it used to be."""
    own = urlsplit(base_url).hostname == "api.anthropic.com"
    return {
        "key_headers": ("authorization",) if own else ("authorization", "x-api-key"),
        "usual_headers": ((b"anthropic-version", b"2023-06-01"),),
    }


def _patience(entry: Entry) -> Patience:
    return Patience(entry.connect_timeout_s, entry.first_byte_timeout_s, entry.idle_timeout_s)


def _max_tokens_field(base_url: str) -> Literal["max_tokens", "max_completion_tokens"]:
    """OpenAI's own reasoning models refuse the older name, which is all that most others know."""
    host = urlsplit(base_url).hostname or ""
    return "max_completion_tokens" if host == "api.openai.com" or host.endswith(".openai.azure.com") else "max_tokens"
