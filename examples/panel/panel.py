"""A panel in a terminal: chat in sessions that last, patterns, and a yes or no to what a tool is about to do.

    python panel.py [SESSION] [--model NAME] [--socket PATH]

It keeps nothing itself. A session is a conversation of woollama's whose key begins with `cosmic-fabric:`; the first
answer makes it, and a panel that is started again goes on where the last one stopped. Three things happen at the same
time (somebody types, an answer comes, a tool waits for a yes), so each has a thread that puts what happens into one
queue, and one loop takes it from there.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

from wire import Connection, Refused, Unreachable, Woollama, events

PREFIX = "cosmic-fabric:"
PROMPT = "> "
HELP = """\
TEXT                       say it in this session
/ask TEXT                  ask once; it is remembered nowhere
/session [NAME]            which session this is; another one
/sessions                  those that there are
/show                      what was said in this one
/delete [NAME]             delete this session, or another
/models, /model [NAME]     those that there are; which one answers
/set NAME=VALUE            a setting of the model: temperature=0.2, num_ctx=8192
/patterns                  patterns, with their variables
/run NAME [VAR=VALUE …] -- TEXT      run a pattern on a text
/render NAME [VAR=VALUE …] -- TEXT   only show what the model would be told
y, n                       the answer to what waits for one
/quit                      leave; Ctrl-C ends an answer"""
OPTIONS = frozenset({"num_ctx", "num_predict", "repeat_penalty"})
"""Settings of local engines. They go under `options`; the others stand in the request itself."""


@dataclass
class Panel:
    woollama: Woollama
    session: str
    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    news: queue.Queue[tuple[str, Any]] = field(default_factory=queue.Queue)
    asks: dict[str, Any] = field(default_factory=dict)
    answering: Connection | None = None
    line_is_open: bool = False

    @property
    def key(self) -> str:
        return PREFIX + self.session

    # --- the loop

    def run(self) -> None:
        self.greet()
        for work in (self.read_keys, self.watch_approvals):
            threading.Thread(target=work, daemon=True).start()
        self.prompt()
        while True:
            try:
                what, value = self.news.get()
                match what:
                    case "typed":
                        self.line_is_open = False  # the terminal has shown the line's end
                        if value is None or not self.obey(value):
                            return
                    case "said":
                        self.write(value if self.line_is_open else value.lstrip("\n"))
                    case "over":
                        self.answering = None
                        self.tell(value) if value else self.end_line()
                        self.prompt()
                    case "asked":
                        self.asks[value["id"]] = value
                        self.show_ask(value)
                    case "answered" if (ask := self.asks.pop(value["id"], None)) is not None:
                        self.tell(f"[{visible(ask['name'])}: {'yes' if value['approved'] else 'no'}]")
                    case "lost":
                        self.tell(f"[woollama does not answer any more: {value}]")
            except KeyboardInterrupt:
                if self.answering is None:
                    return
                self.answering.abort()

    def obey(self, line: str) -> bool:
        """What was typed; false if that was the last of it."""
        name, _, rest = line.strip().partition(" ")
        if name in ("y", "n") and not rest and self.asks:
            self.answer_ask(name == "y")
            return True
        if not name.startswith("/"):
            if name:
                self.ask(line.strip())
            else:
                self.prompt()
            return True
        if name == "/quit":
            return False
        command: Callable[[str], None] | None = getattr(self, f"do_{name[1:]}", None)
        try:
            if command is None:
                self.tell(f"there is no {name}; /help lists what there is")
            else:
                command(rest.strip())
        except (Refused, Unreachable, ValueError) as error:
            self.tell(str(error))
        if self.answering is None:
            self.prompt()
        return True

    # --- chat

    def ask(self, text: str) -> None:
        """A turn of this session. The key is all that it needs: woollama knows the rest."""
        told = {"model": self.model, "input": text, "key": self.key, "stream": True, **self.sent_settings()}
        self.answer_with("/v1/responses", told, response_texts)

    def do_ask(self, text: str) -> None:
        messages = [{"role": "user", "content": text}]
        told = {"model": self.model, "messages": messages, **self.sent_settings()}
        self.answer_with("/v1/chat/completions", told, whole_text)

    def answer_with(self, path: str, body: Mapping[str, Any], texts: Callable[[HTTPResponse], Iterator[str]]) -> None:
        """Have an answer come into the queue, and say when it is over; one at a time."""
        if self.answering is not None:
            self.tell("an answer is still coming; Ctrl-C ends it")
            return
        connection = self.answering = self.woollama.connection()

        def read() -> None:
            why = ""
            try:
                with contextlib.closing(connection):
                    for text in texts(connection.ask("POST", path, body)):
                        self.news.put(("said", visible(text)))
            except Refused as refused:
                why = str(refused)
                if refused.status == 501:
                    why += " (without a store there are no sessions; /ask works all the same)"
            except (Unreachable, OSError, ValueError) as error:
                why = str(error)
            self.news.put(("over", "[cancelled]" if connection.is_aborted else why and f"[{visible(why)}]"))

        threading.Thread(target=read, daemon=True).start()

    def sent_settings(self) -> dict[str, Any]:
        flat = {name: value for name, value in self.settings.items() if name not in OPTIONS}
        options = {name: value for name, value in self.settings.items() if name in OPTIONS}
        return {**flat, "options": options} if options else flat

    # --- approvals

    def watch_approvals(self) -> None:
        """Hear of every question, on a connection of its own. What waited before we listened is asked for."""
        while True:
            try:
                with contextlib.closing(self.woollama.connection()) as connection:
                    for event in events(connection.ask("GET", "/w1/events")):
                        match event["type"]:
                            case "listening":
                                for ask in self.woollama.call("GET", "/w1/approvals")["data"]:
                                    self.news.put(("asked", ask))
                            case "approval.asked":
                                self.news.put(("asked", event))
                            case "approval.answered":
                                self.news.put(("answered", event))
                            case "ending":
                                self.news.put(("lost", "it is ending"))
            except (Refused, Unreachable, OSError, ValueError):
                pass
            time.sleep(1.0)

    def show_ask(self, ask: Mapping[str, Any]) -> None:
        """Whose tool, which one, and with what: the tool's words are never shown as ours."""
        self.tell(
            f"[{visible(ask['name'])} wants to run: {visible(ask['args'])}]\n"
            f"  {visible(ask['command_preview'])}\n"
            "  y yes   n no   (no answer is a no)"
        )

    def answer_ask(self, is_yes: bool) -> None:
        """To the question that was asked first. How it ended, whoever answered, comes as an event."""
        ask_id = next(iter(self.asks))
        try:
            self.woollama.call("POST", f"/w1/approvals/{ask_id}", {"decision": "approve" if is_yes else "deny"})
        except (Refused, Unreachable) as error:
            self.asks.pop(ask_id, None)
            self.tell(str(error))

    # --- sessions

    def greet(self) -> None:
        self.tell(f"session {self.session}, {self.model} answers; /help says what else there is")
        try:
            self.do_show("")
        except (Refused, Unreachable) as error:
            self.tell(str(error))

    def conversations(self, key: str = PREFIX) -> list[Any]:
        listed: list[Any] = self.woollama.call("GET", "/v1/conversations", key=key, limit=100)["data"]
        return listed

    def conversation(self, session: str) -> Any | None:
        """Looking never makes one."""
        key = PREFIX + session
        return next((each for each in self.conversations(key) if each["key"] == key), None)

    def do_session(self, name: str) -> None:
        if name:
            self.session = name
            self.greet()
        else:
            self.tell(self.session)

    def do_sessions(self, _: str) -> None:
        for each in sorted(self.conversations(), key=lambda each: each["updated_at"], reverse=True):
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(each["updated_at"]))
            name, about = each["key"].removeprefix(PREFIX), each["title"] or ""
            self.tell(visible(f"{name:<16} {when}  {each['model']}  {each['backend']}  {each['status']}  {about}"))

    def do_show(self, _: str) -> None:
        found = self.conversation(self.session)
        if found is None:
            return
        items = self.woollama.call("GET", f"/v1/conversations/{found['id']}/items", order="asc", limit=100)["data"]
        for item in items:
            if item["type"] == "message":
                text = "".join(part.get("text") or "" for part in item["content"])
                self.tell(visible(f"{PROMPT if item['role'] == 'user' else ''}{text}"))
            elif item["type"] == "mcp_call":
                self.tell(visible(f"[{item['server_label']}.{item['name']} {item['arguments']}]"))

    def do_delete(self, name: str) -> None:
        found = self.conversation(name or self.session)
        if found is not None:
            self.woollama.call("DELETE", f"/v1/conversations/{found['id']}")
        self.tell(f"{name or self.session} is deleted" if found else f"there is no session {name or self.session}")

    # --- models and patterns

    def do_models(self, _: str) -> None:
        for model in self.woollama.call("GET", "/v1/models")["data"]:
            self.tell(visible(model["id"]))

    def do_model(self, name: str) -> None:
        self.model = name or self.model
        self.tell(f"{self.model} answers")

    def do_set(self, pair: str) -> None:
        name, is_pair, value = pair.partition("=")
        if is_pair:
            try:
                self.settings[name.strip()] = json.loads(value)
            except ValueError:
                self.settings[name.strip()] = value.strip()
        self.tell(", ".join(f"{name}={value}" for name, value in self.settings.items()) or "nothing is set")

    def do_patterns(self, _: str) -> None:
        for pattern in self.woollama.call("GET", "/w1/patterns")["data"]:
            wants = " ".join(
                each["name"] + (f"={each['default']}" if "default" in each else "") for each in pattern["variables"]
            )
            self.tell(visible(f"{pattern['name']:<20} {wants:<20} {pattern['description'] or ''}"))

    def do_run(self, said: str) -> None:
        name, told = pattern_call(said)
        body = {**told, **self.sent_settings(), "stream": True}
        self.answer_with(f"/w1/patterns/{name}/run", body, chat_texts)

    def do_render(self, said: str) -> None:
        name, told = pattern_call(said)
        self.tell(visible(self.woollama.call("POST", f"/w1/patterns/{name}/render", told)["prompt"]))

    def do_help(self, _: str) -> None:
        self.tell(HELP)

    # --- the terminal

    def read_keys(self) -> None:
        """Line by line. Not from `sys.stdin`: a thread that waits in it holds a lock that Python's end wants."""
        held = b""
        while piece := os.read(sys.stdin.fileno(), 65536):
            *lines, held = (held + piece).split(b"\n")
            for line in lines:
                self.news.put(("typed", line.decode(errors="replace")))
        self.news.put(("typed", None))

    def write(self, text: str) -> None:
        print(text, end="", flush=True)
        self.line_is_open = not text.endswith("\n")

    def end_line(self) -> None:
        if self.line_is_open:
            self.write("\n")

    def tell(self, text: str) -> None:
        self.end_line()
        self.write(f"{text}\n")

    def prompt(self) -> None:
        self.end_line()
        print(PROMPT, end="", flush=True)
        self.line_is_open = True


