"""`GET /metrics`: what was asked of whom, how long it took and what it used, as Prometheus reads it.

Names follow OpenTelemetry's conventions for generative AI, MCP and HTTP, in Prometheus' spelling. Every number is kept
in this process; nothing is sent anywhere.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Sized

from starlette.types import Receive, Scope, Send

from woollama.domain.ports import ToolServers

Labels = Mapping[str, str]
Field = str | int | float | bool | None

SERIES_LIMIT = 1000
OTHER = "other"
"""Takes the place of every label's value once there are too many series: names of models come from clients."""
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = tuple(4**power for power in range(14))
_OPERATIONS = {
    "completions": "text_completion",
    "responses": "chat",
    "anthropic": "chat",
    "ollama": "chat",
    "embed": "embeddings",
    "patterns": "chat",
}


class Histogram:
    """Observations by labels, counted in buckets."""

    def __init__(self, name: str, doc: str, bounds: Sequence[float]) -> None:
        self.name = name
        self._doc = doc
        self._bounds = bounds
        self._series: dict[tuple[tuple[str, str], ...], list[float]] = {}

    def __repr__(self) -> str:
        return f"<Histogram {self.name}, {len(self._series)} series>"

    def observe(self, value: float, labels: Labels) -> None:
        key = _bounded(labels, self._series)
        series = self._series.setdefault(key, [0] * (len(self._bounds) + 2))
        series[bisect_left(self._bounds, value)] += 1
        series[-1] += value

    def lines(self) -> Iterator[str]:
        yield from _preamble(self.name, self._doc, "histogram")
        for key, series in self._series.items():
            count = 0
            for bound, number in zip((*self._bounds, "+Inf"), series, strict=False):
                count += int(number)
                yield sample(f"{self.name}_bucket", count, {**dict(key), "le": f"{bound}"})
            yield sample(f"{self.name}_sum", series[-1], dict(key))
            yield sample(f"{self.name}_count", count, dict(key))


class Counter:
    """A sum by labels."""

    def __init__(self, name: str, doc: str) -> None:
        self.name = name
        self._doc = doc
        self._series: dict[tuple[tuple[str, str], ...], float] = {}

    def add(self, value: float, labels: Labels) -> None:
        key = _bounded(labels, self._series)
        self._series[key] = self._series.get(key, 0) + value

    def lines(self) -> Iterator[str]:
        yield from _preamble(self.name, self._doc, "counter")
        for key, value in self._series.items():
            yield sample(self.name, value, dict(key))


class Gauge:
    """Values that are looked up when they are asked for, each with its labels."""

    def __init__(self, name: str, doc: str, look: Callable[[], Iterable[tuple[float, Labels]]]) -> None:
        self.name = name
        self._doc = doc
        self._look = look

    def lines(self) -> Iterator[str]:
        yield from _preamble(self.name, self._doc, "gauge")
        for value, labels in self._look():
            yield sample(self.name, value, labels)


