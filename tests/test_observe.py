"""What a log line shows, what it never shows, and which lines there are."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from woollama.domain.errors import Forbidden
from woollama.domain.ports import ToolContext
from woollama.domain.tools import Function, Offline, Returned, Tool, ToolOutcome
from woollama.domain.turns import Caller
from woollama.observe import LoggedToolbox, RequestLog, Scrubber, configure, parse_filter, request_id, span


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """`configure` changes the whole process; put everything back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    named = {
        name: logging.getLogger(name).level for name in ("woollama", "woollama.proxy", "woollama.request", "httpx2")
    }
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in named.items():
        logging.getLogger(name).setLevel(before)


def configured(log_filter: str = "info", log_format: Any = "text", **more: Any) -> io.StringIO:
    stream = io.StringIO()
    configure(log_filter, log_format, stream=stream, **more)
    return stream


def entry(stream: io.StringIO) -> dict[str, Any]:
    """The one line, as JSON."""
    (line,) = stream.getvalue().splitlines()
    parsed: dict[str, Any] = json.loads(line)
    return parsed


# --- the filter ---


def test_a_filter_names_levels() -> None:
    assert parse_filter("warn, woollama.proxy=debug,httpx2=INFO,") == {
        "woollama": logging.WARNING,
        "woollama.proxy": logging.DEBUG,
        "httpx2": logging.INFO,
    }
    assert parse_filter("") == {}


@pytest.mark.parametrize("text", ["loud", "woollama.proxy=loud", "=info", "woollama.proxy"])
def test_a_filter_that_makes_no_sense_is_told_with_the_levels(text: str) -> None:
    with pytest.raises(ValueError, match="error, warn, warning, info, debug"):
        parse_filter(text)


def test_libraries_speak_from_warnings_on_unless_they_are_named() -> None:
    stream = configured("info,httpx2=debug,woollama.proxy=off")
    for name in ("woollama.x", "woollama.proxy", "mcp", "httpx2"):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING):
            logging.getLogger(name).log(level, "%s says %s", name, logging.getLevelName(level))
    said = [" ".join(line.split()[2:]) for line in stream.getvalue().splitlines()]
    assert said == [
        "woollama.x says INFO",
        "woollama.x says WARNING",
        "mcp says WARNING",
        "httpx2 says DEBUG",
        "httpx2 says INFO",
        "httpx2 says WARNING",
    ]


def test_warnings_go_to_the_log_as_well() -> None:
    stream = configured()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old news", UserWarning, stacklevel=1)
    assert "old news" in stream.getvalue()


# --- a line ---


def test_a_line_of_text_reads_well() -> None:
    stream = configured()
    with span("tool", server="git", tool="push") as line:
        line.note(outcome="returned", tokens=12, unknown=None, share=0.5, said="two words", none="")
    words = stream.getvalue().split(" ", 1)[1]
    assert words.startswith("info    tool git push ")
    assert words.endswith(' ms outcome=returned tokens=12 share=0.5 said="two words" none=""\n')


def test_a_line_of_json_holds_the_same() -> None:
    stream = configured(log_format="json")
    token = request_id.set("req_1")
    try:
        with span("tool", server="git", tool="push") as line:
            line.note(tokens=12)
    finally:
        request_id.reset(token)
    shown = entry(stream)
    assert shown.pop("time").endswith("Z")
    assert isinstance(shown.pop("ms"), int)
    assert shown == {
        "level": "info",
        "logger": "woollama.tool",
        "message": "tool",
        "server": "git",
        "tool": "push",
        "tokens": 12,
        "id": "req_1",
    }


def test_what_fails_is_named_and_not_described() -> None:
    stream = configured(log_format="json")
    with pytest.raises(ValueError, match="the user's words"), span("tool", tool="push"):
        raise ValueError("the user's words")
    assert "words" not in stream.getvalue()
    assert (entry(stream)["error"], entry(stream)["level"]) == ("ValueError", "warning")


def test_a_value_from_outside_cannot_forge_a_line_or_fill_the_log() -> None:
    stream = configured()
    with span("request", path="/x\n12:00:00 info    all is well\x1b[2K", model="y" * 10_000):
        pass
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()
    assert len(stream.getvalue()) < 500


# --- secrets ---


