"""What each route is for. A route that has no line here stands in the document all the same, unexplained; a test asks
for its line.
"""

from __future__ import annotations

from collections.abc import Mapping

from woollama.surfaces.openapi.operations import EVENTS, FORM, JSON, Answer, Body, Operation, Schema, answers, ref
from woollama.surfaces.openapi.state import STATE_OPERATIONS

_CHAT = "Chat"
_MEDIA = "Embeddings, images, audio"
_CATALOGUE = "Models and tools"
_PATTERNS = "Patterns"
_OLLAMA = "Ollama"
_MCP = "MCP"
_DAEMON = "The daemon"

_OPAQUE = ref("Opaque")
_STREAMED = (
    "Whole, or with `stream: true` as events; a stream that fails ends with an error event and no success marker."
)
_EXAMPLE = {"model": "woollama/assistant", "messages": [{"role": "user", "content": "What time is it in Tokyo?"}]}


def _streamed(schema: Schema = _OPAQUE) -> Mapping[int, Answer]:
    return {200: Answer(_STREAMED, {JSON: schema, EVENTS: {"type": "string"}})}


def _relayed(what: str, example: Mapping[str, object], kind: str = JSON) -> Operation:
    schema = ref("RelayedRequest" if kind == JSON else "RelayedForm")
    contents = {JSON: _OPAQUE, EVENTS: {"type": "string"}, "*/*": {}}
    return Operation(
        _MEDIA,
        what,
        "Relayed to the inferencer of `model`, whose answer is passed on as it is.",
        Body({kind: schema}, example if kind == JSON else None),
        {200: Answer("The inferencer's answer", contents)},
    )


_LINES: Mapping[int, Answer] = {
    200: Answer(
        "Lines of JSON, the last one with `done: true`; with `stream: false` one object",
        {"application/x-ndjson": {"type": "string"}, JSON: _OPAQUE},
    )
}


def _ollama(
    what: str, example: Mapping[str, object] | None = None, answered: Mapping[int, Answer] | None = None
) -> Operation:
    body = Body({JSON: ref("OllamaRequest")}, example) if example else None
    return Operation(_OLLAMA, what, body=body, answers=answered or answers(_OPAQUE), error="OllamaError")


def _part(description: str, example: str) -> Schema:
    return {"description": description, "example": example}