class Metrics:
    """`scrub` takes known secrets out of labels: names of models come from clients."""

    def __init__(self, gauges: Sequence[Gauge] = (), scrub: Callable[[str], str] = str) -> None:
        self._scrub = scrub
        self._http = Histogram("http_server_request_duration_seconds", "Requests that were answered.", SECONDS)
        self._operations = Histogram(
            "gen_ai_client_operation_duration_seconds", "Requests to models, from the first byte to the last.", SECONDS
        )
        self._tokens = Histogram("gen_ai_client_token_usage", "Tokens of a request, by kind.", TOKENS)
        self._tools = Histogram("mcp_client_operation_duration_seconds", "Calls of tools.", SECONDS)
        self._by_caller = Counter("woollama_caller_tokens_total", "Tokens by who asked, and by kind.")
        self._cost = Counter("woollama_cost_usd_total", "What answers of models with a price cost, in US dollars.")
        counted = (self._http, self._operations, self._tokens, self._tools, self._by_caller, self._cost)
        self._parts: tuple[Histogram | Counter | Gauge, ...] = (*counted, *gauges)

    def __repr__(self) -> str:
        return f"<Metrics {', '.join(part.name for part in self._parts)}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        text = "".join(f"{line}\n" for part in self._parts for line in part.lines())
        body = self._scrub(text).encode()
        headers = [
            (b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def see_request(self, method: str, status: int, seconds: float, fields: Mapping[str, Field], caller: str) -> None:
        """A request is over. `fields` are those of its log line; one with a `surface` was for a model.

        `caller` is one of few: the name of a token, or the way in.
        """
        error = str(fields.get("error") or "")
        http = {"http_request_method": method, "http_response_status_code": str(status), "error_type": error}
        self._http.observe(seconds, http)
        if fields.get("surface") is not None:
            self._see_answer(seconds, error, fields, caller)

    def see_sampling(self, fields: Mapping[str, Field], caller: str) -> None:
        """A model has answered a tool server, or failed to. `fields` are those of its log line."""
        self.see_turn({**fields, "surface": "sampling"}, caller)

    def see_turn(self, fields: Mapping[str, Field], caller: str) -> None:
        """A turn beside all requests is over. `fields` are those of its log line, its `surface` among them."""
        self._see_answer(float(fields.get("ms") or 0) / 1000, str(fields.get("error") or ""), fields, caller)

    def _see_answer(self, seconds: float, error: str, fields: Mapping[str, Field], caller: str) -> None:
        surface = fields["surface"]
        inferencer, _, model = str(fields.get("target") or "").partition("/")
        labels = {
            "gen_ai_operation_name": _OPERATIONS.get(str(surface), str(surface).replace("/", "_")),
            "gen_ai_provider_name": inferencer,
            "gen_ai_request_model": model,
        }
        self._operations.observe(seconds, {**labels, "error_type": error})
        for kind, name in (("input", "tokens_in"), ("output", "tokens_out")):
            if isinstance(count := fields.get(name), int):
                self._tokens.observe(count, {**labels, "gen_ai_token_type": kind})
                self._by_caller.add(count, {"caller": caller, "gen_ai_token_type": kind})
        if isinstance(cost_usd := fields.get("cost_usd"), float):
            self._cost.add(cost_usd, {**labels, "caller": caller})

    def see_tool(self, fields: Mapping[str, Field]) -> None:
        """A call of a tool is over. `fields` are those of its log line."""
        labels = {
            "mcp_method_name": "tools/call",
            "server": str(fields.get("server") or ""),
            "gen_ai_tool_name": str(fields.get("tool") or ""),
            "outcome": str(fields.get("outcome") or "cancelled"),
        }
        self._tools.observe(float(fields.get("ms") or 0) / 1000, labels)


def _bounded(labels: Labels, series: Collection[tuple[tuple[str, str], ...]]) -> tuple[tuple[str, str], ...]:
    key = tuple(labels.items())
    if key not in series and len(series) >= SERIES_LIMIT:
        return tuple((name, OTHER) for name in labels)
    return key


def sample(name: str, value: float, labels: Labels) -> str:
    named = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{named}}} {value:g}" if named else f"{name} {value:g}"


def _preamble(name: str, doc: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {doc}"
    yield f"# TYPE {name} {kind}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def usual_gauges(servers: ToolServers, runs: Sized, version: str) -> list[Gauge]:
    """What can be read off at any time: how the tool servers are, how many turns there are, and what runs here."""
    up = Gauge(
        "woollama_tool_server_up",
        "Whether a tool server can be called.",
        lambda: [(server.health == "ready", {"server": server.name}) for server in servers.health()],
    )
    turns = Gauge("woollama_runs", "Turns in progress.", lambda: [(len(runs), {})])
    info = Gauge("woollama_info", "What runs here.", lambda: [(1, {"version": version})])
    return [up, turns, info]
