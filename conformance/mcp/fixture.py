"""The MCP server that the public conformance suite asks for: `fixture.py stdio` or `fixture.py http PORT`. Both eras.

Its tools, prompts and resources are those that the suite's scenarios name, and do what the scenarios say. Those of the
handshake era ask their client in the middle of a call; those of the stateless era return what they want to know.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import mcp_types as types
from mcp import MCPError
from mcp.server import NotificationOptions, Server, ServerRequestContext
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourceUpdated,
    ToolsListChanged,
)
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPDeprecationWarning
from starlette.applications import Starlette
from starlette.routing import Route

warnings.simplefilter("ignore", MCPDeprecationWarning)

Context = ServerRequestContext[Any, Any]
Result = types.CallToolResult | types.InputRequiredResult
WIRE = os.dup(1)  # the SDK points fd 1 elsewhere while it serves
STRING = {"type": "string"}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA="
SCHEMA_2020 = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": {"$anchor": "addressDef", "type": "object", "properties": {"street": STRING, "city": STRING}}},
    "properties": {
        "name": STRING,
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": STRING,
        "email": STRING,
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
DEFAULTS = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}
OPTIONS = ["option1", "option2", "option3"]
TITLED = [{"const": f"value{n}", "title": title} for n, title in enumerate(("First", "Second", "Third"), 1)]
ENUMS = {
    "untitledSingle": {"type": "string", "enum": OPTIONS},
    "titledSingle": {"type": "string", "oneOf": TITLED},
    "legacyEnum": {
        "type": "string",
        "enum": ["opt1", "opt2", "opt3"],
        "enumNames": ["Option One", "Option Two", "Option Three"],
    },
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": OPTIONS}},
    "titledMulti": {"type": "array", "items": {"anyOf": TITLED}},
}

bus = InMemorySubscriptionBus()


def text(said: str, **more: Any) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=said)], **more)


def image() -> types.ImageContent:
    return types.ImageContent(data=PNG, mime_type="image/png")


def embedded(uri: str, mime_type: str, content: str) -> types.EmbeddedResource:
    return types.EmbeddedResource(resource=types.TextResourceContents(uri=uri, mime_type=mime_type, text=content))


def form(message: str, required: list[str] | None = None, **properties: Any) -> types.ElicitRequest:
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
    }
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))


def sampling(prompt: str, max_tokens: int = 100) -> types.CreateMessageRequest:
    message = types.SamplingMessage(role="user", content=types.TextContent(text=prompt))
    return types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(messages=[message], max_tokens=max_tokens)
    )


# --- tools that answer at once


async def logging(ctx: Context, _: types.CallToolRequestParams) -> Result:
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.session.send_log_message("info", line, related_request_id=ctx.request_id)
        await asyncio.sleep(0.05)
    return text("logged three times")


async def progress(ctx: Context, _: types.CallToolRequestParams) -> Result:
    for done in (0, 50, 100):
        await ctx.session.report_progress(done, 100)
        await asyncio.sleep(0.05)
    return text("went all the way")


async def reconnection(ctx: Context, _: types.CallToolRequestParams) -> Result:
    if ctx.close_sse_stream is not None:
        await ctx.close_sse_stream()
        await asyncio.sleep(0.1)
    return text("the stream was closed, and opened anew")


async def missing_capability(ctx: Context, _: types.CallToolRequestParams) -> Result:
    capabilities = ctx.session.client_capabilities
    if capabilities is None or capabilities.sampling is None:
        data: dict[str, Any] = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, "this tool needs sampling", data)
    return text("you can sample")


async def tool_change(ctx: Context, _: types.CallToolRequestParams) -> Result:
    await bus.publish(ToolsListChanged())
    await ctx.session.send_tool_list_changed()
    return text("told")


async def prompt_change(ctx: Context, _: types.CallToolRequestParams) -> Result:
    await bus.publish(PromptsListChanged())
    await ctx.session.send_prompt_list_changed()
    return text("told")


async def resource_change(ctx: Context, _: types.CallToolRequestParams) -> Result:
    uri = "test://watched-resource"
    await bus.publish(ResourceUpdated(uri=uri))
    for session in subscribers:
        await session.send_resource_updated(uri)
    return text("told")


async def meta(ctx: Context, _: types.CallToolRequestParams) -> Result:
    return text(json.dumps(dict(ctx.meta or {}), sort_keys=True, default=str))


# --- tools that ask in the middle of a call


async def test_sampling(ctx: Context, params: types.CallToolRequestParams) -> Result:
    asked = sampling((params.arguments or {})["prompt"]).params
    said = await ctx.session.create_message(
        asked.messages, max_tokens=asked.max_tokens, related_request_id=ctx.request_id
    )
    return text(f"LLM response: {getattr(said.content, 'text', said.content)}")


async def elicited(ctx: Context, request: types.ElicitRequest, begin: str) -> Result:
    assert isinstance(request.params, types.ElicitRequestFormParams)
    answer = await ctx.session.elicit_form(
        request.params.message, request.params.requested_schema, related_request_id=ctx.request_id
    )
    return text(f"{begin}: action={answer.action}, content={json.dumps(answer.content or {})}")


async def elicitation(ctx: Context, params: types.CallToolRequestParams) -> Result:
    message = (params.arguments or {})["message"]
    return await elicited(ctx, form(message, username=STRING, email=STRING), "User response")


async def defaults(ctx: Context, _: types.CallToolRequestParams) -> Result:
    return await elicited(ctx, form("Some defaults", [], **DEFAULTS), "Elicitation completed")


async def enums(ctx: Context, _: types.CallToolRequestParams) -> Result:
    return await elicited(ctx, form("Some choices", [], **ENUMS), "Elicitation completed")


# --- tools that return what they want to know

NAME = form("What is your name?", name=STRING)
CONFIRM = form("Please confirm", ok={"type": "boolean"})


def wanting(
    said: str, state: str | None = None, **wanted: types.InputRequest
) -> Callable[[Context, types.CallToolRequestParams], Awaitable[Result]]:
    """A tool that wants all of these, and says so again until it has them."""

    async def answer(_: Context, params: types.CallToolRequestParams) -> Result:
        given = params.input_responses or {}
        missing = {key: request for key, request in wanted.items() if key not in given}
        if missing:
            return types.InputRequiredResult(input_requests=missing, request_state=state)
        if state is not None and params.request_state != state:
            raise MCPError(types.INVALID_PARAMS, "not the state that was given out")
        return text(f"{said}: {', '.join(types.ElicitResult.__name__ for _ in given)}")

    return answer


async def multi_round(_: Context, params: types.CallToolRequestParams) -> Result:
    if params.request_state is None:
        request = form("Step 1: What is your name?", name=STRING)
        return types.InputRequiredResult(input_requests={"step1": request}, request_state="round 1")
    if params.request_state == "round 1":
        request = form("Step 2: What is your favorite color?", color=STRING)
        return types.InputRequiredResult(input_requests={"step2": request}, request_state="round 2")
    return text("that is all")


async def capabilities(ctx: Context, params: types.CallToolRequestParams) -> Result:
    declared = ctx.session.client_capabilities or types.ClientCapabilities()
    if params.input_responses:
        return text("thank you")
    wanted: dict[str, types.InputRequest] = {}
    if declared.elicitation is not None:
        wanted["name"] = NAME
    if declared.sampling is not None:
        wanted["capital"] = sampling("What is the capital of France?")
    return types.InputRequiredResult(input_requests=wanted) if wanted else text("you can do nothing")


async def wanted_by_prompt(params: types.GetPromptRequestParams) -> types.GetPromptResult | types.InputRequiredResult:
    if "user_context" not in (params.input_responses or {}):
        request = form("What context should the prompt use?", context=STRING)
        return types.InputRequiredResult(input_requests={"user_context": request})
    return prompt_of(types.TextContent(text="With your context"))


Tool = Callable[[Context, types.CallToolRequestParams], Awaitable[Result]]


def saying(result: types.CallToolResult) -> Tool:
    async def say(_: Context, __: types.CallToolRequestParams) -> Result:
        return result

    return say


EMBEDDED = embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")
MIXED = embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
ROOTS = types.ListRootsRequest(params=types.RequestParams())

TOOLS: dict[str, tuple[Tool, dict[str, Any]]] = {
    "test_simple_text": (saying(text("This is a simple text response for testing.")), {}),
    "test_image_content": (saying(types.CallToolResult(content=[image()])), {}),
    "test_audio_content": (
        saying(types.CallToolResult(content=[types.AudioContent(data=WAV, mime_type="audio/wav")])),
        {},
    ),
    "test_embedded_resource": (saying(types.CallToolResult(content=[EMBEDDED])), {}),
    "test_multiple_content_types": (
        saying(types.CallToolResult(content=[types.TextContent(text="Multiple content types test:"), image(), MIXED])),
        {},
    ),
    "test_tool_with_logging": (logging, {}),
    "test_logging_tool": (logging, {}),
    "test_streaming_elicitation": (wanting("Hello", user_name=NAME), {}),
    "test_tool_with_progress": (progress, {}),
    "test_error_handling": (
        saying(text("This tool intentionally returns an error for testing", is_error=True)),
        {},
    ),
    "test_sampling": (test_sampling, {"prompt": STRING}),
    "test_elicitation": (elicitation, {"message": STRING}),
    "test_elicitation_sep1034_defaults": (defaults, {}),
    "test_elicitation_sep1330_enums": (enums, {}),
    "test_reconnection": (reconnection, {}),
    "test_missing_capability": (missing_capability, {}),
    "test_x_mcp_header": (saying(text("the header fits")), {"region": {**STRING, "x-mcp-header": "Region"}}),
    "test_trigger_tool_change": (tool_change, {}),
    "test_trigger_prompt_change": (prompt_change, {}),
    "test_trigger_resource_change": (resource_change, {}),
    "test_meta": (meta, {}),
    "test_input_required_result_elicitation": (wanting("Hello", user_name=NAME), {}),
    "test_input_required_result_sampling": (
        wanting("The answer", capital_question=sampling("What is the capital of France?")),
        {},
    ),
    "test_input_required_result_list_roots": (wanting("The roots", client_roots=ROOTS), {}),
    "test_input_required_result_request_state": (wanting("state-ok", "the state", confirm=CONFIRM), {}),
    "test_input_required_result_tampered_state": (wanting("state-ok", "the state", confirm=CONFIRM), {}),
    "test_input_required_result_multiple_inputs": (
        wanting(
            "All of it",
            "the state",
            user_name=NAME,
            greeting=sampling("Generate a greeting", 50),
            client_roots=ROOTS,
        ),
        {},
    ),
    "test_input_required_result_multi_round": (multi_round, {}),
    "test_input_required_result_capabilities": (capabilities, {}),
}


def described(name: str, properties: dict[str, Any]) -> types.Tool:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return types.Tool(name=name, description=f"The tool {name}", input_schema=schema)


LISTED = [
    *(described(name, properties) for name, (_, properties) in TOOLS.items()),
    types.Tool(
        name="json_schema_2020_12_tool",
        description="Tool with JSON Schema 2020-12 features",
        input_schema=SCHEMA_2020,
    ),
]


async def list_tools(_: Context, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    return types.ListToolsResult(tools=LISTED, ttl_ms=0, cache_scope="private")


async def call_tool(ctx: Context, params: types.CallToolRequestParams) -> Result:
    if params.name == "json_schema_2020_12_tool":
        return text("it fits")
    if params.name not in TOOLS:
        raise MCPError(types.INVALID_PARAMS, f"there is no tool {params.name}")
    return await TOOLS[params.name][0](ctx, params)


# --- prompts


def prompt_of(*contents: types.ContentBlock) -> types.GetPromptResult:
    return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=each) for each in contents])


PROMPTS = {
    "test_simple_prompt": (),
    "test_prompt_with_arguments": ("arg1", "arg2"),
    "test_prompt_with_embedded_resource": ("resourceUri",),
    "test_prompt_with_image": (),
    "test_input_required_result_prompt": (),
}


async def list_prompts(_: Context, __: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
    listed = [
        types.Prompt(
            name=name,
            description=f"The prompt {name}",
            arguments=[types.PromptArgument(name=each, required=True) for each in arguments],
        )
        for name, arguments in PROMPTS.items()
    ]
    return types.ListPromptsResult(prompts=listed, ttl_ms=0, cache_scope="private")


async def get_prompt(
    _: Context, params: types.GetPromptRequestParams
) -> types.GetPromptResult | types.InputRequiredResult:
    given = params.arguments or {}
    match params.name:
        case "test_simple_prompt":
            return prompt_of(types.TextContent(text="This is a simple prompt for testing."))
        case "test_prompt_with_arguments":
            words = f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'"
            return prompt_of(types.TextContent(text=words))
        case "test_prompt_with_embedded_resource":
            resource = embedded(given["resourceUri"], "text/plain", "Embedded resource content for testing.")
            return prompt_of(resource, types.TextContent(text="Please process the embedded resource above."))
        case "test_prompt_with_image":
            return prompt_of(image(), types.TextContent(text="Please analyze the image above."))
        case "test_input_required_result_prompt":
            return await wanted_by_prompt(params)
    raise MCPError(types.INVALID_PARAMS, f"there is no prompt {params.name}")


# --- resources

RESOURCES = {
    "test://static-text": "text/plain",
    "test://static-binary": "image/png",
    "test://watched-resource": "text/plain",
}
subscribers: list[Any] = []


async def list_resources(_: Context, __: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
    listed = [types.Resource(uri=uri, name=uri.split("/")[-1], mime_type=kind) for uri, kind in RESOURCES.items()]
    return types.ListResourcesResult(resources=listed, ttl_ms=0, cache_scope="private")


async def list_templates(_: Context, __: types.PaginatedRequestParams | None) -> types.ListResourceTemplatesResult:
    template = types.ResourceTemplate(
        uri_template="test://template/{id}/data", name="template", mime_type="application/json"
    )
    return types.ListResourceTemplatesResult(resource_templates=[template], ttl_ms=0, cache_scope="private")


async def read_resource(ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    uri = str(params.uri)
    contents: types.TextResourceContents | types.BlobResourceContents
    if uri == "test://static-text":
        contents = types.TextResourceContents(uri=uri, mime_type="text/plain", text="The content of the text.")
    elif uri == "test://static-binary":
        contents = types.BlobResourceContents(uri=uri, mime_type="image/png", blob=PNG)
    elif uri == "test://watched-resource":
        contents = types.TextResourceContents(uri=uri, mime_type="text/plain", text="Watched.")
    elif uri.startswith("test://template/") and uri.endswith("/data"):
        number = uri.split("/")[3]
        data = {"id": number, "templateTest": True, "data": f"Data for ID: {number}"}
        contents = types.TextResourceContents(uri=uri, mime_type="application/json", text=json.dumps(data))
    else:
        raise MCPError(types.INVALID_PARAMS, f"there is no resource {uri}", {"uri": uri})
    return types.ReadResourceResult(contents=[contents], ttl_ms=0, cache_scope="private")


async def subscribe(ctx: Context, _: types.SubscribeRequestParams) -> types.EmptyResult:
    connection = ctx.session._connection
    if connection not in subscribers:
        subscribers.append(connection)
    return types.EmptyResult()


async def unsubscribe(ctx: Context, _: types.UnsubscribeRequestParams) -> types.EmptyResult:
    connection = ctx.session._connection
    if connection in subscribers:
        subscribers.remove(connection)
    return types.EmptyResult()


async def complete(_: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
    values = [word for word in ("paris", "park", "party") if word.startswith(params.argument.value)]
    return types.CompleteResult(completion=types.Completion(values=values, total=len(values), has_more=False))


async def set_level(_: Context, __: types.SetLevelRequestParams) -> types.EmptyResult:
    return types.EmptyResult()


class Remembered(EventStore):
    """What a stream said, so that a client can come back for the rest."""

    def __init__(self) -> None:
        self._events: list[tuple[str, Any]] = []

    async def store_event(self, stream_id: str, message: Any) -> str:
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id: str, send_callback: Any) -> str | None:
        if not last_event_id.isdigit() or not 0 < int(last_event_id) <= len(self._events):
            return None
        stream = self._events[int(last_event_id) - 1][0]
        for number, (stream_id, message) in enumerate(self._events, 1):
            if number > int(last_event_id) and stream_id == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


class SessionsApart(StreamableHTTPSessionManager):
    """Each session has a memory of its own: streams are named by request ids, which are alike in all sessions."""

    @property
    def event_store(self) -> EventStore | None:
        return Remembered()

    @event_store.setter
    def event_store(self, store: EventStore | None) -> None:
        """The SDK's constructor sets what it was given, which is none."""


