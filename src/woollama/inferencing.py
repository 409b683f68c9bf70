"""From the entries of inferencers.toml to inferencers: the part of the composition root that knows every `api`."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, assert_never
from urllib.parse import urlsplit

from woollama.config.masking import HARMLESS_HEADERS
from woollama.config.model import Config
from woollama.config.model import Inferencer as Entry
from woollama.core.route_of import Traits
from woollama.domain.errors import NoKey
from woollama.domain.ports import Forwarder, Inferencer, Spawner
from woollama.domain.sessions import Sessions
from woollama.domain.turns import Target
from woollama.http.request import Patience
from woollama.http.transport import HttpClient
from woollama.inferencers.claude_code.inferencer import ClaudeCodeInferencer
from woollama.inferencers.emulated_tools.inferencer import EmulatedTools
from woollama.inferencers.http.endpoint import Endpoint, no_key
from woollama.inferencers.http.forwarder import UpstreamForwarder
from woollama.inferencers.managed.command import Command, CommandSpec
from woollama.inferencers.managed.forwarder import ManagedForwarder
from woollama.inferencers.managed.inferencer import ManagedInferencer
from woollama.inferencers.managed.model_process import ModelProcess, Served, Tell
from woollama.inferencers.managed.roster import Roster
from woollama.inferencers.ollama.encode import OWN_KEYS as OLLAMA_KEYS
from woollama.inferencers.ollama.inferencer import OllamaInferencer, root_of
from woollama.inferencers.openai.inferencer import OpenAIInferencer
from woollama.inferencers.scripted import ScriptedInferencer
from woollama.platform import data_dir, secret_of, state_dir
from woollama.processes.environment import claude_environment, model_environment

if TYPE_CHECKING:
    from woollama.inferencers.anthropic.sdk import Sdk
    from woollama.inferencers.local.inferencer import LocalInferencer

_SECRET_NAME = re.compile("key|token|secret|pass|auth|credential", re.IGNORECASE)
_RELAYABLE = frozenset({"openai", "anthropic", "ollama"})
"""The APIs with endpoints that a request can be relayed to as it came."""


class Inferencing:
    """All inferencers of a configuration, and the way out for those that requests can be relayed to.

    The processes behind some of them are kept in `roster`, which outlives a configuration. Implements
    `domain.ports.ModelProcesses`. Keys are read from the environment, or from systemd's credentials, at each call.
    """

    def __init__(self, config: Config, environ: Mapping[str, str], spawner: Spawner, roster: Roster) -> None:
        self._entries = entries = config.inferencers
        self._frame_limit_bytes = config.limits.frame_bytes
        self._environ = environ
        self._spawner = spawner
        self._roster = roster
        self._locals: dict[str, LocalInferencer] = {}
        self.sessions: dict[str, Sessions] = {}
        """Of those that keep conversations themselves, by name."""
        self._http = HttpClient()
        self._closing: list[Callable[[], Awaitable[None]]] = [self._http.aclose]
        self._processes = {name: self._process(entry) for name, entry in entries.items() if entry.command}
        self.forwarder: Forwarder = self._forwarder()
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
        asks = (
            entry.discover
            and entry.auth == "key"
            and (entry.api_key_env is None or self._key(entry.api_key_env) is not None)
        )
        return self.inferencers[name] if asks else None

    def process_of(self, target: Target) -> str:
        if (local := self._locals.get(target.inferencer)) is not None:
            return local.process_of(target).name
        return self._processes[target.inferencer].name

    async def make_room(self, swap_group: str, process: str) -> None:
        await self._roster.make_room(swap_group, process)

    def secrets(self) -> Iterator[str]:
        """What must never be seen in a log or an error."""
        for entry in self._entries.values():
            yield from (value for name, value in entry.headers.items() if name.lower() not in HARMLESS_HEADERS)
            yield from (value for name, value in entry.env.items() if _SECRET_NAME.search(name))
            if entry.api_key_env and (key := self._key(entry.api_key_env)):
                yield key

    async def close(self) -> None:
        async with AsyncExitStack() as last_first:
            for close in reversed(self._closing):
                last_first.push_async_callback(close)

    def _emulated(self, entry: Entry, inferencer: Inferencer) -> Inferencer:
        return EmulatedTools(inferencer) if entry.tool_mode == "emulated" else inferencer

    def _forwarder(self) -> Forwarder:
        relayable = [entry for entry in self._entries.values() if entry.api in _RELAYABLE]
        fixed = [self._endpoint(entry, _relay_url(entry, entry.base_url)) for entry in relayable if not entry.command]
        managed = {
            entry.name: (self._processes[entry.name], partial(self._endpoint_at, entry))
            for entry in relayable
            if entry.command
        }
        plain = UpstreamForwarder(self._http, fixed)
        return ManagedForwarder(plain, managed) if managed else plain

    def _endpoint_at(self, entry: Entry, served: Served) -> Endpoint:
        return self._endpoint(entry, _relay_url(entry, served.base_url))

    def _process(self, entry: Entry) -> ModelProcess:
        spec = CommandSpec(
            entry.command,
            entry.base_url,
            _ready_urls(entry),
            {**model_environment(self._environ), **entry.env},
            entry.cwd,
        )

        def make(tell: Tell) -> ModelProcess:
            return ModelProcess(
                entry.name,
                Command(entry.name, spec, self._spawner),
                start_timeout_s=entry.start_timeout_s,
                idle_s=entry.idle_s,
                swap_group=entry.swap_group,
                tell=tell,
            )

        return self._roster.process(entry.name, (spec, entry.start_timeout_s, entry.idle_s, entry.swap_group), make)

    def _inferencer(self, entry: Entry) -> Inferencer:
        if entry.command:
            at = partial(self._speaking_to, entry)
            return ManagedInferencer(entry.name, self._processes[entry.name], lambda served: at(served.base_url))
        return self._speaking_to(entry, entry.base_url)

    def _speaking_to(self, entry: Entry, base_url: str) -> Inferencer:
        match entry.api:
            case "openai":
                return OpenAIInferencer(self._endpoint(entry, base_url), self._http)
            case "ollama":
                return OllamaInferencer(self._endpoint(entry, root_of(base_url)), self._http)
            case "anthropic":
                return self._anthropic(entry, base_url)
            case "claude-code":
                return self._claude_code(entry)
            case "managed-agents":
                return self._managed_agents(entry)
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
            auth=entry.auth,
            headers=entry.headers,
            patience=_patience(entry),
            extra_body=entry.extra_body,
            max_tokens_field=_max_tokens_field(base_url),
            **(_messages_headers(base_url) if entry.api == "anthropic" else {}),
            frame_limit_bytes=self._frame_limit_bytes,
        )

    def _anthropic(self, entry: Entry, base_url: str) -> Inferencer:
        from woollama.inferencers.anthropic.inferencer import AnthropicInferencer

        inferencer = AnthropicInferencer(
            self._sdk(entry, base_url),
            extra_body=entry.extra_body,
            first_byte_timeout_s=entry.first_byte_timeout_s,
            idle_timeout_s=entry.idle_timeout_s,
        )
        self._closing.append(inferencer.aclose)
        return inferencer

    def _managed_agents(self, entry: Entry) -> Inferencer:
        from woollama.inferencers.managed_agents.inferencer import ManagedAgentsInferencer

        inferencer = ManagedAgentsInferencer(
            self._sdk(entry, entry.base_url),
            extra_body=entry.extra_body,
            first_byte_timeout_s=entry.first_byte_timeout_s,
            idle_timeout_s=entry.idle_timeout_s,
        )
        self._closing.append(inferencer.aclose)
        if entry.auth == "key":  # a session that only its client's key opens cannot be looked after
            self.sessions[entry.name] = inferencer
        return inferencer

    def _sdk(self, entry: Entry, base_url: str) -> Sdk:
        from woollama.inferencers.anthropic.sdk import Sdk

        return Sdk(
            entry.name,
            key=self._key_of(entry),
            auth=entry.auth,
            base_url=base_url,
            headers=entry.headers,
            connect_timeout_s=entry.connect_timeout_s,
            silence_s=max(entry.first_byte_timeout_s, entry.idle_timeout_s),
            frame_limit_bytes=self._frame_limit_bytes,
        )

    def _claude_code(self, entry: Entry) -> Inferencer:
        inferencer = ClaudeCodeInferencer(
            entry.name,
            self._spawner,
            state_dir(self._environ) / "claude-code",
            environ=self._environ,
            kept=claude_environment(self._environ),
            env=entry.env,
            first_byte_timeout_s=entry.first_byte_timeout_s,
            idle_timeout_s=entry.idle_timeout_s,
            frame_limit_bytes=self._frame_limit_bytes,
        )
        self._closing.append(inferencer.aclose)
        if entry.tool_mode != "emulated":  # which asks several times in a round, and a session would remember it
            self.sessions[entry.name] = inferencer
        return inferencer

    def _local(self, entry: Entry) -> Inferencer:
        from woollama.inferencers.local.inferencer import LocalInferencer
        from woollama.inferencers.local.weights import models_dir

        inferencer = self._locals[entry.name] = LocalInferencer(
            entry.name,
            self._spawner,
            self._http,
            self._roster,
            models_dir(data_dir(self._environ)),
            environ=model_environment(self._environ),
            context_tokens=entry.context_tokens,
            patience=_patience(entry),
            start_timeout_s=entry.start_timeout_s,
            idle_s=entry.idle_s,
            swap_group=entry.swap_group,
        )
        return inferencer

    def _key_of(self, entry: Entry) -> Callable[[], str | None]:
        variable = entry.api_key_env
        return partial(self._needed_key, entry.name, variable) if variable else no_key

    def _needed_key(self, inferencer: str, variable: str) -> str:
        if key := self._key(variable):
            return key
        raise NoKey(f"{inferencer} needs {variable}, which is not set where the daemon runs", code="no_key")

    def _key(self, name: str) -> str | None:
        return secret_of(self._environ, name)


def _relay_url(entry: Entry, base_url: str) -> str:
    """Below which it takes what is relayed to it."""
    return base_url if entry.api == "openai" else f"{root_of(base_url)}/v1"


def _messages_headers(base_url: str) -> dict[str, Any]:
    """Anthropic itself takes the key as a bearer token; others may look where it used to be."""
    own = urlsplit(base_url).hostname == "api.anthropic.com"
    return {
        "key_headers": ("authorization",) if own else ("authorization", "x-api-key"),
        "usual_headers": ((b"anthropic-version", b"2023-06-01"),),
    }


def _ready_urls(entry: Entry) -> tuple[str, ...]:
    """Where a started process is asked whether it serves: what is configured, or what servers of its kind have."""
    origin = "/".join(entry.base_url.split("/")[:3])
    if entry.ready_url:
        return (origin + entry.ready_url if entry.ready_url.startswith("/") else entry.ready_url,)
    match entry.api:
        case "ollama":
            return (f"{root_of(entry.base_url)}/api/version",)
        case "anthropic":
            return f"{origin}/health", f"{root_of(entry.base_url)}/v1/models"
        case _:
            return f"{origin}/health", f"{entry.base_url}/models"


def _patience(entry: Entry) -> Patience:
    return Patience(entry.connect_timeout_s, entry.first_byte_timeout_s, entry.idle_timeout_s)


def _max_tokens_field(base_url: str) -> Literal["max_tokens", "max_completion_tokens"]:
    """OpenAI's own reasoning models refuse the older name, which is all that most others know."""
    host = urlsplit(base_url).hostname or ""
    return "max_completion_tokens" if host == "api.openai.com" or host.endswith(".openai.azure.com") else "max_tokens"
