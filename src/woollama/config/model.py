"""What can be configured: one class for each table of the four files, one field for each key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from woollama.config.oauth import OAuth
from woollama.config.params import param_name, params
from woollama.config.records import record, required, setting, setting_of
from woollama.config.values import (
    address,
    base_url,
    database,
    duration,
    flag,
    list_of,
    map_of,
    ms_or_s,
    number,
    one_of,
    origin,
    ready_url,
    remote_hosts,
    size,
    some_text,
    table,
    table_of,
    text,
    texts,
    tool_globs,
    url,
    variable,
    whole,
)
from woollama.config.values import headers as header_values
from woollama.domain.capabilities import CAPABILITIES
from woollama.domain.turns import Params

APIS_WITH_URL = frozenset({"openai", "anthropic", "ollama", "managed-agents"})
LOOPBACK_FIRST_BYTE_TIMEOUT_S = 600.0
FIRST_BYTE_TIMEOUT_S = 120.0


COMPRESSION_LEVEL = one_of("off", "lossless", "auto", "aggressive")


# --- recipes.toml ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Variable:
    default: str | None = setting(None, text, "the value where none is given; without one a value is required")
    choices: tuple[str, ...] = setting((), list_of(text), "the only values that are accepted")
    description: str = setting("", text, "what it is for")


@dataclass(frozen=True, slots=True)
class WorkedCall:
    """A worked example: asked `ask`, a model should call the tool `call` (`server.tool`) with `arguments`."""

    call: str = required(some_text, "the tool, as server.tool")
    arguments: Mapping[str, Any] = setting_of(dict, table, "what the tool is called with")
    ask: str | None = setting(None, text, "what was asked")


@dataclass(frozen=True, slots=True)
class Recipe:
    """`written` holds the keys that the file sets: over another recipe they win, and the others are that recipe's."""

    name: str
    inferencer: str = required(some_text, "the model that answers, as inferencer/model, or another recipe")
    description: str = setting("", text, "what it is for, for people")
    fallbacks: tuple[str, ...] = setting((), texts, "models that are tried in order when the first cannot answer")
    system: str = setting("", text, "the system text; {{name}} stands for a variable")
    tools: tuple[str, ...] = setting((), tool_globs, "the tools that it may call, as globs over server.tool")
    tool_choice: str = setting("auto", some_text, "auto, none, required (in the first round), or one server.tool")
    examples: tuple[WorkedCall, ...] = setting((), list_of(record(WorkedCall)), "worked calls, shown to the model")
    params: Params = setting_of(Params, params, "settings of the model call, which a request may change")  # noqa: RUF009
    locked: tuple[str, ...] = setting((), list_of(param_name), "the params that a request may not change")
    variables: Mapping[str, Variable] = setting_of(dict, map_of(record(Variable)), "what is known of the variables")
    max_turns: int = setting(16, whole(1), "rounds of the model before it must answer without tools")
    tools_budget_tokens: int = setting(
        0, whole(), "above it the model finds its tools instead of being shown all schemas; unset: that of [mcp]"
    )
    max_parallel_tools: int = setting(8, whole(1), "tool calls of one round that run at once")
    tool_timeout_s: float = setting(120.0, duration(), "how long one tool call may take")
    private: bool = setting(False, flag, "only inferencers that keep everything on this machine may answer")
    confirm: tuple[str, ...] = setting((), tool_globs, "those of its tools that a person is asked about first")
    confirm_by: Literal["owner", "client"] = setting(
        "owner", one_of("owner", "client"), "client: the asking client's own approval counts as that yes"
    )
    compress: Literal["off", "lossless", "auto", "aggressive"] = setting(
        "off", COMPRESSION_LEVEL, "whether results of its tools are made smaller, and how far"
    )
    written: frozenset[str] = frozenset()
    source: Literal["recipe", "fabric"] = "recipe"


@dataclass(frozen=True, slots=True)
class Patterns:
    """A directory in which every `<name>/system.md` is a recipe, as fabric's patterns are."""

    dir: str = required(some_text, "the directory; a relative one is looked for beside the file")
    default_inferencer: str = required(some_text, "the model that answers for them, as inferencer/model, or a recipe")


