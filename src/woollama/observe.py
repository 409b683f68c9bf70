"""What the log says: one line per request and per tool call, with numbers and names, never content and never a secret.

    with span("tool", server="git", tool="push") as line:
        ...
        line.note(outcome="returned")

gives `12:03:04 info    tool git push 41 ms outcome=returned id=req_9f86…`, or the same fields as one JSON object.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, TextIO
from urllib.parse import quote

from woollama.domain.errors import RouterError
from woollama.domain.messages import Json
from woollama.domain.ports import Toolbox, ToolContext
from woollama.domain.tools import Function, Returned, ToolOutcome

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Field = str | int | float | bool | None
LogFormat = Literal["text", "json"]

_LEVELS = {
    "off": logging.CRITICAL + 10,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
}
_SHORTEST_SECRET = 6
_LONGEST_FIELD = 200
_REDACTED = "[redacted]"
_SCHEME = re.compile(r"\A(?:bearer|basic|token) +", re.IGNORECASE)
_SAID_BARE = ("method", "path", "server", "tool", "status")
"""Fields that explain themselves and stand first in a line of text, in this order."""

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request that the current task works for; tasks started on its behalf inherit it."""


# --- where it goes ---------------------------------------------------------------------------------------------------


class Scrubber:
    """Knows all secret values and replaces them in any text. `add` them when they are loaded.

    Values shorter than six characters are not taken: they would tear ordinary words apart.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._passing: Counter[str] = Counter()
        self._pattern: re.Pattern[str] | None = None
        self.add(*secrets)

    def __repr__(self) -> str:
        return f"<Scrubber of {len(self._secrets)} values>"

    def add(self, *secrets: str) -> None:
        """A value that begins with an authentication scheme (`Bearer …`) is known without it, too."""
        for secret in [*secrets, *(_SCHEME.sub("", secret) for secret in secrets)]:
            if len(secret) >= _SHORTEST_SECRET:
                self._secrets |= _spellings(secret)
        passing = {spelling for each in self._passing for spelling in _spellings(each)}
        longest_first = sorted(self._secrets | passing, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    @contextmanager
    def hiding(self, secrets: Collection[str]) -> Iterator[None]:
        """Values that are known in this block alone."""
        known = [each for secret in secrets for each in (secret, _SCHEME.sub("", secret))]
        taken = [each for each in known if len(each) >= _SHORTEST_SECRET]
        self._passing.update(taken)
        self.add()
        try:
            yield
        finally:
            self._passing = +(self._passing - Counter(taken))
            self.add()

    def scrub(self, text: str) -> str:
        return self._pattern.sub(_REDACTED, text) if self._pattern else text

    def scrub_error(self, error: RouterError) -> RouterError:
        """The same error, its message without any of them."""
        error.message = self.scrub(error.message)
        return error


def _spellings(secret: str) -> set[str]:
    return {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}


def parse_filter(log_filter: str) -> dict[str, int]:
    """`"info,woollama.proxy=debug"` as levels by logger name; the bare level is that of `woollama`.

    Raises `ValueError` with a sentence for the user.
    """
    levels: dict[str, int] = {}
    for entry in filter(None, (part.strip() for part in log_filter.split(","))):
        name, equals, level = entry.rpartition("=")
        if level.lower() not in _LEVELS or (equals and not name):
            known = ", ".join(_LEVELS)
            raise ValueError(f"WOOLLAMA_LOG: {entry!r} is neither a level nor name=level; levels are {known}")
        levels[name or "woollama"] = _LEVELS[level.lower()]
    return levels


def configure(
    log_filter: str = "info",
    log_format: LogFormat = "text",
    *,
    scrubber: Scrubber | None = None,
    stream: TextIO | None = None,
) -> None:
    """Send all logging to `stream` (standard error). Libraries speak from warnings on, unless the filter names them."""
    levels = {"woollama": logging.INFO, **parse_filter(log_filter)}
    handler = logging.StreamHandler(stream or sys.stderr)
    formats = {"text": _TextFormatter, "json": _JsonFormatter}
    handler.setFormatter(formats[log_format](scrubber or Scrubber()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)


class _Formatter(logging.Formatter, ABC):
    """Scrubs the finished line, tracebacks included, so that nothing can slip in later."""

    def __init__(self, scrubber: Scrubber) -> None:
        super().__init__()
        self._scrubber = scrubber

    def format(self, record: logging.LogRecord) -> str:
        fields = dict(getattr(record, "fields", {}))
        if (current := request_id.get()) is not None:
            fields.setdefault("id", current)
        return self._scrubber.scrub(self.line(record, fields))

    @abstractmethod
    def line(self, record: logging.LogRecord, fields: Mapping[str, Field]) -> str: ...

    def trace(self, record: logging.LogRecord) -> str:
        return self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""


class _TextFormatter(_Formatter):
    def line(self, record: logging.LogRecord, fields: Mapping[str, Field]) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        words = [f"{clock} {record.levelname.lower():<7}", _one_line(record.getMessage())]
        words += [_plain(fields[key]) for key in _SAID_BARE if fields.get(key) is not None]
        words += [f"{fields['ms']} ms"] if "ms" in fields else []
        named = fields.keys() - {*_SAID_BARE, "ms"}
        words += [f"{key}={_plain(value)}" for key, value in fields.items() if key in named and value is not None]
        return "\n".join(filter(None, (" ".join(words), self.trace(record))))


class _JsonFormatter(_Formatter):
    def line(self, record: logging.LogRecord, fields: Mapping[str, Field]) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        entry: dict[str, Any] = {
            "time": stamp,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{key: value for key, value in fields.items() if value is not None},
        }
        if trace := self.trace(record):
            entry["trace"] = trace
        return json.dumps(entry, ensure_ascii=False, default=str)


def _plain(value: Field) -> str:
    text = f"{value:g}" if isinstance(value, float) else _one_line(str(value))
    return text if text and " " not in text else json.dumps(text, ensure_ascii=False)


def _one_line(text: str) -> str:
    """A value from outside cannot forge a line of its own."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


