"""The OpenAPI document as one page: no script, nothing loaded from anywhere, and a policy that allows neither."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from woollama.surfaces.openapi.document import UNIX_ONLY
from woollama.surfaces.openapi.operations import EVENTS, FORM

_STREAMS = (EVENTS, "application/x-ndjson")
_STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")


def headers() -> list[tuple[bytes, bytes]]:
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-cache"),
    ]


def page(document: Mapping[str, Any]) -> str:
    info = document["info"]
    tags: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            tags.setdefault(told["tags"][0], []).append(_operation(method.upper(), path, told))
    links = "".join(f'<a href="#{_anchor(tag)}">{escape(tag)}</a>' for tag in [*tags, "Shapes"])
    routes = "".join(f'<h2 id="{_anchor(tag)}">{escape(tag)}</h2>{"".join(found)}' for tag, found in tags.items())
    shapes = "".join(_shape(name, schema) for name, schema in document["components"]["schemas"].items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>woollama: routes</title><style>{_STYLE}</style></head><body>"
        f"<h1>woollama {escape(info['version'])}</h1>{_prose(info['description'])}"
        '<p><a href="/openapi.json">openapi.json</a> · <a href="/v1/models">models</a> · '
        '<a href="/v1/tools">tools</a></p>'
        f'<nav>{links}</nav><main>{routes}<h2 id="{_anchor("Shapes")}">Shapes</h2>{shapes}</main></body></html>'
    )


def _operation(method: str, path: str, told: Mapping[str, Any]) -> str:
    parts = [_prose(told["description"])] if "description" in told else []
    if parameters := told.get("parameters"):
        rows = [
            (each["name"], f"in the {each['in']}: {_kind(each['schema'])}", each.get("description", ""))
            for each in parameters
        ]
        parts.append("<h3>Parameters</h3>" + _table(rows))
    body = told.get("requestBody", {}).get("content", {})
    if body:
        parts.append("<h3>Body</h3>" + _contents(body))
    answers = "".join(
        f"<tr><th>{escape(status)}</th><td>{_contents(answer.get('content', {}))}</td>"
        f"<td>{_inline(answer['description'])}</td></tr>"
        for status, answer in told["responses"].items()
    )
    parts.append(f"<h3>Answers</h3><table>{answers}</table>")
    parts.append(f"<h3>Example</h3><pre><code>{escape(curl(method, path, told))}</code></pre>")
    return (
        f'<details id="{told["operationId"]}"><summary><span><span class="method">{method}</span>'
        f'<code>{escape(path)}</code></span><span class="say">{_inline(told["summary"])}</span></summary>'
        f'<div class="inside">{"".join(parts)}</div></details>'
    )


def curl(method: str, path: str, told: Mapping[str, Any]) -> str:
    """A command that makes the request; what the reader has to fill in stands in capitals."""
    address = re.sub(r"\{(\w+)\}", lambda found: found[1].upper(), path)
    words = ["curl -sS"]
    if any(kind in each.get("content", {}) for each in told["responses"].values() for kind in _STREAMS):
        words = ["curl -sSN"]
    if UNIX_ONLY in told:
        words.append('--unix-socket "$XDG_RUNTIME_DIR/woollama.sock" http://localhost' + address)
    else:
        words.append(f"http://127.0.0.1:11435{address}")
    body = told.get("requestBody", {}).get("content", {})
    if FORM in body:
        words += ["-F model=INFERENCER/MODEL", "-F file=@FILE"]
    elif body:
        example = next(iter(body.values())).get("example", {})
        words += ["-H 'content-type: application/json'", f"-d {shlex.quote(json.dumps(example))}"]
    elif method != "GET":
        words.append(f"-X {method}")
    return f"{words[0]} {words[1]}" + "".join(f" \\\n  {word}" for word in words[2:])


def _contents(contents: Mapping[str, Any]) -> str:
    shown = [f"<code>{escape(kind)}</code> {_kind(each.get('schema', {}))}" for kind, each in contents.items()]
    return "<br>".join(shown)


def _shape(name: str, schema: Mapping[str, Any]) -> str:
    needed = schema.get("required", ())
    rows = [
        (key, _kind(each) + ("" if key in needed else ", optional"), each.get("description", ""))
        for key, each in schema.get("properties", {}).items()
    ]
    described = _prose(schema["description"]) if "description" in schema else ""
    return (
        f'<details id="shape-{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f'<div class="inside">{described}{_table(rows) if rows else _kind(schema)}</div></details>'
    )


def _kind(schema: Mapping[str, Any]) -> str:
    """What a schema asks for, in a word or a few; already HTML."""
    match schema:
        case {"$ref": str(where)}:
            name = escape(where.rpartition("/")[2])
            return f'<a href="#shape-{name}">{name}</a>'
        case {"enum": list(words)}:
            return ", ".join(f"<code>{escape(str(word))}</code>" for word in words)
        case {"const": value}:
            return f"<code>{escape(str(value))}</code>"
        case {"type": "array", "items": items}:
            return f"list of {_kind(items)}"
        case {"type": "object", "properties": dict(inner)}:
            return "object: " + ", ".join(f"<code>{escape(key)}</code>" for key in inner)
        case {"type": list(kinds)}:
            return " or ".join(escape(kind) for kind in kinds)
        case {"type": str(kind)}:
            return escape(kind)
        case {"anyOf": list(choices)}:
            return " or ".join(_kind(choice) for choice in choices)
        case _:
            return "anything"


def _table(rows: list[tuple[str, str, str]]) -> str:
    shown = (f"<tr><th><code>{escape(a)}</code></th><td>{b}</td><td>{_inline(c)}</td></tr>" for a, b, c in rows)
    return f"<table>{''.join(shown)}</table>"


def _prose(text: str) -> str:
    return "".join(f"<p>{_inline(part)}</p>" for part in text.split("\n\n"))


def _inline(text: str) -> str:
    return "".join(_pieces(text))


def _pieces(text: str) -> Iterator[str]:
    for index, piece in enumerate(text.split("`")):
        yield f"<code>{escape(piece)}</code>" if index % 2 else escape(piece)


def _anchor(tag: str) -> str:
    return re.sub(r"\W+", "-", tag.lower())
