"""Stands in for xllamacpp in the model's process: the "weights" are a JSON object that says how to behave.

`{"broken": "why"}` cannot be loaded; `{"gate": path}` is loaded once that named pipe was opened for writing;
`{"missing": true}` is a machine without llama.cpp. What it answers shows what it was given.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any


def CommonParams() -> SimpleNamespace:
    return SimpleNamespace(model=SimpleNamespace(), cpuparams=SimpleNamespace(), cpuparams_batch=SimpleNamespace())


class Server:
    def __init__(self, params: SimpleNamespace) -> None:
        path = Path(params.model.path)
        with path.with_suffix(".starts").open("a") as starts:
            starts.write("started\n")
        behaviour = json.loads(path.read_text())
        os.write(1, b"a library that prints\n")
        if behaviour.get("missing"):
            raise ImportError("No module named 'xllamacpp'")
        if why := behaviour.get("broken"):
            os.write(2, f"0.00.004 E gguf_init: {why}\n0.00.005 E and more\n".encode())
            raise RuntimeError("Failed to init server")
        if behaviour.get("dies"):
            os._exit(7)
        if gate := behaviour.get("gate"):
            Path(gate).read_bytes()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if self.headers["authorization"] != f"Bearer {params.api_keys[0]}":
                    self.send_error(401)
                    return
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                self.say(json.dumps({"asked": asked["messages"][-1]["content"], "pid": os.getpid()}))
                if hold := behaviour.get("hold"):
                    Path(hold).read_bytes()
                self.say(json.dumps({"env": dict(os.environ), "argv": sys.argv, "n_ctx": params.n_ctx}), "stop")
                self.wfile.write(b"data: [DONE]\n\n")

            def say(self, text: str, finish: str | None = None) -> None:
                choice = {"index": 0, "delta": {"content": text + "\n"}, "finish_reason": finish}
                chunk = {"id": "x", "object": "chat.completion.chunk", "model": "fake", "choices": [choice]}
                self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
                self.wfile.flush()

            def log_message(self, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer((params.hostnames[0], params.port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.listening_address = f"http://127.0.0.1:{server.server_port}"
