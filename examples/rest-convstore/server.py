"""A service that keeps conversations, with nothing but the standard library: each thread is a row in a SQLite file.

    python server.py FILE [PORT]

    PUT    /threads/{id}  {"messages": […]}   make it, or replace it
    GET    /threads/{id}                      {"id", "messages"}
    PATCH  /threads/{id}  {"messages": […]}   add to its end
    DELETE /threads/{id}

It listens on loopback and asks nobody who they are: it is for one person's machine.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any
from urllib.parse import unquote

MOST_BYTES = 64 * 2**20


class Threads:
    """One connection, used by one request at a time."""

    def __init__(self, file: str) -> None:
        self._lock = Lock()
        self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS threads (id TEXT PRIMARY KEY, messages TEXT NOT NULL)")

    def get(self, thread_id: str) -> list[Any] | None:
        with self._lock:
            row = self._db.execute("SELECT messages FROM threads WHERE id = ?", (thread_id,)).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, thread_id: str, messages: list[Any]) -> None:
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO threads VALUES (?, ?)", (thread_id, json.dumps(messages)))

    def append(self, thread_id: str, messages: list[Any]) -> list[Any] | None:
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            row = self._db.execute("SELECT messages FROM threads WHERE id = ?", (thread_id,)).fetchone()
            if row is None:
                return None
            whole = [*json.loads(row[0]), *messages]
            self._db.execute("UPDATE threads SET messages = ? WHERE id = ?", (json.dumps(whole), thread_id))
        return whole

    def delete(self, thread_id: str) -> bool:
        with self._lock:
            return self._db.execute("DELETE FROM threads WHERE id = ?", (thread_id,)).rowcount > 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    threads: Threads

    def do_GET(self) -> None:
        if (thread_id := self._thread()) is not None:
            self._answer_thread(thread_id, self.threads.get(thread_id))

    def do_PUT(self) -> None:
        if (thread_id := self._thread()) is not None and (messages := self._messages()) is not None:
            self.threads.put(thread_id, messages)
            self._answer_thread(thread_id, messages)

    def do_PATCH(self) -> None:
        if (thread_id := self._thread()) is not None and (messages := self._messages()) is not None:
            self._answer_thread(thread_id, self.threads.append(thread_id, messages))

    def do_DELETE(self) -> None:
        if (thread_id := self._thread()) is not None:
            deleted = self.threads.delete(thread_id)
            self._answer(200 if deleted else 404, {"id": thread_id, "deleted": deleted})

    def log_message(self, *_: object) -> None:
        """Quiet: what is asked here is nobody's business."""

    def _thread(self) -> str | None:
        root, _, thread_id = self.path.partition("/threads/")
        if root or not thread_id or "/" in thread_id:
            self._answer(404, {"error": "there is nothing but /threads/{id}"})
            return None
        return unquote(thread_id)

    def _messages(self) -> list[Any] | None:
        length = int(self.headers.get("content-length") or 0)
        if length > MOST_BYTES:
            self.close_connection = True
            self._answer(413, {"error": f"more than {MOST_BYTES} bytes"})
            return None
        try:
            messages = json.loads(self.rfile.read(length))["messages"]
        except (ValueError, KeyError, TypeError):
            messages = None
        if not isinstance(messages, list):
            self._answer(400, {"error": 'the body must be {"messages": […]}'})
            return None
        return messages

    def _answer_thread(self, thread_id: str, messages: list[Any] | None) -> None:
        if messages is None:
            self._answer(404, {"error": f"there is no thread {thread_id}"})
        else:
            self._answer(200, {"id": thread_id, "messages": messages})

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    file, port = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 8765
    Handler.threads = Threads(file)
    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as service:
        print(f"http://127.0.0.1:{service.server_address[1]}", flush=True)
        service.serve_forever()


if __name__ == "__main__":
    main()
