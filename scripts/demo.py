"""Waits for the daemon, asks its demo recipe through chat completions, and shows the answer as it comes.

`demo.py PID`: the daemon's process id. Prints which tool was called with what, and how to go on from there.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from woollama.cli.daemon import Daemon, NotRunning, Refused
from woollama.cli.screen import shown
from woollama.domain.tools import wire_name

MODEL = "woollama/demo"
QUESTION = "What time is it in Tokyo?"
READY_TIMEOUT_S = 60.0
ANSWER_TIMEOUT_S = 600.0

NEXT = """
woollama listens at {url} and {socket} until you press Ctrl-C.

# curl
curl -N {url}/v1/chat/completions -H 'content-type: application/json' \\
  -d '{body}'

# OpenAI SDK
pip install openai && python -c '
from openai import OpenAI
client = OpenAI(base_url="{url}/v1", api_key="unused")
question = {{"role": "user", "content": "What time is it in Sydney?"}}
print(client.chat.completions.create(model="{model}", messages=[question]).choices[0].message.content)'

# unix socket
curl --unix-socket {socket} http://localhost/v1/models
"""


def main(pid: int) -> int:
    daemon = Daemon(os.environ)
    try:
        url = ready_url(daemon, pid)
        print(f"\n> {QUESTION}   ({MODEL}, POST /v1/chat/completions)\n", flush=True)
        footnote = show(ask(url))
        for call in footnote["tool_calls"]:
            print(f"\n  MCP tool: {dotted(daemon, call['name'])} {shown(call['arguments'])}")
            print(f"  returned: {shown(call['result'])}")
    except (NotRunning, Refused, TimeoutError) as error:
        print(f"scripts/run: {error}", file=sys.stderr)
        return 1
    question = [{"role": "user", "content": "What time is it in Berlin?"}]
    body = json.dumps({"model": MODEL, "stream": True, "messages": question})
    print(NEXT.format(url=url, socket=daemon.socket_path, body=body, model=MODEL), flush=True)
    return 0


def ready_url(daemon: Daemon, pid: int) -> str:
    """Where it listens, once its tool servers have started."""
    give_up_at = time.monotonic() + READY_TIMEOUT_S
    waiting_for = ["the daemon"]
    while time.monotonic() < give_up_at:
        try:
            os.kill(pid, 0)
            servers = daemon.get("/v1/tools")["servers"]
            waiting_for = [server["name"] for server in servers if server["health"] == "starting"]
            if not waiting_for and daemon.url:
                return daemon.url
        except (NotRunning, Refused):
            pass  # not yet
        except ProcessLookupError:
            raise NotRunning("the daemon did not start") from None
        time.sleep(0.05)
    raise TimeoutError(f"not ready after {READY_TIMEOUT_S:g} s: {', '.join(waiting_for)}")


def ask(url: str) -> Iterator[dict[str, Any]]:
    """The chunks of the streamed answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_TIMEOUT_S)
    body = json.dumps({"model": MODEL, "stream": True, "messages": [{"role": "user", "content": QUESTION}]})
    connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise Refused(json.loads(answer.read())["error"]["message"])
    for line in answer:
        if line.startswith(b"data:") and (data := line[5:].strip()) != b"[DONE]":
            yield json.loads(data)


def show(chunks: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Print the text as it comes; what the last chunk says of the tools. Raises `Refused` for a failure inside."""
    started = False
    for chunk in chunks:
        if "error" in chunk:
            raise Refused(chunk["error"]["message"])
        for choice in chunk["choices"]:
            text = choice["delta"].get("content")
            if text:
                print(shown(text if started else f"  {text}"), end="", flush=True)
                started = True
        if "x_woollama" in chunk:
            print()
            footnote: dict[str, Any] = chunk["x_woollama"]
            return footnote
    raise Refused("the answer broke off")


def dotted(daemon: Daemon, name: str) -> str:
    """The tool as files call it, `server.tool`."""
    tools = daemon.get("/v1/tools")["data"]
    return next((tool["name"] for tool in tools if wire_name(tool["server"], tool["tool"]) == name), name)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1])))