class Fixture(Server[Any]):
    def create_initialization_options(self, *given: Any, **named: Any) -> Any:
        if not given and not named:
            given = (NotificationOptions(True, True, True),)
        return super().create_initialization_options(*given, **named)


def server() -> Server[Any]:
    made = Fixture(
        "conformance-fixture",
        version="1.0",
        get_tool_input_schema=lambda name: next((each.input_schema for each in LISTED if each.name == name), None),
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
        on_subscribe_resource=subscribe,
        on_unsubscribe_resource=unsubscribe,
        on_completion=complete,
        on_set_logging_level=set_level,
        on_subscriptions_listen=ListenHandler(bus),
    )
    security = RequestStateSecurity.ephemeral(ttl=300)
    made.middleware.append(RequestStateBoundary(security, default_audience="conformance-fixture"))
    return made


async def serve_stdio() -> None:
    serving = server()
    async with stdio_server() as (read, write):
        await serving.run(read, write, serving.create_initialization_options())


def serve_http(port: int) -> None:
    import uvicorn

    class Announced(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            os.write(WIRE, b"serving\n")

    own_names = [f"{host}:*" for host in ("127.0.0.1", "localhost")]
    security = TransportSecuritySettings(
        allowed_hosts=own_names, allowed_origins=[f"http://{name}" for name in own_names]
    )
    manager = SessionsApart(server(), security_settings=security, retry_interval=500)
    app: Any = Starlette(routes=[Route("/mcp", StreamableHTTPASGIApp(manager))], lifespan=lambda _: manager.run())
    Announced(uvicorn.Config(app, port=port, http="h11", log_level="warning", timeout_graceful_shutdown=1)).run()


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        asyncio.run(serve_stdio())
    else:
        serve_http(int(sys.argv[2]))
