"""JSON schemas of the four files, for editors: what the model says, in the words of draft 2020-12.

Our own files are closed, a key that nobody knows is marked; mcp.json's shapes belong to others, and it is open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from woollama.config.entries import OWN_NAME
from woollama.config.mcp_json import STORE
from woollama.config.model import ConversationStore, Inferencer, Patterns, Price, Recipe, Token, ToolServer
from woollama.config.records import record_schema
from woollama.config.values import Schema, flag, some_text, text_schema
from woollama.config.woollama_toml import SECTIONS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_OFF: Schema = {"description": "switches the entry off, a shipped one too", "default": False, **flag.schema}
_IS_OFF: Schema = {"properties": {"disabled": {"const": True}}, "required": ["disabled"]}
_NAMES: Schema = {"pattern": r"^[^/]*[^/\s][^/]*$", "not": {"const": OWN_NAME}}


def schema_of(file: str) -> dict[str, Any]:
    """The JSON schema of a file by its name, `recipes.toml`. Raises `KeyError` if there is no such file."""
    made = _MAKERS[file]()
    return {"$schema": DIALECT, "title": f"{file} of woollama", **made}


def _recipes() -> dict[str, Any]:
    recipe = record_schema(Recipe, more={"disabled": _OFF})
    needed = {"required": recipe.pop("required")}
    recipe |= {"description": "a model with its words, its tools and its limits", "anyOf": [needed, _IS_OFF]}
    aliases = {
        "type": "object",
        "description": "further names of models",
        "propertyNames": {"pattern": r"\S"},
        "additionalProperties": {"description": "a model, as inferencer/model or woollama/recipe", **some_text.schema},
    }
    patterns = record_schema(Patterns) | {"description": "a directory whose <name>/system.md files are recipes"}
    return _closed(
        {"aliases": aliases, "recipes": _entries(recipe, "recipes by name"), "patterns": patterns},
        "Recipes and aliases: names of your own for models.",
    )


def _inferencers() -> dict[str, Any]:
    inferencer = record_schema(Inferencer, more={"disabled": _OFF})
    inferencer |= {"description": "laid over the shipped one of its name, key by key"}
    return _closed(
        {"inferencers": _entries(inferencer, "inferencers by name")},
        "Who answers: engines and providers.",
    )


def _daemon() -> dict[str, Any]:
    sections: dict[str, Schema] = {name: record_schema(cls) for name, cls in SECTIONS.items()}
    token = record_schema(Token, more={"disabled": _OFF})
    sections["tokens"] = _entries(token, "tokens of clients by name; their values are in the environment")
    sections["prices"] = {
        "type": "object",
        "description": "what tokens cost, by globs over inferencer/model",
        "additionalProperties": record_schema(Price),
    }
    return _closed(sections, "The daemon itself.")


def _servers() -> dict[str, Any]:
    server = record_schema(ToolServer, opened=True)
    server |= {
        "description": "an MCP server: a command that is started, or a url",
        "if": _IS_OFF,
        "else": {"oneOf": [{"required": ["command"]}, {"required": ["url"]}, {"required": ["serverUrl"]}]},
    }
    inputs = {
        "type": "array",
        "description": "what ${input:id} in a value stands for; answered by WOOLLAMA_INPUT_<ID> or a secret file",
        "items": {"type": "object", "properties": {"id": text_schema(r"\S")}, "required": ["id"]},
    }
    properties = {
        "mcpServers": _entries({"$ref": "#/$defs/server"}, "servers by name"),
        "servers": _entries({"$ref": "#/$defs/server"}, "servers by name, as VS Code has them"),
        "context_servers": _entries({"$ref": "#/$defs/server"}, "servers by name, as Zed has them"),
        "inputs": inputs,
        STORE: {
            "description": "who keeps conversations: a tool server by its name, a database, a service, or nobody",
            "anyOf": [record_schema(ConversationStore), text_schema(r"\S"), {"type": "null"}],
        },
    }
    made = _closed(properties, "Tool servers.")
    del made["additionalProperties"]
    return {**made, "$defs": {"server": server}, "allowComments": True, "allowTrailingCommas": True}


def _entries(entry: Schema, description: str) -> Schema:
    return {"type": "object", "description": description, "propertyNames": _NAMES, "additionalProperties": entry}


def _closed(properties: Mapping[str, Schema], description: str) -> dict[str, Any]:
    return {
        "description": description,
        "type": "object",
        "properties": dict(properties),
        "additionalProperties": False,
    }


_MAKERS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "recipes.toml": _recipes,
    "mcp.json": _servers,
    "inferencers.toml": _inferencers,
    "woollama.toml": _daemon,
}
