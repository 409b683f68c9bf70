"""Stands in for a model server that woollama starts: `model_server.py --port N [--log FILE] [behaviour …]`.

It speaks chat completions, embeddings, the list of models and Ollama's `/api/chat`, and says in each answer which
process it is. Every start appends a line to `--log`. `--dies TEXT` writes to standard error and exits at once with 3;
`--gate FIFO` is ready when that pipe was opened for writing, and answers 503 until then; `--hold FIFO` begins each
answer and ends it when that pipe was opened; `--no-health` has no such page, `--env` says its environment.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=int(os.environ.get("MODEL_PORT", "0")))
    parser.add_argument("--log", type=Path)
    parser.add_argument("--dies")
    parser.add_argument("--gate")
    parser.add_argument("--hold")
    parser.add_argument("--no-health", action="store_true")
    parser.add_argument("--env", action="store_true")
    args = parser.parse_args()
    if args.log:
        with args.log.open("a") as log:
            log.write(f"{os.getpid()}\n")
    os.write(1, b"loading the weights\n")
    if args.dies:
        sys.stderr.write(args.dies + "\n")
        sys.exit(3)
    ready = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if not ready.is_set():
                self.reply(503, {"error": "loading"})
            elif self.path == "/health" and args.no_health:
                self.reply(404, {"error": "no such page"})
            else:
                self.reply(200, {"data": [{"id": "found"}], "models": [{"name": "found", "model": "found"}]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            said = json.dumps({"pid": os.getpid(), **({"env": dict(os.environ)} if args.env else {})})
            key = self.headers["authorization"]
            if self.path == "/api/chat":
                self.reply(200, {"model": "m", "message": {"role": "assistant", "content": said}, "done": True})
            elif self.path.endswith("/embeddings"):
                self.reply(200, {"data": [{"index": 0, "embedding": [1.0]}], "pid": os.getpid(), "key": key})
            elif asked.get("stream"):
                self.stream(said)
            else:
                if args.hold:
                    Path(args.hold).read_bytes()
                choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
                self.reply(200, {"id": "x", "object": "chat.completion", "model": "m", "choices": [choice]})

        def stream(self, said: str) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self.chunk({"content": said})
            if args.hold:
                Path(args.hold).read_bytes()
            self.chunk({}, "stop")
            self.piece(b"data: [DONE]\n\n")
            self.wfile.write(b"0\r\n\r\n")

        def chunk(self, delta: dict[str, Any], finish: str | None = None) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            chunk = {"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
            self.piece(b"data: " + json.dumps(chunk).encode() + b"\n\n")

        def piece(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            self.wfile.flush()

        def reply(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", args.port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    if args.gate:
        Path(args.gate).read_bytes()
    ready.set()
    threading.Event().wait()


if __name__ == "__main__":
    main()
