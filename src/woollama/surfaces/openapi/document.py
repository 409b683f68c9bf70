"""The OpenAPI document of the routes that are served."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from woollama.surfaces.openapi.described import OPERATIONS
from woollama.surfaces.openapi.operations import JSON, Answer, Body, Operation, Schema, ref
from woollama.surfaces.openapi.shapes import SCHEMAS

UNIX_ONLY = "x-unix-socket-only"
_PART = re.compile(r"\{(\w+)(?::\w+)?\}")
_DESCRIPTION = """One door for models and tools. Routes under `/v1` are OpenAI's and Anthropic's and also answer without
their `/v1` and with a doubled one; those under `/w1` are woollama's own. An error has the shape of the
API that was spoken.

Any key is accepted from this machine's own user; with `WOOLLAMA_TOKEN` set, every request over TCP needs it. A request
needs a `Host` that the daemon knows, and one with an `Origin` an origin that is allowed."""
_SECURITY: Mapping[str, Schema] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "WOOLLAMA_TOKEN, or a client's own token"},
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "The same, as Anthropic's clients do",
    },
}
_ERROR = "What is wrong, and who has to change something"


def document(routes: Iterable[tuple[str, str]], version: str) -> dict[str, Any]:
    """The document of these (method, path) pairs."""
    paths: dict[str, dict[str, Any]] = {}
    for method, path in routes:
        shown = plain(path)
        paths.setdefault(shown, {})[method.lower()] = _operation(method, shown)
    return {
        "openapi": "3.1.0",
        "info": {"title": "woollama", "version": version, "description": _DESCRIPTION},
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}, {"key": []}],
        "paths": paths,
        "components": {"schemas": dict(SCHEMAS), "securitySchemes": dict(_SECURITY)},
    }


def plain(path: str) -> str:
    """A route's path without what only the router has to know of its parts: `{model:path}` is `{model}`."""
    return _PART.sub(r"{\1}", path)


def _operation(method: str, path: str) -> dict[str, Any]:
    told = OPERATIONS.get((method, path)) or Operation("Others", f"{method} {path}")
    given = told.answers or {200: Answer("The answer", {"*/*": {}})}
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
            **told.parameters.get(name, {}),
        }
        for name in _PART.findall(path)
    ]
    parameters += [_asked(name, dict(schema)) for name, schema in told.query.items()]
    described = " ".join(filter(None, (told.description, "Over the unix socket only." if told.unix_only else "")))
    return {
        "operationId": _id(method, path),
        "tags": [told.tag],
        "summary": told.summary,
        **({"description": described} if described else {}),
        **({UNIX_ONLY: True} if told.unix_only else {}),
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": _body(told.body)} if told.body else {}),
        "responses": {
            **{str(status): _answer(answer) for status, answer in given.items()},
            "default": _answer(Answer(_ERROR, {JSON: ref(told.error)})),
        },
    }


def _asked(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": schema.pop("description"), "schema": schema}


def _body(body: Body) -> dict[str, Any]:
    example = {"example": body.example} if body.example else {}
    return {
        "required": True,
        "content": {kind: {"schema": schema, **example} for kind, schema in body.contents.items()},
    }


def _answer(answer: Answer) -> dict[str, Any]:
    contents = {kind: {"schema": schema} if schema else {} for kind, schema in answer.contents.items()}
    return {"description": answer.description, **({"content": contents} if contents else {})}


def _id(method: str, path: str) -> str:
    """`post_v1_chat_completions`; a slash at the end counts, too."""
    return method.lower() + re.sub(r"\W+", "_", path).rstrip("_") + ("_slash" if path.endswith("/") else "")