def response_texts(answer: HTTPResponse) -> Iterator[str]:
    """The text of a streamed response, and the calls of tools that were made for it."""
    for event in events(answer):
        match event:
            case {"type": "response.output_text.delta", "delta": text}:
                yield text
            case {"type": "response.output_item.done", "item": {"type": "mcp_call"} as call}:
                yield f"\n[{call['server_label']}.{call['name']} {call['arguments']}]\n"
            case {"type": "response.failed", "response": {"error": {"message": why}}} | {"error": {"message": why}}:
                raise Refused(502, why)
            case {"type": "response.incomplete", "response": {"incomplete_details": {"reason": why}}}:
                raise Refused(502, f"the answer is not complete: {why}")
            case {"type": "response.completed"}:
                return
    raise Refused(502, "the answer broke off")


def whole_text(answer: HTTPResponse) -> Iterator[str]:
    """The text of a chat completion that comes at once."""
    yield json.loads(answer.read())["choices"][0]["message"]["content"] or ""


def chat_texts(answer: HTTPResponse) -> Iterator[str]:
    """The text of a streamed chat completion."""
    is_whole = False
    for chunk in events(answer):
        if "error" in chunk:
            raise Refused(502, chunk["error"]["message"])
        for choice in chunk["choices"]:
            yield choice["delta"].get("content") or ""
            is_whole = is_whole or choice["finish_reason"] is not None
    if not is_whole:
        raise Refused(502, "the answer broke off")


