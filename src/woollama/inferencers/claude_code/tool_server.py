"""The only tool server that `claude` has: ours, on the pipes that it is already asked over.

It speaks MCP inside `control_request` lines and is answered inside `control_response` lines, so there is no port, no
socket and no token: who holds the pipes is the process that we started for one run. A call is not run here. It leaves
as the round's call, the engine runs it behind the allow-list, approval and everything else, and the next round's
`ToolResult` is what the process has been waiting for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from woollama.domain.errors import UpstreamBroke
from woollama.domain.messages import Json, ToolResult
from woollama.domain.tools import Function, Returned, images_of

_CALL_ID = "claudecode/toolUseId"
_NO_SUCH_METHOD = -32601


class ToolServer:
    def __init__(self, functions: Sequence[Function]) -> None:
        self._functions = functions
        self._results: dict[str, Mapping[str, Json]] = {}
        self._waiting: dict[str, tuple[str, Json]] = {}

    def __repr__(self) -> str:
        return f"<ToolServer of {len(self._functions)} tools, {len(self._waiting)} calls waiting>"

    def answers(self, line: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
        """What to say to a `control_request`; nothing yet to a call whose result is not known."""
        request_id, request = str(line["request_id"]), line["request"]
        if request.get("subtype") != "mcp_message":
            yield {
                "type": "control_response",
                "response": {"subtype": "error", "request_id": request_id, "error": "nobody here can answer that"},
            }
            return
        message = request["message"]
        match message.get("method"):
            case "initialize":
                yield _reply(request_id, message, result=self._introduction(message))
            case "tools/list":
                yield _reply(request_id, message, result={"tools": [_tool(each) for each in self._functions]})
            case "tools/call":
                yield from self._called(request_id, message)
            case _ if "id" not in message:
                yield _reply(request_id, {"id": 0}, result={})  # a notification; the line wants an answer all the same
            case "ping":
                yield _reply(request_id, message, result={})
            case method:
                yield _reply(request_id, message, error={"code": _NO_SUCH_METHOD, "message": f"no {method} here"})

    def give(self, results: Sequence[ToolResult]) -> Iterator[Mapping[str, Json]]:
        """Note the results of calls; what to say to those who wait for them."""
        for result in results:
            self._results[result.call_id] = _result(result)
            if waiting := self._waiting.pop(result.call_id, None):
                request_id, message = waiting
                yield _reply(request_id, message, result=self._results[result.call_id])

    def _introduction(self, message: Mapping[str, Json]) -> Mapping[str, Json]:
        return {
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "woollama", "version": "1"},
        }

    def _called(self, request_id: str, message: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
        call_id = (message["params"].get("_meta") or {}).get(_CALL_ID)
        if not isinstance(call_id, str):
            raise UpstreamBroke("this claude does not say which call it makes; a newer one does: claude update")
        if call_id in self._results:
            yield _reply(request_id, message, result=self._results[call_id])
        else:
            self._waiting[call_id] = (request_id, message)


def _tool(function: Function) -> Mapping[str, Json]:
    schema = {"type": "object", **(function.parameters or {"properties": {}})}
    return {"name": function.name, "description": function.description, "inputSchema": schema}


def _result(result: ToolResult) -> Mapping[str, Json]:
    outcome = result.outcome
    content: list[Json] = [{"type": "text", "text": outcome.for_model()}]
    for url in images_of(outcome):
        head, _, data = url.removeprefix("data:").partition(",")
        content.append({"type": "image", "data": data, "mimeType": head.partition(";")[0]})
    return {"content": content, "isError": not isinstance(outcome, Returned) or outcome.is_error}


def _reply(request_id: str, message: Mapping[str, Json], **said: Json) -> Mapping[str, Json]:
    response = {"mcp_response": {"jsonrpc": "2.0", "id": message["id"], **said}}
    return {
        "type": "control_response",
        "response": {"subtype": "success", "request_id": request_id, "response": response},
    }