# --- inferencers.toml ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Inferencer:
    name: str
    api: Literal["openai", "anthropic", "ollama", "claude-code", "managed-agents", "local", "scripted"] = setting(
        "openai",
        one_of("openai", "anthropic", "ollama", "claude-code", "managed-agents", "local", "scripted"),
        "what it speaks",
    )
    base_url: str = setting("", base_url, "where it is; for OpenAI-compatible ones with /v1 or what they have instead")
    api_key_env: str | None = setting(None, variable, "the name of the variable that holds the key, never the key")
    auth: Literal["key", "client"] = setting(
        "key", one_of("key", "client"), "client: it is asked with the key that whoever asks has sent"
    )
    headers: Mapping[str, str] = setting_of(dict, header_values, "sent with every request", secret=True)
    models: tuple[str, ...] = setting((), texts, "listed without asking")
    discover: bool = setting(True, flag, "ask it in the background for what it has")
    model_patterns: tuple[str, ...] = setting(("*",), texts, "globs that found models must fit to be listed")
    extra_body: Mapping[str, Any] = setting_of(dict, table, "added to every request that does not say otherwise")
    dialects: tuple[str, ...] = setting(
        ("chat",),
        list_of(one_of("chat", "responses", "anthropic", "ollama")),
        'what it speaks natively; for api = "anthropic" that alone, for api = "ollama" its own as well',
    )
    keeps_state: bool = setting(False, flag, "it remembers responses itself")
    local: bool = setting(False, flag, "nothing leaves the machine through it")
    context_tokens: int = setting(0, whole(), "the size of its context; 0 where it is not known")
    capabilities: Mapping[str, tuple[str, ...]] = setting_of(
        dict, table_of(CAPABILITIES, texts), "what its models are, as globs over them; undeclared is never refused"
    )
    tool_mode: Literal["native", "emulated"] = setting(
        "native", one_of("native", "emulated"), "emulated: tools through JSON output that a schema constrains"
    )
    connect_timeout_s: float = setting(5.0, duration(), "until there is a connection")
    first_byte_timeout_s: float = setting(
        FIRST_BYTE_TIMEOUT_S, duration(), "until the answer begins; 600 where it is on this machine"
    )
    idle_timeout_s: float = setting(120.0, duration(), "between two pieces of an answer")
    retries: int = setting(2, whole(0, 100), "tries after the first, before an answer has begun")
    max_concurrency: int = setting(0, whole(), "requests at once; 0: as many as there are")
    queue_max: int = setting(64, whole(), "requests that wait for a place")
    queue_timeout_s: float = setting(60.0, duration(), "how long they wait")
    cooldown_s: float = setting(30.0, duration(positive=False), "how long it is tried last after repeated failures")
    command: tuple[str, ...] = setting(
        (), list_of(text), "a server that is started when it is asked; {port} is a free port of this machine"
    )
    env: Mapping[str, str] = setting_of(dict, map_of(text), "its variables, beside a minimal environment", secret=True)
    cwd: str | None = setting(None, some_text, "the directory in which it starts")
    ready_url: str | None = setting(None, ready_url, "what it answers with success once it serves")
    swap_group: str = setting("", text, "of the processes of a group at most one is up")
    start_timeout_s: float = setting(120.0, duration(), "until a model that is started on demand must be ready")
    idle_s: float = setting(600.0, duration(), "when a model that was started on demand is stopped again")


_NEVER_ASKED = "tools that another program never asks about: a yes to what is not read-only, and to no `confirm`"

