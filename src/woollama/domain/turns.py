"""What is asked: one request of a client (a Turn) and one model call inside it (a Call, one round)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any, Literal

from woollama.domain.messages import Answer, Ask, Dialect, Extra, Item, Json, ToolCall, no_extra
from woollama.domain.tools import Function


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a caller can do when a person is needed: take a pause, be asked by elicitation, sample."""

    pause: bool = False
    elicit: bool = False
    sample: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """What a caller may use, as globs over the names of models and over `server.tool`.

    `token` is the name of the client token that says so; without one everything may be used.
    """

    models: tuple[str, ...] = ("*",)
    tools: tuple[str, ...] = ("*",)
    token: str | None = None

    def allows_model(self, known_as: Iterable[str]) -> bool:
        """Whether a model may be used that goes by any of these names."""
        return _fits(known_as, self.models)

    def allows_server(self, name: str) -> bool:
        """Whether any of its tools may be among those that are allowed."""
        return any(fnmatchcase(name, glob.partition(".")[0]) or glob.startswith(f"{name}.") for glob in self.tools)

    def own_key(self, key: str) -> str:
        """The key of a conversation, apart from those of everybody else: names of tokens have no `/`."""
        return key if self.token is None else f"{self.token}/{key}"

    def allows_tool(self, known_as: Iterable[str]) -> bool:
        return _fits(known_as, self.tools)


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as `auth` found out. Goes into every approval, log line and queue.

    `key` is one that the request brought along and that is none of ours: for inferencers that take their callers' keys.
    `depth` counts the tool servers that stand between: each has asked for a model in the middle of a call. `hops`
    counts the woollamas that it came through.
    """

    name: str
    via: Literal["unix", "tcp", "stdio", "internal"]
    uid: int | None = None
    pid: int | None = None
    can: Abilities = Abilities()
    scope: Scope = EVERYTHING
    key: str | None = field(default=None, repr=False, compare=False)
    depth: int = 0
    hops: int = 0

    @property
    def label(self) -> str:
        """Who it is for a metric: of names that clients give themselves there is no end."""
        return self.scope.token or self.via


INTERNAL = Caller("woollama", "internal")


@dataclass(frozen=True, slots=True)
class Target:
    """One model of one inferencer. `str(target)` is its address, `inferencer/model`."""

    inferencer: str
    model: str

    def __str__(self) -> str:
        return f"{self.inferencer}/{self.model}"


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """May, must not, must call a tool, or must call the one named `name` (a wire name)."""

    mode: Literal["auto", "none", "required", "named"] = "auto"
    name: str | None = None


AUTO = ToolChoice("auto")
NO_TOOLS = ToolChoice("none")


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """Plain text, any JSON object, or JSON of one schema."""

    kind: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    schema: Mapping[str, Json] | None = None
    strict: bool | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Params:
    """Settings of a model call that more than one dialect can say; `None` is "as the target likes".

    `max_tokens` bounds the output of one round. `options` holds a local engine's own settings (`num_ctx`).
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: Mapping[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    reasoning_budget_tokens: int | None = None
    verbosity: str | None = None
    parallel_tool_calls: bool | None = None
    user: str | None = None
    metadata: Mapping[str, Json] | None = None
    service_tier: str | None = None
    options: Mapping[str, Json] | None = None

    def given(self) -> Iterator[tuple[str, Any]]:
        """Each setting that is set, by its name."""
        for each in fields(self):
            if (value := getattr(self, each.name)) != each.default:
                yield each.name, value


@dataclass(frozen=True, slots=True)
class StateWish:
    """What the request wants remembered, and what it continues. All unset: a stateless turn."""

    store: bool | None = None
    previous_response_id: str | None = None
    conversation: str | None = None
    key: str | None = None
    background: bool = False

    @property
    def session(self) -> str | None:
        """What an answer "for this conversation" is remembered under."""
        return self.conversation or self.key

    @property
    def wanted(self) -> bool:
        return bool(self.store or self.previous_response_id or self.conversation or self.key or self.background)


@dataclass(frozen=True, slots=True)
class ToolGrant:
    """A request's own wish to use a tool server (`{"type": "mcp", "server_label": …}`): one of ours, or with a `url`
    one that the request brings along, with the headers for it."""

    server: str
    allowed: tuple[str, ...] | None = None
    approval: Json = None
    url: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PausedCall:
    """A call of ours that an earlier turn ended with, its ask, and the answer: `None` is a no, for want of one.

    An answer of the requesting client (`by` is `client`) counts as a yes only where the ask says so, and nobody's does
    where the tool `is_other` than the one that was asked about; then people are asked once more. A no counts from
    whomever it comes.
    """

    call: ToolCall
    ask: Ask
    answer: Answer | None = None
    is_other: bool = False

    @property
    def is_approved(self) -> bool:
        answer = None if self.is_other else self.answer
        return answer is not None and answer.approved and (answer.by != "client" or self.ask.confirm_by == "client")

    @property
    def is_denied(self) -> bool:
        return self.answer is None or not self.answer.approved


@dataclass(frozen=True, slots=True)
class Turn:
    """One request of a client, in no dialect. `deadline` is a monotonic clock reading in seconds.

    `max_tool_calls` bounds the calls that we run for it, over all rounds. `echo` holds fields of the request as they
    came, for a dialect that repeats them in its answer; no target sees them. `recipe` is one whose words, tools and
    settings are wanted on `model`, whatever the recipe's own model is. `resumes` are calls among `items` that were
    paused: they are run or denied before the model is asked. `may_truncate`: if it is too long, its beginning may go.
    `session` is one of its target's own that remembers what was said before; then `items` are only what is new.
    """

    id: str
    caller: Caller
    dialect: Dialect
    model: str
    items: tuple[Item, ...]
    client_tools: tuple[Function, ...] = ()
    tool_grants: tuple[ToolGrant, ...] = ()
    choice: ToolChoice | None = None
    params: Params = Params()
    state: StateWish = StateWish()
    variables: Mapping[str, str] = field(default_factory=dict)
    on_ask: Literal["wait", "pause"] = "wait"
    extra: Extra = field(default_factory=no_extra)
    deadline: float | None = None
    max_tool_calls: int | None = None
    echo: Mapping[str, Json] = field(default_factory=dict)
    may_truncate: bool = False
    recipe: str | None = None
    resumes: tuple[PausedCall, ...] = ()
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One round: everything that an inferencer sees. `key` is the caller's own, `session` as in the turn."""

    target: Target
    items: tuple[Item, ...]
    system: str = ""
    tools: tuple[Function, ...] = ()
    choice: ToolChoice = AUTO
    params: Params = Params()
    dialect: Dialect = "chat"
    extra: Extra = field(default_factory=no_extra)
    key: str | None = field(default=None, repr=False)
    session: str | None = None


def _fits(names: Iterable[str], globs: tuple[str, ...]) -> bool:
    return "*" in globs or any(fnmatchcase(name, glob) for name in names for glob in globs)