def test_a_secret_is_replaced_wherever_it_comes_from() -> None:
    scrubber = Scrubber(['s3cr"et/key', "s3cr"])
    stream = configured(scrubber=scrubber)
    later = "added-later"
    scrubber.add(later)
    log = logging.getLogger("woollama.x")
    log.info("key %s", 's3cr"et/key')
    log.info("with", extra={"fields": {"a": later, "b": "s3cr%22et%2Fkey", "c": 's3cr"et/key again'}})
    try:
        raise RuntimeError(later)
    except RuntimeError:
        log.exception("broken")
    text = stream.getvalue()
    assert "et/key" not in text
    assert "et%2Fkey" not in text
    assert later not in text
    assert text.count("[redacted]") == 5


def test_short_values_are_no_secrets_and_the_longest_match_wins() -> None:
    scrubber = Scrubber(["", "key", "secret", "secret-and-more"])
    assert scrubber.scrub("the key is secret-and-more") == "the key is [redacted]"
    assert repr(scrubber) == "<Scrubber of 2 values>"
    assert Scrubber().scrub("anything") == "anything"


def test_a_key_is_known_without_its_scheme() -> None:
    scrubber = Scrubber(["Bearer abc123xyz"])
    assert scrubber.scrub("Bearer abc123xyz, abc123xyz") == "[redacted], [redacted]"


# --- requests ---


async def request(app: Any, method: str = "POST", path: str = "/v1/x") -> None:
    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(_: Message) -> None:
        return

    await RequestLog(app)({"type": "http", "method": method, "path": path, "headers": []}, receive, send)


def answering(status: int, **state: object) -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"].update(state)
        scope["state"]["span"].note(model="woollama/demo", tokens=7)
        await send({"type": "http.response.start", "status": status})

    return app


async def test_a_request_is_one_line_with_what_others_know_of_it() -> None:
    stream = configured(log_format="json")
    await request(answering(200, caller=Caller("curl", "unix")))
    shown = entry(stream)
    assert {key: shown[key] for key in ("method", "path", "status", "model", "tokens", "caller", "via")} == {
        "method": "POST",
        "path": "/v1/x",
        "status": 200,
        "model": "woollama/demo",
        "tokens": 7,
        "caller": "curl",
        "via": "unix",
    }


@pytest.mark.parametrize(
    ("method", "status", "level"),
    [
        ("GET", 200, "debug"),
        ("HEAD", 200, "debug"),
        ("GET", 404, "info"),
        ("POST", 200, "info"),
        ("POST", 400, "info"),
        ("GET", 503, "warning"),
    ],
)
async def test_polling_is_quiet_and_trouble_is_not(method: str, status: int, level: str) -> None:
    stream = configured("debug", log_format="json")
    await request(answering(status), method)
    assert entry(stream)["level"] == level


async def test_not_to_be_ready_yet_is_no_trouble() -> None:
    stream = configured("debug", log_format="json")
    await request(answering(503), "GET", path="/readyz")
    assert entry(stream)["level"] == "debug"


async def test_a_refusal_is_named() -> None:
    stream = configured(log_format="json")
    await request(answering(403, error=Forbidden("not you")))
    assert entry(stream)["error"] == "forbidden"


# --- tools ---


class Toolbox:
    def __init__(self, outcome: ToolOutcome) -> None:
        self.outcome = outcome

    def functions(self) -> list[Function]:
        return [PUSH]

    async def call(self, function: Function, arguments: object, context: ToolContext) -> ToolOutcome:
        return self.outcome


PUSH = Function("git__push", tool=Tool("git", "push", {}))


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Returned.of_text("fine"), "returned"),
        (Returned.of_text("no", is_error=True), "error"),
        (Offline("it crashed"), "offline"),
    ],
)
async def test_a_tool_call_is_one_line_without_its_arguments_and_results(outcome: ToolOutcome, said: str) -> None:
    stream = configured(log_format="json")
    toolbox = LoggedToolbox(Toolbox(outcome))
    assert toolbox.functions() == [PUSH]
    assert await toolbox.call(PUSH, {"remote": "private"}, ToolContext(Caller("curl", "unix"))) is outcome
    shown = entry(stream)
    assert (shown["server"], shown["tool"], shown["caller"], shown["outcome"]) == ("git", "push", "curl", said)
    assert "private" not in stream.getvalue()
    assert "fine" not in stream.getvalue()
