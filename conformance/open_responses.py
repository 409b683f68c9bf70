"""The compliance cases of Open Responses: `python -m conformance.open_responses BASE_URL MODEL`.

BASE_URL ends in `/v1`. The public suite is not on a package registry and wants a runtime of its own, so its cases are
written here from its public description, under its names. Whatever comes is held against the published schemas, more
strictly than there: no field may be unknown. Prints a line for each case; the exit code is 1 if one fails.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection, connect

from conformance.published import check, check_event, check_response

PATIENCE_S = 60.0
ENDS = ("response.completed", "response.incomplete", "response.failed")
NOT_FOUND = "previous_response_not_found"
PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather for a location",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string", "description": "A city, e.g. Oslo"}},
        "required": ["location"],
    },
}
WEATHER_WISH = "What is the weather in Oslo? Call get_weather to find out."

Body = dict[str, Any]


@dataclass(frozen=True)
class Service:
    base_url: str
    model: str
    http: httpx2.AsyncClient

    def wish(self, given: Any, **more: Any) -> Body:
        return {"model": self.model, "input": given, **more}

    async def create(self, given: Any, **more: Any) -> Body:
        answer = await self.http.post("/responses", json=self.wish(given, **more))
        assert answer.status_code == 200, answer.text
        body: Body = answer.json()
        check_response(body)
        return body

    async def stream(self, given: Any, **more: Any) -> list[Body]:
        answer = await self.http.post("/responses", json=self.wish(given, stream=True, **more))
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
        check_turn(events)
        return events

    async def compact(self, given: Any, **more: Any) -> httpx2.Response:
        return await self.http.post("/responses/compact", json={"input": given, **more})

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[Socket]:
        url = f"{self.base_url.replace('http', 'ws', 1)}/responses"
        async with connect(url, additional_headers={"Authorization": self.http.headers["Authorization"]}) as connection:
            yield Socket(self, connection)


@dataclass(frozen=True)
class Socket:
    service: Service
    connection: ClientConnection

    async def turn(self, given: Any, **more: Any) -> list[Body]:
        """The events of one turn, or the one that says why there is none."""
        await self.connection.send(json.dumps({"type": "response.create", **self.service.wish(given, **more)}))
        events: list[Body] = []
        while not events or events[-1]["type"] not in (*ENDS, "error"):
            events.append(json.loads(await asyncio.wait_for(self.connection.recv(), PATIENCE_S)))
        if events[-1]["type"] == "error":
            check("open_responses", "WebSocketErrorEvent", events[-1])
        else:
            check_turn(events)
        return events


def check_turn(events: Sequence[Body]) -> None:
    """Each event is valid and in its place."""
    for number, event in enumerate(events):
        check_event(event)
        assert event["sequence_number"] == number, event
    assert events[0]["type"] == "response.created"
    assert [event["type"] for event in events if event["type"] in ENDS] == [events[-1]["type"]]


def user(content: Any) -> Body:
    return {"type": "message", "role": "user", "content": content}


def completed(response: Body, kind: str = "message") -> Body:
    assert response["status"] == "completed", response["status"]
    assert any(item["type"] == kind for item in response["output"]), f"no {kind} in {response['output']}"
    return response


def ended(events: Sequence[Body]) -> Body:
    """The completed response of a turn over a socket or a stream."""
    assert events[-1]["type"] == "response.completed", events[-1]
    return completed(events[-1]["response"])


def code_of(events: Sequence[Body]) -> str | None:
    last = events[-1]
    error = last.get("error") or (last.get("response") or {}).get("error") or {}
    code: str | None = error.get("code")
    return code


Case = Callable[[Service], Awaitable[None]]
CASES: dict[str, Case] = {}


def case(name: str) -> Callable[[Case], Case]:
    def named(function: Case) -> Case:
        CASES[name] = function
        return function

    return named


@case("basic-response")
async def _basic(at: Service) -> None:
    completed(await at.create([user("Say hello in exactly 3 words.")]))


@case("assistant-phase")
async def _phase(at: Service) -> None:
    said = {"type": "message", "role": "assistant"}
    thought = {**said, "phase": "commentary", "content": "I should give the saved number."}
    answer = {**said, "phase": "final_answer", "content": "The number is four."}
    completed(await at.create([thought, answer, user("Repeat only the number.")]))


@case("response-output-phase-schema")
async def _phase_schema(at: Service) -> None:
    """The schema itself allows what the case before asks for; nothing but the model's name is the service's."""
    body = await at.create([user("Say hello.")])
    part = {"type": "output_text", "text": "four", "annotations": [], "logprobs": []}
    said = {"type": "message", "status": "completed", "role": "assistant", "content": [part]}
    output = [{**said, "id": f"msg_{phase}", "phase": phase} for phase in ("commentary", "final_answer")]
    check_response({**body, "output": output})


@case("streaming-response")
async def _streaming(at: Service) -> None:
    ended(await at.stream([user("Count from 1 to 5.")]))


@case("websocket-response")
async def _socket(at: Service) -> None:
    async with at.socket() as socket:
        ended(await socket.turn([user("Count from 1 to 3.")]))


@case("websocket-sequential-responses")
async def _sequential(at: Service) -> None:
    async with at.socket() as socket:
        first = ended(await socket.turn("Reply with exactly: first", store=False))
        second = ended(await socket.turn("Reply with exactly: second", store=False))
        assert first["id"] != second["id"]


@case("websocket-continuation")
async def _continuation(at: Service) -> None:
    async with at.socket() as socket:
        first = ended(await socket.turn("Remember the code word cobalt. Reply with OK.", store=False))
        more = {"previous_response_id": first["id"], "store": False}
        second = ended(await socket.turn("What is the code word? Reply with it alone.", **more))
        assert second["previous_response_id"] == first["id"]


@case("websocket-reconnect-store-false-recovery")
async def _reconnect(at: Service) -> None:
    async with at.socket() as socket:
        first = ended(await socket.turn("Remember the code word copper. Reply with OK.", store=False))
    async with at.socket() as socket:
        lost = await socket.turn("Go on after the reconnect.", store=False, previous_response_id=first["id"])
        assert code_of(lost) == NOT_FOUND, lost[-1]
        ended(await socket.turn([user("Begin anew and reply with exactly: recovered")], store=False))


@case("websocket-previous-response-not-found")
async def _missing(at: Service) -> None:
    async with at.socket() as socket:
        missing = await socket.turn("This should fail.", store=False, previous_response_id="resp_of_nobody")
        assert code_of(missing) == NOT_FOUND, missing[-1]


@case("websocket-failed-continuation-evicts-cache")
async def _evicted(at: Service) -> None:
    async with at.socket() as socket:
        first = ended(await socket.turn("Remember the code word ember. Reply with OK.", store=False))
        more = {"previous_response_id": first["id"], "store": False}
        stray = {"type": "function_call_output", "call_id": "call_of_nobody", "output": "Nobody asked for this."}
        failed = await socket.turn([stray], **more)
        assert code_of(failed), failed[-1]
        again = await socket.turn("Go on as if nothing had been.", **more)
        assert code_of(again) == NOT_FOUND, again[-1]


@case("websocket-compact-new-chain")
async def _compacted(at: Service) -> None:
    parts = [{"type": "input_text", "text": "Remember the code word slate."}]
    reply = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "OK."}]}
    answer = await at.compact([user(parts), reply, user("Compress this conversation.")], model=at.model)
    assert answer.status_code == 200, answer.text
    async with at.socket() as socket:
        given = [*answer.json()["output"], user("Go on. Reply with exactly: compacted")]
        ended(await socket.turn(given, store=False, tools=[]))


@case("system-prompt")
async def _system(at: Service) -> None:
    system = {"type": "message", "role": "system", "content": "You are a pirate. Speak like one."}
    completed(await at.create([system, user("Say hello.")]))


@case("tool-calling")
async def _tool(at: Service) -> None:
    completed(await at.create([user(WEATHER_WISH)], tools=[WEATHER]), "function_call")


@case("tool-calling-streaming")
async def _tool_streamed(at: Service) -> None:
    events = await at.stream([user(WEATHER_WISH)], tools=[WEATHER])
    seen = [event["type"] for event in events]
    assert {"response.function_call_arguments.delta", "response.function_call_arguments.done"} <= set(seen), seen
    for kind in ("response.output_item.added", "response.output_item.done"):
        assert any(event["type"] == kind and event["item"]["type"] == "function_call" for event in events), kind


@case("image-input")
async def _image(at: Service) -> None:
    parts = [{"type": "input_text", "text": "What do you see? One sentence."}]
    completed(await at.create([user([*parts, {"type": "input_image", "image_url": PIXEL}])]))


@case("multi-turn")
async def _turns(at: Service) -> None:
    reply = {"type": "message", "role": "assistant", "content": "Hello Alice! How can I help you?"}
    completed(await at.create([user("My name is Alice."), reply, user("What is my name?")]))


@case("compact-response")
async def _compact(at: Service) -> None:
    reply = {"type": "message", "role": "assistant", "content": "Understood: Tuesday, and support is told before."}
    said = [user("We agreed to launch on Tuesday and to tell support first."), reply]
    answer = await at.compact(said, model=at.model, prompt_cache_key="a-test-of-compaction")
    assert answer.status_code == 200, answer.text
    for source in ("openai", "open_responses"):
        check(source, "CompactResource", answer.json())
    assert any(item["type"] == "compaction" for item in answer.json()["output"])


@case("compact-missing-model")
async def _compact_nothing(at: Service) -> None:
    answer = await at.compact([user("Compact this conversation.")])
    assert answer.status_code in (400, 422), answer.status_code
    check("openai", "ErrorResponse", answer.json())


async def run(base_url: str, model: str, key: str = "unused") -> Mapping[str, str | None]:
    """What is wrong with each case; None where nothing is."""
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=base_url, headers=headers, timeout=PATIENCE_S, trust_env=False) as http:
        at = Service(base_url, model, http)
        return {name: await _wrong(function, at) for name, function in CASES.items()}


async def _wrong(function: Case, at: Service) -> str | None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await function(at)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def main() -> int:
    base_url, model = sys.argv[1:]
    found = asyncio.run(run(base_url.rstrip("/"), model, os.environ.get("OPENAI_API_KEY", "unused")))
    for name, wrong in found.items():
        sys.stdout.write(f"ok {name}\n" if wrong is None else f"not ok {name}\n# {wrong}\n")
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