_SERVER = _part("the tool server's name", "textops")
_MESSAGES = Operation(
    _MCP,
    "Messages of an MCP host",
    "Streamable HTTP, in the revisions with a handshake and in the one without.",
    Body({JSON: ref("JsonRpc")}),
    {
        200: Answer("The answer, whole or as events", {JSON: ref("JsonRpc"), EVENTS: {"type": "string"}}),
        202: Answer("Taken; there is nothing to answer"),
    },
)
_NOTICES = Operation(
    _MCP,
    "Notices to an MCP host, as events",
    answers={200: Answer("A stream for as long as the session lives", {EVENTS: {"type": "string"}})},
)
_FAREWELL = Operation(_MCP, "The end of an MCP session", answers={200: Answer("It is over")})

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("POST", "/v1/chat/completions"): Operation(
        _CHAT,
        "Chat completions",
        "OpenAI's. A recipe's tools are called here, in between; a model without a recipe is relayed.",
        Body({JSON: ref("ChatRequest")}, _EXAMPLE),
        _streamed(),
    ),
    ("POST", "/v1/responses"): Operation(
        _CHAT,
        "Responses",
        "OpenAI's. The calls of a recipe's tools are items of the response.",
        Body({JSON: ref("ResponsesRequest")}, {"model": "woollama/assistant", "input": "What time is it in Tokyo?"}),
        _streamed(),
    ),
    **STATE_OPERATIONS,
    ("POST", "/v1/messages"): Operation(
        _CHAT,
        "Messages",
        "Anthropic's. A recipe's tools are called here, in between.",
        Body({JSON: ref("MessagesRequest")}, _EXAMPLE | {"max_tokens": 1024}),
        _streamed(),
        error="MessagesError",
    ),
    ("POST", "/v1/messages/count_tokens"): Operation(
        _CHAT,
        "How many tokens a message has",
        "Asked of the model's inferencer where that can count, else estimated, rounded up.",
        Body({JSON: ref("MessagesRequest")}, _EXAMPLE),
        answers(ref("TokenCount")),
        error="MessagesError",
    ),
    ("POST", "/v1/completions"): _relayed("Completions of a text", {"model": "ollama/qwen3", "prompt": "Once"}),
    ("POST", "/v1/embeddings"): _relayed("Embeddings", {"model": "ollama/nomic-embed-text", "input": "a text"}),
    ("POST", "/v1/images/generations"): _relayed("An image from words", {"model": "openai/gpt-image-1", "prompt": "A"}),
    ("POST", "/v1/images/edits"): _relayed("An image from an image", {}, FORM),
    ("POST", "/v1/images/variations"): _relayed("Variations of an image", {}, FORM),
    ("POST", "/v1/audio/speech"): _relayed(
        "Speech from a text", {"model": "openai/tts-1", "input": "Hello", "voice": "alloy"}
    ),
    ("POST", "/v1/audio/transcriptions"): _relayed("A text from speech", {}, FORM),
    ("POST", "/v1/audio/translations"): _relayed("An English text from speech", {}, FORM),
    ("POST", "/v1/rerank"): _relayed(
        "Documents in the order of a question", {"model": "vllm/reranker", "query": "a", "documents": ["b"]}
    ),
    ("POST", "/v1/moderations"): _relayed("A verdict on a text", {"model": "openai/omni-moderation", "input": "a"}),
    ("GET", "/v1/models"): Operation(
        _CATALOGUE,
        "Every model and recipe that can be asked for",
        "From memory: it never waits for an inferencer.",
        answers=answers(ref("Models")),
    ),
    ("GET", "/v1/models/{model}"): Operation(
        _CATALOGUE,
        "One model",
        answers=answers(ref("Model")),
        parameters={"model": _part("its name; slashes are part of it", "woollama/demo")},
    ),
    ("GET", "/v1/tools"): Operation(
        _CATALOGUE, "Every tool, and how the tool servers are", answers=answers(ref("Tools"))
    ),
    ("GET", "/w1/servers"): Operation(_CATALOGUE, "How the tool servers are", answers=answers(ref("Servers"))),
    ("GET", "/w1/servers/{name}/trust"): Operation(
        _CATALOGUE,
        "The tools of a server that are not what they were",
        answers=answers(ref("ChangedTools")),
        parameters={"name": _SERVER},
    ),
    ("POST", "/w1/servers/{name}/trust"): Operation(
        _CATALOGUE,
        "Accept tools as they are now",
        "From a program of the owner's that woollama has not started itself; as they were shown, or not at all.",
        Body({JSON: ref("Trust")}, {"tools": {}}),
        answers(ref("Trusted")),
        {"name": _SERVER},
        unix_only=True,
    ),
    ("GET", "/"): Operation(
        _OLLAMA, "A greeting, by which clients know Ollama", answers={200: Answer("It", {"text/plain": {}})}
    ),
    ("GET", "/api/version"): _ollama("The version of Ollama whose API this is"),
    ("GET", "/api/tags"): _ollama("Every model and recipe"),
    ("GET", "/api/ps"): _ollama("The models that are loaded"),
    ("POST", "/api/show"): _ollama("What is known of a model", {"model": "woollama/assistant"}),
    ("POST", "/api/chat"): _ollama("Chat", _EXAMPLE, _LINES),
    ("POST", "/api/generate"): _ollama("An answer to one prompt", {"model": "demo", "prompt": "Hello"}, _LINES),
    ("POST", "/api/embed"): _ollama("Embeddings", {"model": "nomic-embed-text", "input": "a text"}),
    ("POST", "/api/embeddings"): _ollama("One embedding", {"model": "nomic-embed-text", "prompt": "a text"}),
    ("GET", "/w1/patterns"): Operation(_PATTERNS, "Recipes as prompts", answers=answers(ref("Patterns"))),
    ("POST", "/w1/patterns/{name}/render"): Operation(
        _PATTERNS,
        "A prompt with its variables filled in",
        body=Body({JSON: ref("Render")}, {"input": "a text", "variables": {"language": "Deutsch"}}),
        answers=answers(ref("Rendered")),
        parameters={"name": _part("the recipe's name", "demo")},
    ),
    ("POST", "/w1/patterns/{name}/run"): Operation(
        _PATTERNS,
        "A prompt, answered",
        "Answers as chat completions do.",
        Body({JSON: ref("RunPattern")}, {"input": "What time is it in Tokyo?"}),
        _streamed(),
        {"name": _part("the recipe's name", "demo")},
    ),
    **{("POST", path): _MESSAGES for path in ("/mcp", "/mcp/")},
    **{("GET", path): _NOTICES for path in ("/mcp", "/mcp/")},
    **{("DELETE", path): _FAREWELL for path in ("/mcp", "/mcp/")},
    ("GET", "/mcp/pipe"): Operation(
        _MCP,
        "A pipe for `woollama mcp`",
        "The first line names the pipe, every further one is a message to the host.",
        answers={200: Answer("Lines for as long as the pipe is open", {"application/x-ndjson": {"type": "string"}})},
        unix_only=True,
    ),
    ("POST", "/mcp/pipe/{pipe}"): Operation(
        _MCP,
        "A message into a pipe",
        body=Body({JSON: ref("JsonRpc")}),
        answers={202: Answer("It is on its way")},
        parameters={"pipe": _part("the name that the pipe's first line told", "PIPE")},
    ),
    ("GET", "/w1/processes"): Operation(
        _DAEMON, "Every child process, of tool servers and models", answers=answers(ref("Processes"))
    ),
    ("GET", "/w1/status"): Operation(_DAEMON, "How everything is, in one answer", answers=answers(ref("Status"))),
    ("GET", "/w1/approvals"): Operation(_DAEMON, "What waits for a person's yes", answers=answers(ref("Approvals"))),
    ("POST", "/w1/approvals/{id}"): Operation(
        _DAEMON,
        "The answer to what waits",
        "From a program of the owner's that woollama has not started itself; over TCP with the listing's `nonce`.",
        Body({JSON: ref("Decision")}, {"decision": "deny"}),
        answers(ref("Decided")),
        {"id": _part("the id of what waits", "ask_0123456789abcdef01234567")},
    ),
    ("GET", "/w1/events"): Operation(
        _DAEMON,
        "What happens now, as events",
        "Each has a `type`, a time `at` and the `request` that it belongs to. Names, numbers and verdicts, no content.",
        answers={200: Answer("A stream without an end", {EVENTS: {"type": "string"}})},
    ),
    ("GET", "/w1/compression"): Operation(
        _DAEMON, "What compression saved, by recipe and tool", answers=answers(_OPAQUE)
    ),
    ("GET", "/w1/compression/misses"): Operation(
        _DAEMON, "What changed in prompts that a provider may have cached", answers=answers(_OPAQUE)
    ),
    ("GET", "/w1/config"): Operation(_DAEMON, "How the configuration is", answers=answers(ref("Configuration"))),
    ("POST", "/w1/reload"): Operation(
        _DAEMON,
        "Work with what the files say now",
        "For the owner, as a reload may start programs.",
        answers=answers(ref("Reloaded")),
        unix_only=True,
    ),
    ("GET", "/metrics"): Operation(
        _DAEMON, "Metrics for Prometheus", answers={200: Answer("The metrics", {"text/plain": {"type": "string"}})}
    ),
    ("GET", "/healthz"): Operation(_DAEMON, "Whether it is alive", answers=answers(ref("Health"))),
    ("GET", "/readyz"): Operation(
        _DAEMON,
        "Whether it is ready, or what it waits for",
        answers={
            200: Answer("It is ready", {JSON: ref("Readiness")}),
            503: Answer("It still waits", {JSON: ref("Readiness")}),
        },
    ),
    ("GET", "/openapi.json"): Operation(_DAEMON, "This description", answers=answers(_OPAQUE)),
    ("GET", "/docs"): Operation(
        _DAEMON, "This description as a page", answers={200: Answer("The page", {"text/html": {"type": "string"}})}
    ),
}