# --- what is said ----------------------------------------------------------------------------------------------------


class Span:
    """What is being done, and what is known of it so far. Becomes one line when it ends."""

    def __init__(self, fields: dict[str, Field]) -> None:
        self.fields = fields
        self.level = logging.INFO

    def note(self, **fields: Field) -> None:
        """Add fields; a later value replaces an earlier one. Names, numbers and verdicts only: never content."""
        for key, value in fields.items():
            self.fields[key] = value[:_LONGEST_FIELD] if isinstance(value, str) else value


@contextmanager
def span(name: str, **fields: Field) -> Iterator[Span]:
    """Time the block and log one line of `name` (the logger is `woollama.<name>`) with its milliseconds.

    What is raised is named in the line, not described: a message can hold content.
    """
    current = Span({})
    current.note(**fields)
    began = time.monotonic()
    try:
        yield current
    except BaseException as error:
        current.note(error=type(error).__name__)
        if isinstance(error, Exception):
            current.level = logging.WARNING
        raise
    finally:
        current.fields["ms"] = round((time.monotonic() - began) * 1000)
        logging.getLogger(f"woollama.{name}").log(current.level, name, extra={"fields": current.fields})


class RequestLog:
    """Pure-ASGI wrapper: one line per request, and `scope["state"]["span"]` for whoever knows more of it.

    Successful reads are said at `debug`: clients poll, and people read logs.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        method = scope.get("method", "WEBSOCKET")
        with span("request", method=method, path=scope["path"]) as line:
            state["span"] = line

            async def noting(message: Message) -> None:
                if message["type"].endswith(".start"):
                    line.note(status=message["status"])
                    line.level = _level(method, scope["path"], message["status"])
                await send(message)

            try:
                await self._app(scope, receive, noting)
            finally:
                caller, error = state.get("caller"), state.get("error")
                line.note(
                    caller=getattr(caller, "name", None),
                    via=getattr(caller, "via", None),
                    error=getattr(error, "kind", line.fields.get("error")),
                )


class LoggedToolbox:
    """One line per tool call: which, for whom, how it ended, how long it took. `watch` hears of the same."""

    def __init__(self, inner: Toolbox) -> None:
        self._inner = inner
        self._watchers: list[Callable[[str, Mapping[str, Field]], None]] = []

    def around(self, inner: Toolbox) -> LoggedToolbox:
        """Another toolbox, heard of by whoever hears of this one."""
        other = LoggedToolbox(inner)
        other._watchers = self._watchers
        return other

    def watch(self, watcher: Callable[[str, Mapping[str, Field]], None]) -> None:
        """`watcher("tool.called" | "tool.returned", fields)`; a call that was cancelled returns without an outcome."""
        self._watchers.append(watcher)

    def _tell(self, what: str, fields: Mapping[str, Field]) -> None:
        for watcher in self._watchers:
            watcher(what, fields)

    def functions(self) -> Sequence[Function]:
        return self._inner.functions()

    async def call(self, function: Function, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutcome:
        server, tool = (function.tool.server, function.tool.name) if function.tool else (None, function.name)
        known: dict[str, Field] = {"server": server, "tool": tool, "caller": context.caller.name}
        self._tell("tool.called", known)
        try:
            with span("tool", **known) as line:
                known = line.fields
                outcome = await self._inner.call(function, arguments, context)
                failed = isinstance(outcome, Returned) and outcome.is_error
                line.note(outcome="error" if failed else type(outcome).__name__.lower())
                return outcome
        finally:
            self._tell("tool.returned", known)


def _level(method: str, path: str, status: int) -> int:
    """Clients poll, and a host that is attached sends a request for every message, of which the calls of tools have a
    line of their own: people read what is said at info. Not to be ready yet is an answer, not a fault."""
    if status >= 500:
        return logging.DEBUG if path == "/readyz" and status == 503 else logging.WARNING
    often = method in ("GET", "HEAD", "OPTIONS") or path.startswith("/mcp")
    return logging.DEBUG if often and status < 400 else logging.INFO