# --- mcp.json --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolServer:
    """An MCP server: a `command` that speaks over its pipes, or a `url`. Which one it is, `transport` says.

    A `disabled` one has only its name.
    """

    name: str
    transport: Literal["stdio", "http", "sse"] = "stdio"
    command: str = setting("", some_text, "the program that is started")
    args: tuple[str, ...] = setting((), list_of(text), "its arguments")
    env: Mapping[str, str] = setting_of(dict, map_of(text), "its variables, beside a minimal environment", secret=True)
    cwd: str | None = setting(None, some_text, "the directory in which it starts")
    env_file: str | None = setting(None, some_text, "a file with NAME=value lines", key="envFile")
    server_url: str = setting("", url, "its url, as Windsurf calls it", key="serverUrl")
    url: str = setting("", url, "where it listens")
    headers: Mapping[str, str] = setting_of(dict, header_values, "sent with every request", secret=True)
    oauth: OAuth | None = setting(None, record(OAuth), "who we are for `woollama login` where it registers nobody")  # noqa: RUF009
    type: str | None = setting(
        None,
        one_of("stdio", "http", "streamable-http", "streamableHttp", "sse"),
        "how it is spoken to; unset: by its command, or by what its url ends with",
    )
    disabled: bool = setting(False, flag, "not started")
    enabled: bool = setting(True, flag, "the opposite of disabled, as Zed has it")
    timeout_s: float | None = setting(None, ms_or_s, "how long a call may take; 1000 and more is ms", key="timeout")
    disabled_tools: tuple[str, ...] = setting((), texts, "its tools that are not offered", key="disabledTools")
    auto_approve: tuple[str, ...] = setting((), texts, _NEVER_ASKED, key="autoApprove")
    always_allow: tuple[str, ...] = setting((), texts, _NEVER_ASKED, key="alwaysAllow")
    era: Literal["auto", "handshake", "modern"] = setting(
        "auto", one_of("auto", "handshake", "modern"), "the MCP revisions that it speaks"
    )
    prefix: str | None = setting(None, text, "before its tools' names, instead of its own; empty: the bare names")
    trusted: bool = setting(False, flag, "its tools may be called without asking, though they may change things")
    pin: Literal["warn", "quarantine"] | None = setting(
        None,
        one_of("warn", "quarantine"),
        "what becomes of a tool that is not what it was when first seen; unset: warn for a command, else quarantine",
    )
    sharing: Literal["shared", "per-client"] = setting(
        "shared", one_of("shared", "per-client"), "per-client: each client has a connection, and a process, of its own"
    )
    listing: Literal["shared", "per-client"] | None = setting(
        None,
        one_of("shared", "per-client"),
        "per-client: what it shows hosts that can more is found out before they call; unset: per-client for a url",
    )
    confirm: tuple[str, ...] = setting((), texts, "globs over its tools: those that a person is asked about first")
    deny: tuple[str, ...] = setting((), texts, "globs over its tools: those that nobody gets and nobody may call")
    expose: tuple[str, ...] = setting(("*",), texts, "globs over its tools: those that MCP hosts see")


@dataclass(frozen=True, slots=True)
class ConversationStore:
    """Who owns the transcripts of conversations whose model keeps none: a database, a tool server or a service."""

    type: Literal["sql", "mcp", "http"] = required(one_of("sql", "mcp", "http"), "what it is")
    server: str = setting("", some_text, "for mcp: the tool server that keeps them")
    url: str = setting("", some_text, "for http: where it is; for sql: a database of its own, sqlite: or postgresql:")


