"""Stands in for the service behind `client.beta.sessions`, which needs an account: agents, environments, sessions.

What it takes and what it says is checked against the types of the installed SDK (`wire.py`), and its behaviour is what
those types and their descriptions promise: a session is told only by events, a stream gives what happens after it was
opened, previews (`event_start`, `event_delta`) go to those streams alone that ask for them, a session that waits for a
custom tool or a confirmation is idle with `requires_action`, an interrupt makes it idle, one at work is not deleted,
and errors have the API's own body. What it cannot prove is what the real service does beside that.

The agent does what the last message says: `@run CMD` uses a tool of its own, `@search WORDS` one of an MCP server,
`@risky CMD` one that waits for a confirmation, `@call NAME {…}` and `@ask QUESTION` a custom tool, `@recall` tells all
that the session was told, `@error TYPE STATUS` fails, `@refuse` and `@budget` stop, `@cut` drops its listeners and
`@hang` goes on until it is interrupted, both in the middle of a word. All else it repeats.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.inferencers.managed_agents import wire
from tests.inferencers.managed_agents.wire import NOW, NotTheirs, said, taken

KEY = "sk-ant-hosted"
BETA = "managed-agents-2026-04-01"
TOOLSET = {
    "type": "agent_toolset_20260401",
    "configs": [],
    "default_config": {"enabled": True, "permission_policy": {"type": "always_allow"}},
}
USAGE = {"input_tokens": 20, "output_tokens": 7, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2}
STATUS_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class Refused(Exception):
    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.message, self.headers = status, message, headers or {}


class Cut(Exception):
    """Ends a stream without its end."""


def agent(name: str, agent_id: str, **more: Any) -> Mapping[str, Any]:
    made = {"created_at": NOW, "updated_at": NOW, "type": "agent", "version": 3, "metadata": {}}
    has = {"mcp_servers": [], "skills": [], "tools": [TOOLSET], "execution_identity": {"type": "service_account"}}
    model = {"id": "claude-opus-5-5", "effort": {"type": "high"}, "speed": "standard"}
    return said(wire.AGENT, {"id": agent_id, "name": name, "model": model, "system": "Be kind.", **made, **has, **more})


def environment(name: str, environment_id: str) -> Mapping[str, Any]:
    packages: Mapping[str, Any] = {kind: [] for kind in ("apt", "cargo", "gem", "go", "npm", "pip")}
    config = {"type": "cloud", "networking": {"type": "unrestricted"}, "packages": {"type": "packages", **packages}}
    made = {"created_at": NOW, "updated_at": NOW, "type": "environment", "metadata": {}}
    return said(wire.ENVIRONMENT, {"id": environment_id, "name": name, "config": config, **made})


@dataclass(eq=False)
class Hosted:
    """A session. `events` is its history, `listeners` the open streams, each with whether it wants previews."""

    id: str
    created: Mapping[str, Any]
    agent: Mapping[str, Any]
    numbers: Any
    status: str = "idle"
    events: list[Mapping[str, Any]] = field(default_factory=list)
    listeners: dict[asyncio.Queue[Any], bool] = field(default_factory=dict)
    waits_for: list[str] = field(default_factory=list)
    answers: list[Mapping[str, Any]] = field(default_factory=list)
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    at_work: asyncio.Task[None] | None = None

    def shown(self) -> Mapping[str, Any]:
        known = ("id", "name", "model", "system", "tools", "mcp_servers", "skills", "execution_identity", "version")
        snapshot = {"type": "agent", **{name: self.agent[name] for name in known}}
        none: Mapping[str, Any] = {"outcome_evaluations": [], "resources": [], "stats": {}, "usage": {}}
        about = {"environment_id": self.created["environment_id"], "title": self.created.get("title")}
        listed = {"metadata": self.created.get("metadata", {}), "vault_ids": self.created.get("vault_ids", [])}
        made = {"created_at": NOW, "updated_at": NOW, "type": "session", "status": self.status}
        return said(wire.SESSION, {"id": self.id, "agent": snapshot, **about, **listed, **made, **none})

    def texts(self) -> list[str]:
        return [_text(event) for event in self.events if event["type"] == "user.message"]

    # --- saying

    def note(self, event: Mapping[str, Any]) -> str:
        """An event of the history, told to all who listen; its id."""
        whole = {"id": f"sevt_{next(self.numbers)}", "processed_at": NOW, **event}
        said(wire.LISTED, whole)
        self.events.append(whole)
        self._tell(said(wire.STREAMED, whole))
        return str(whole["id"])

    def _tell(self, event: Any, previews: bool = False) -> None:
        for listener, wants in self.listeners.items():
            if wants or not previews:
                listener.put_nowait(event)

    def _preview(self, event: Mapping[str, Any]) -> None:
        self._tell(said(wire.STREAMED, event), previews=True)

    def idle(self, reason: str, **more: Any) -> None:
        self.status = "idle"
        self.note({"type": "session.status_idle", "stop_reason": {"type": reason, **more}})

    # --- working

    def begin(self) -> None:
        self.status = "running"
        self.note({"type": "session.status_running"})
        self.at_work = asyncio.create_task(self._work(), name=f"agent of {self.id}")

    async def _work(self) -> None:
        working = asyncio.create_task(self._turn(self.texts()[-1]))
        stopped = asyncio.create_task(self.interrupted.wait())
        await asyncio.wait([working, stopped], return_when=asyncio.FIRST_COMPLETED)
        for task in (working, stopped):
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        if self.interrupted.is_set():
            self.interrupted.clear()
            self.waits_for = []
            self.idle("end_turn")
        elif (error := working.exception()) is not None:
            raise error

    async def _turn(self, text: str) -> None:
        word, _, rest = text.strip().rpartition("\n")[2].partition(" ")
        reason = await self._do(word, rest, text)
        self.idle(reason)

    async def _do(self, word: str, rest: str, text: str) -> str:
        match word:
            case "@run":
                await self._speak("Let me look.")
                self._use("agent.tool_use", "bash", {"command": rest}, f"ran {rest}")
                await self._speak("It is done.")
            case "@search":
                self._use("agent.mcp_tool_use", "find", {"words": rest}, f"found {rest}", mcp_server_name="library")
                await self._speak("It is found.")
            case "@risky":
                ask = {"evaluated_permission": "ask"}
                use = self.note({"type": "agent.tool_use", "name": "bash", "input": {"command": rest}, **ask})
                (decision,) = await self._wait([use])
                ran = decision["result"] == "allow"
                told = f"ran {rest}" if ran else f"denied: {decision.get('deny_message')}"
                self._result("agent.tool_use", use, told, not ran)
                await self._speak("Done." if ran else "I was not allowed to.")
            case "@call":
                name, _, given = rest.partition(" ")
                use = self.note({"type": "agent.custom_tool_use", "name": name, "input": json.loads(given)})
                (result,) = await self._wait([use])
                await self._speak(f"The tool said: {_text(result)}")
            case "@ask":
                use = self.note({"type": "agent.custom_tool_use", "name": "ask_user", "input": {"question": rest}})
                (result,) = await self._wait([use])
                await self._speak(f"You want {_text(result)}.")
            case "@recall":
                await self._speak(" | ".join(self.texts()[:-1]))
            case "@error":
                kind, status = rest.split()
                self._fail(kind, status)
                if status == "retrying":
                    await self._speak("It went well after all.")
                else:
                    return "retries_exhausted"
            case "@refuse" | "@budget":
                self.note({"type": "span.model_request_start"})
                return "refusal" if word == "@refuse" else "budget_reached"
            case "@cut" | "@hang":
                self._open("Well, let me")
                if word == "@cut":
                    self._tell(Cut())
                await asyncio.Event().wait()
            case _:
                await self._speak(f"You said: {text}")
        return "end_turn"

    def _open(self, text: str) -> tuple[str, str]:
        """The beginning of a message, in two pieces for those who want previews."""
        span = self.note({"type": "span.model_request_start"})
        message_id = f"sevt_{next(self.numbers)}"
        self._preview({"type": "event_start", "event": {"type": "agent.message", "id": message_id}})
        half = len(text) // 2
        for piece in (text[:half], text[half:]):
            content = {"type": "content_delta", "index": 0, "content": {"type": "text", "text": piece}}
            self._preview({"type": "event_delta", "event_id": message_id, "delta": content})
        return span, message_id

    async def _speak(self, text: str) -> None:
        span, message_id = self._open(text)
        await asyncio.sleep(0)
        self.note({"type": "agent.thinking"})
        self.note({"type": "agent.message", "id": message_id, "content": [{"type": "text", "text": text}]})
        self.note({"type": "span.model_request_end", "model_request_start_id": span, "model_usage": USAGE})

    def _use(self, kind: str, name: str, given: Mapping[str, Any], told: str, **more: str) -> None:
        allowed = {"evaluated_permission": "allow"}
        self._result(kind, self.note({"type": kind, "name": name, "input": given, **allowed, **more}), told)

    def _result(self, kind: str, use: str, told: str, failed: bool = False) -> None:
        of = {"mcp_tool_use_id": use} if "mcp" in kind else {"tool_use_id": use}
        content = [{"type": "text", "text": told}]
        self.note({"type": kind.replace("use", "result"), **of, "content": content, "is_error": failed})

    def _fail(self, kind: str, status: str) -> None:
        error = {"type": kind, "message": f"a {kind} as you wished", "retry_status": {"type": status}}
        self.note({"type": "session.error", "error": error})

    async def _wait(self, uses: Sequence[str]) -> list[Mapping[str, Any]]:
        self.waits_for, self.answers = list(uses), []
        self.idle("requires_action", event_ids=list(uses))
        self.answered.clear()
        await self.answered.wait()
        return self.answers

    # --- being told

    def hear(self, events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        noted = []
        for event in events:
            kind = event["type"]
            if kind == "user.interrupt":
                noted.append(self.note(event))
                if self.at_work is not None and not self.at_work.done():
                    self.interrupted.set()
            elif kind == "user.message":
                if self.waits_for:
                    raise Refused(400, f"waiting for responses to events: {', '.join(self.waits_for)}")
                noted.append(self.note(event))
                self.begin()
            elif kind in ("user.custom_tool_result", "user.tool_confirmation"):
                use = str(event.get("custom_tool_use_id") or event.get("tool_use_id"))
                if use not in self.waits_for:
                    raise Refused(400, f"{use} is not waited for")
                noted.append(self.note(event))
                self.waits_for.remove(use)
                self.answers.append(event)
                if not self.waits_for:
                    self.status = "running"
                    self.note({"type": "session.status_running"})
                    self.answered.set()
            else:
                raise Refused(400, f"{kind} is not scripted")
        return [event for event in self.events if event["id"] in noted]


class Service:
    """`requests` is everything that was asked, as `METHOD path`, in order.

    `refusals` are the first answers to what changes something.
    """

    def __init__(self) -> None:
        self.agents = [agent("helper", "agent_1"), agent("twin", "agent_2"), agent("twin", "agent_3")]
        self.environments = [environment("sandbox", "env_1")]
        self.sessions: dict[str, Hosted] = {}
        self.requests: list[str] = []
        self.created: list[Mapping[str, Any]] = []
        self.told: list[Mapping[str, Any]] = []
        self.refusals: list[Refused] = []
        self.refuses = ("POST",)
        self.url = ""
        self._numbers = count(1)
        self._changed = asyncio.Condition()

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(60), self._changed:
            await self._changed.wait_for(lambda: bool(condition()))

    # --- routes

    async def list_agents(self, request: Request) -> Response:
        return _page(self.agents)

    async def one_agent(self, request: Request) -> Response:
        return JSONResponse(self._agent(request.path_params["id"]))

    async def list_environments(self, request: Request) -> Response:
        return _page(self.environments)

    async def create(self, request: Request) -> Response:
        given = taken(wire.CREATES, await request.json())
        wanted = given["agent"]
        named = {"id": wanted} if isinstance(wanted, str) else wanted
        over = {name: named[name] for name in ("system", "tools") if name in named}
        if given["environment_id"] not in [each["id"] for each in self.environments]:
            raise Refused(404, f"environment {given['environment_id']} not found")
        session_id = f"sesn_{next(self._numbers)}"
        hosted = Hosted(session_id, given, {**self._agent(named["id"]), **over}, self._numbers)
        self.created.append(given)
        self.sessions[session_id] = hosted
        return JSONResponse(hosted.shown())

    async def retrieve(self, request: Request) -> Response:
        return JSONResponse(self._session(request).shown())

    async def delete(self, request: Request) -> Response:
        hosted = self._session(request)
        if hosted.status == "running":
            raise Refused(400, "a running session cannot be deleted; interrupt it first")
        if hosted.at_work is not None:
            hosted.at_work.cancel()
        del self.sessions[hosted.id]
        return JSONResponse({"id": hosted.id, "type": "session_deleted"})

    async def send(self, request: Request) -> Response:
        hosted = self._session(request)
        events = taken(wire.SENDS, await request.json())["events"]
        self.told += events
        return JSONResponse(said(wire.SENT, {"data": hosted.hear(events)}))

    async def history(self, request: Request) -> Response:
        types = [value for name, value in request.query_params.multi_items() if name.startswith("types")]
        events = [event for event in self._session(request).events if not types or event["type"] in types]
        if request.query_params.get("order") == "desc":
            events.reverse()
        return _page(events[: int(request.query_params.get("limit", "100"))])

    async def update(self, request: Request) -> Response:
        hosted = self._session(request)
        if hosted.status != "idle":
            raise Refused(400, "the session must be idle")
        hosted.agent = {**hosted.agent, **taken(wire.UPDATES, await request.json())["agent"]}
        return JSONResponse(hosted.shown())

    async def stream(self, request: Request) -> Response:
        hosted = self._session(request)
        wants = "agent.message" in request.query_params.values()
        listener: asyncio.Queue[Any] = asyncio.Queue()
        hosted.listeners[listener] = wants

        async def frames() -> AsyncIterator[bytes]:
            try:
                while True:
                    event = await listener.get()
                    if isinstance(event, Cut):
                        raise event
                    yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            finally:
                del hosted.listeners[listener]

        return StreamingResponse(frames(), media_type="text/event-stream")

    # --- for all of them

    def _agent(self, agent_id: str) -> Mapping[str, Any]:
        for each in self.agents:
            if each["id"] == agent_id:
                return each
        raise Refused(404, f"agent {agent_id} not found")

    def _session(self, request: Request) -> Hosted:
        hosted = self.sessions.get(request.path_params["id"])
        if hosted is None:
            raise Refused(404, f"session {request.path_params['id']} not found")
        return hosted

    def _guarded(self, endpoint: Any) -> Any:
        async def guarded(request: Request) -> Response:
            self.requests.append(f"{request.method} {request.url.path}")
            try:
                if self.refusals and request.method in self.refuses:
                    raise self.refusals.pop(0)
                if request.headers.get("x-api-key") != KEY:
                    raise Refused(401, "invalid x-api-key")
                if BETA not in request.headers.get("anthropic-beta", ""):
                    raise Refused(400, f"this API needs the beta header {BETA}")
                answer: Response = await endpoint(request)
            except NotTheirs as error:
                answer = _refusal(Refused(400, str(error)))
            except Refused as error:
                answer = _refusal(error)
            async with self._changed:
                self._changed.notify_all()
            return answer

        return guarded

    def app(self) -> Starlette:
        routes = [
            ("/v1/agents", self.list_agents, "GET"),
            ("/v1/agents/{id}", self.one_agent, "GET"),
            ("/v1/environments", self.list_environments, "GET"),
            ("/v1/sessions", self.create, "POST"),
            ("/v1/sessions/{id}", self.retrieve, "GET"),
            ("/v1/sessions/{id}", self.update, "POST"),
            ("/v1/sessions/{id}", self.delete, "DELETE"),
            ("/v1/sessions/{id}/events", self.send, "POST"),
            ("/v1/sessions/{id}/events", self.history, "GET"),
            ("/v1/sessions/{id}/events/stream", self.stream, "GET"),
        ]
        return Starlette(routes=[Route(path, self._guarded(each), methods=[verb]) for path, each, verb in routes])


@asynccontextmanager
async def serving(port: int = 0) -> AsyncIterator[Service]:
    service = Service()
    config = uvicorn.Config(service.app(), port=port, log_level="critical", timeout_graceful_shutdown=0, lifespan="off")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve())
    while not server.started:
        assert not running.done(), running.result()
        await asyncio.sleep(0.01)
    service.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield service
    finally:
        for hosted in service.sessions.values():
            if hosted.at_work is not None:
                hosted.at_work.cancel()
        server.should_exit = True
        await running


def _page(data: Sequence[Mapping[str, Any]]) -> Response:
    return JSONResponse({"data": list(data), "next_page": None})


def _refusal(refused: Refused) -> Response:
    error = {"type": STATUS_TYPES.get(refused.status, "api_error"), "message": refused.message}
    body = {"type": "error", "error": error, "request_id": "req_1"}
    return JSONResponse(body, status_code=refused.status, headers=dict(refused.headers))


def _text(event: Mapping[str, Any]) -> str:
    return "".join(block.get("text", "") for block in event.get("content") or ())