def pattern_call(said: str) -> tuple[str, dict[str, Any]]:
    """`NAME VAR=VALUE … -- TEXT`."""
    head, _, text = said.partition(" -- ")
    name, *pairs = shlex.split(head) or [""]
    if not name:
        raise ValueError("which pattern? /patterns lists them")
    variables = dict(pair.partition("=")[::2] for pair in pairs)
    return name, {"input": text.strip() or None, "variables": variables}


def visible(text: str) -> str:
    """What could steer the terminal or disguise a word, as what it is."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


def main() -> int:
    parser = argparse.ArgumentParser(description="Chat with woollama in sessions that last.")
    parser.add_argument("session", nargs="?", default="main", help="any name; the same one later goes on (main)")
    parser.add_argument("--model", help="any name that woollama lists; its first one is what answers else")
    parser.add_argument(
        "--socket", type=Path, metavar="PATH", help="woollama's socket, if not $XDG_RUNTIME_DIR/woollama.sock"
    )
    args = parser.parse_args()
    woollama = Woollama(args.socket)
    try:
        if not woollama.path.exists() or not woollama.is_alive():
            print("woollama is not running; starting it …", flush=True)
            woollama.start()
        listed = [model["id"] for model in woollama.call("GET", "/v1/models")["data"]]
        if not (args.model or listed):
            raise Unreachable("woollama knows no model yet; `woollama status` says why")
        Panel(woollama, args.session, args.model or listed[0]).run()
    except (Refused, Unreachable) as error:
        print(f"panel: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