# --- woollama.toml ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Door:
    """`address` is where TCP listens; unset: 127.0.0.1:11435, or any free port when that one is taken."""

    address: str | None = setting(None, address, "where TCP listens")
    any_local_user: bool = setting(False, flag, "serve other users of this machine on loopback, too")
    allow_hosts: tuple[str, ...] = setting((), texts, "names that a Host header may have, beside loopback")
    allow_origins: tuple[str, ...] = setting((), list_of(origin), "origins whose web pages may use this daemon")
    heartbeat_s: float = setting(15.0, duration(), "how long a stream may be silent", key="heartbeat")
    shutdown_timeout_s: float = setting(
        10.0,
        duration(positive=False),
        "how long an end may take; running turns get all but the last of it",
        key="shutdown_timeout",
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, one upstream or one tool may use up."""

    body_bytes: int = setting(32 * 2**20, size, "the largest request body", key="body")
    media_bytes: int = setting(256 * 2**20, size, "the largest form with files; kept on disk from 1MiB on", key="media")
    output_bytes: int = setting(
        64 * 2**20, size, "what one turn may hold of its answers and results in memory", key="output"
    )
    frame_bytes: int = setting(32 * 2**20, size, "the largest event or line of an upstream's stream", key="frame")
    tool_result_bytes: int = setting(
        16 * 2**20, size, "the largest result of a tool; of a larger one the rest is cut off", key="tool_result"
    )
    runs: int = setting(256, whole(), "turns at once, others wait a while; 0: as many as there are")
    connections: int = setting(512, whole(1), "open connections; idle ones are closed to make room")
    header_bytes: int = setting(64 * 2**10, size, "the largest head of a request")
    headers: int = setting(128, whole(1), "the most headers of a request")
    header_timeout_s: float = setting(
        10.0, duration(), "how long the head of a request may take to come", key="header_timeout"
    )
    body_timeout_s: float = setting(30.0, duration(), "how long a body may stand still on its way", key="body_timeout")
    write_timeout_s: float = setting(
        300.0, duration(), "how long a client may read nothing of its answer", key="write_timeout"
    )


@dataclass(frozen=True, slots=True)
class Token:
    """A client's own token. Its value is in the environment and nowhere else."""

    name: str
    models: tuple[str, ...] = setting(("*",), texts, "globs over inferencer/model, woollama/recipe and aliases")
    tools: tuple[str, ...] = setting(("*",), tool_globs, "globs over server.tool")
    token_env: str | None = setting(None, variable, "the variable with the value, instead of WOOLLAMA_TOKEN_<NAME>")

    @property
    def variable(self) -> str:
        return self.token_env or "WOOLLAMA_TOKEN_" + re.sub(r"[^A-Z0-9]", "_", self.name.upper())


@dataclass(frozen=True, slots=True)
class Price:
    """In US dollars per million tokens. What a cache read or takes costs as much as other input, where not written."""

    input: float = required(number(0), "US dollars per million tokens of input")
    output: float = required(number(0), "US dollars per million tokens of output")
    cache_read: float | None = setting(None, number(0), "the same for input that comes from a cache")
    cache_write: float | None = setting(None, number(0), "the same for input that goes into a cache")


@dataclass(frozen=True, slots=True)
class ApprovalRules:
    """`notify` is a program with its first arguments; a title and a text follow."""

    timeout_s: float = setting(60.0, duration(), "how long a person may take before it is a no", key="timeout")
    confirm: tuple[str, ...] = setting((), tool_globs, "tools of any server that a person is asked about first")
    deny: tuple[str, ...] = setting((), tool_globs, "tools of any server that nobody gets and nobody may call")
    notify: tuple[str, ...] = setting(
        (), texts, "a program that is run for each question: two texts are added, `WOOLLAMA_APPROVAL` holds its id"
    )


@dataclass(frozen=True, slots=True)
class StateSettings:
    url: str = setting("", database, "the database of handles and responses; a file of SQLite where it is not set")
    keep_days: int = setting(30, whole(), "how long responses in no conversation are kept; 0: for ever")
    keep_conversations_days: int = setting(0, whole(), "how long conversations are kept; 0: for ever")


@dataclass(frozen=True, slots=True)
class McpSettings:
    allow_remote_servers: bool | tuple[str, ...] = setting(
        False,
        remote_hosts,
        "whether a request may bring a tool server of its own along (`server_url`), and which hosts",
    )
    tools_budget_tokens: int = setting(
        0, whole(), "for recipes that say nothing of it: above it tools are found instead of shown; 0: never"
    )
    sampling_recipe: str = setting(
        "", text, "the recipe that answers tool servers which ask for a model (sampling); unset: they are refused"
    )


@dataclass(frozen=True, slots=True)
class CompressionSettings:
    """How results of tools are made smaller where a recipe or a request asks for it."""

    enabled: bool = setting(True, flag, "false: nothing is made smaller, whoever asks")
    inject_retrieval_marker: bool = setting(
        True, flag, "false: nothing is left out, because there would be no mark to have it back by"
    )
    use_feedback_hints: bool = setting(True, flag, "what was looked up before stays in line")
    scorer: str = setting("bm25", some_text, "what finds answers: bm25, embedding, hybrid, or your own as module:name")
    min_tokens: int = setting(200, whole(), "results below this are left as they are")
    auto_above_tokens: int = setting(2000, whole(), "auto: above this something may be left out")
    auto_tokens: int = setting(8000, whole(100), "auto: at most about so many are kept of a result")
    aggressive_above_tokens: int = setting(500, whole(), "aggressive: above this something may be left out")
    aggressive_tokens: int = setting(3000, whole(100), "aggressive: at most about so many are kept of a result")
    exclude_tools: tuple[str, ...] = setting((), texts, "globs over tools that are exact, beside reads of files")
    tools: Mapping[str, str] = setting_of(dict, map_of(COMPRESSION_LEVEL), "levels by globs over tools")
    originals_bytes: int = setting(512 * 2**20, size, "how much of what was left out is kept", key="originals")
    keep_s: float = setting(7 * 86400.0, duration(), "how long that is kept after its last use", key="keep")


# --- together --------------------------------------------------------------------------------------------------------


def _none() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Config:
    aliases: Mapping[str, str] = field(default_factory=_none)
    recipes: Mapping[str, Recipe] = field(default_factory=_none)
    inferencers: Mapping[str, Inferencer] = field(default_factory=_none)
    servers: Mapping[str, ToolServer] = field(default_factory=_none)
    door: Door = Door()
    limits: Limits = Limits()
    approvals: ApprovalRules = ApprovalRules()
    state: StateSettings = StateSettings()
    compression: CompressionSettings = CompressionSettings()
    mcp: McpSettings = McpSettings()
    conversation_store: ConversationStore | None = None
    tokens: Mapping[str, Token] = field(default_factory=_none)
    prices: Mapping[str, Price] = field(default_factory=_none)

    def __repr__(self) -> str:
        return (
            f"<Config {len(self.recipes)} recipes, {len(self.aliases)} aliases,"
            f" {len(self.inferencers)} inferencers, {len(self.servers)} tool servers>"
        )
