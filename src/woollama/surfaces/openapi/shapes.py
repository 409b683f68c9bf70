"""The shapes of our own routes in full, and of others' what we read of them. Names of `#/components/schemas`."""

from __future__ import annotations

from collections.abc import Mapping

from woollama.domain.capabilities import CAPABILITIES
from woollama.surfaces.openapi.operations import Schema, array, flag, maybe, number, ref, table, text, whole
from woollama.surfaces.openapi.state import STATE_SCHEMAS

_ANY: Schema = {"type": "object"}
_SEVERITY = text(enum=["error", "warning", "note"])
_MODEL = text("inferencer/model, woollama/recipe, an alias, or a bare name of one", examples=["woollama/assistant"])
_PROMPT = {"description": "A text, or a list of messages", "anyOf": [text(), array(_ANY)]}

OWN: Mapping[str, Schema] = {
    "Error": table(
        error=table(
            message=text(),
            type=text(),
            param=maybe(text("The field that is wrong")),
            code=text(),
            at_fault=text("Who has to change something", enum=["client", "router", "upstream", "tool"]),
        )
    ),
    "Health": table(ok=flag(), service=text(), version=text()),
    "Readiness": table(ready=flag(), waiting_for=array(text("A tool server that is still starting"))),
    "Server": table(
        "How a tool server is.",
        name=text(),
        transport=text(enum=["stdio", "http", "sse"]),
        health=text(enum=["starting", "ready", "down", "needs login", "disabled"]),
        tools=whole("How many tools it has"),
        attempts=whole("How often it was started"),
        last_error=maybe(text("Why it is down")),
        changed=array(text("A tool that is not what it was when first seen")),
        quarantined=array(text("One of those that is not offered until the owner accepts it")),
        login_wanted=maybe(text("For what a server that is ready wants a login, or one that allows more")),
    ),
    "ChangedTool": table(
        "A tool that is not what it was when it was first seen.",
        name=text(),
        pin=text("Whether it is still offered", enum=["changed", "quarantined"]),
        digest=text("What it is now, as one word"),
        before={"type": "object", "description": "Title, description, schemas and annotations when first seen"},
        now={"type": "object", "description": "The same as they are now"},
    ),
    "ChangedTools": table(data=array(ref("ChangedTool"))),
    "Trust": table(tools={"type": "object", "description": "The tools to accept by name, each with its digest"}),
    "Trusted": table(accepted=array(text("A tool"))),
    "Servers": table(data=array(ref("Server"))),
    "Process": table(
        "A process that the daemon has started, or may start.",
        name=text(),
        kind=text(enum=["tool_server", "model", "answer", "worker", "supervisor"]),
        state=text(enum=["starting", "ready", "down", "stopped", "stopping"]),
        pid=maybe(whole()),
        keeper_pid=maybe(whole("The process that ends it with all that it started")),
        started_at=maybe(number("Unix time")),
        uptime_s=maybe(number("How long it has been running")),
        memory_bytes=maybe(whole("Resident memory with all that it started; null where that is not known")),
        restarts=whole("How often it was started after the first time"),
        idle_stop_in_s=maybe(number("When it is stopped, if nobody uses it until then")),
        last_error=maybe(text("Why it is down")),
    ),
    "Processes": table(data=array(ref("Process"))),
    "Tool": table(
        name=text("server.tool"),
        server=text(),
        tool=text(),
        description=text(),
        tokens=whole("About what it costs to offer it, in each round; 0 where it is not offered"),
    ),
    "RecipeCost": table(
        "What a recipe's tools cost.",
        name=text(),
        tools=whole(),
        tokens=whole("About what it costs to offer all of them, in each round"),
        budget_tokens=whole("0: no budget"),
        found=flag("They cost more than the budget, so they are found instead of shown"),
    ),
    "Tools": table(
        tools=array(text("server.tool")),
        data=array(ref("Tool")),
        servers=array(ref("Server")),
        recipes=array(ref("RecipeCost")),
    ),
    "Approval": table(
        "A call that needs a yes, or a question that a tool asks.",
        id=text(),
        kind=text(enum=["call", "question"]),
        name=text("server.tool"),
        server=text(),
        tool=text(),
        args=text("The arguments as they will be sent, as JSON text"),
        command_preview=text("One line for people"),
        question=maybe({"type": "object", "description": "The message and the form of a question"}),
        annotations={"type": "object", "description": "What the server says of the tool"},
        pin=text(
            "Whether the tool is what it was when first seen", enum=["unknown", "known", "changed", "quarantined"]
        ),
        recipe=maybe(text()),
        caller=text("Who asks, as it calls itself"),
        run=maybe(text()),
        asked_at=number("Unix time in seconds"),
        expires_at=number("Unix time in seconds"),
        optional={"nonce": text("For an answer over TCP")},
    ),
    "Approvals": table(data=array(ref("Approval"))),
    "Decision": table(
        decision=text(enum=["approve", "deny"]),
        optional={
            "remember": text(enum=["once", "conversation", "always"]),
            "content": {"type": "object", "description": "What was filled in, where a tool has asked"},
            "nonce": text("From the listing; needed over TCP"),
        },
    ),
    "Decided": table(
        id=text(),
        decision=text(enum=["approve", "deny"]),
        remember=text("What it was remembered for", enum=["once", "conversation", "always"]),
    ),
    "PatternVariable": table(
        name=text(), optional={"default": text(), "choices": array(text()), "description": text()}
    ),
    "Pattern": table(
        name=text(),
        description=text(),
        variables=array(ref("PatternVariable")),
        source=text(enum=["recipe", "fabric"]),
    ),
    "Patterns": table(data=array(ref("Pattern"))),
    "Render": table(
        opened=True,
        optional={"input": text(), "variables": {"type": "object", "additionalProperties": text()}},
    ),
    "Rendered": table(prompt=text("The system text, a blank line and the input")),
    "RunPattern": table(
        "Other members are those of a chat completion.",
        opened=True,
        input=_PROMPT,
        optional={
            "variables": {"type": "object", "additionalProperties": text()},
            "model": _MODEL,
            "stream": flag(),
            "options": _ANY,
        },
    ),
    "Problem": table(
        severity=_SEVERITY,
        file=maybe(text()),
        line=maybe({"type": "integer", "minimum": 1}),
        key=text("Dotted, such as recipes.demo.max_turns"),
        message=text(),
        suggestion=text(),
        left_out=maybe(text("The entry that is not in force because of it")),
    ),
    "Pending": table(
        "A change in a file that takes effect only when the owner reloads.", what=text(), name=text(), why=text()
    ),
    "Change": table(what=text(), name=text(), how=text()),
    "Configuration": table(
        since=number("Unix time"),
        pending=array(ref("Pending")),
        problems=array(ref("Problem")),
        needs_restart=array(text("A key that takes effect at the next start")),
    ),
    "Reloaded": table(
        reloaded=flag("False: the files cannot be read, and the configuration before goes on"),
        changed=array(ref("Change")),
        pending=array(ref("Pending")),
        problems=array(ref("Problem")),
        needs_restart=array(text()),
    ),
    "InferencerHealth": table(
        name=text(),
        models=whole("How many models of it are known"),
        cooling_s=number("How long it is still tried last"),
        last_error=maybe(text()),
    ),
    "Status": table(
        opened=True,
        version=text(),
        started_at=number("Unix time"),
        uptime_s=number("Seconds"),
        ready=flag(),
        waiting_for=array(text()),
        recipes=whole(),
        aliases=whole(),
        inferencers=array(ref("InferencerHealth")),
        servers=array(ref("Server")),
        tools=whole(),
        tool_tokens={
            "type": "object",
            "additionalProperties": whole("Tokens that its tools take in each round, by recipe"),
        },
        runs=whole("Turns in progress"),
        pending=array(ref("Pending")),
        problems=array(ref("Problem")),
        needs_restart=array(text()),
    ),
}

OTHERS: Mapping[str, Schema] = {
    "Model": table(
        "One shape that satisfies the SDKs of OpenAI and Anthropic.",
        opened=True,
        id=_MODEL,
        object=text(const="model"),
        type=text(const="model"),
        created=whole("Unix time"),
        created_at=text(),
        owned_by=text("The inferencer, or woollama for recipes"),
        display_name=text(),
        optional={
            "x_woollama": table(
                "Only where something is declared.",
                capabilities=array(text("What is declared of it", enum=[*CAPABILITIES])),
            )
        },
    ),
    "Models": table(
        opened=True,
        object=text(const="list"),
        data=array(ref("Model")),
        has_more=flag(),
        first_id=maybe(text()),
        last_id=maybe(text()),
    ),
    "ChatRequest": table(
        "As OpenAI writes it; fields that are not listed go to the target as they are, where it takes them.",
        opened=True,
        model=_MODEL,
        messages=array(_ANY),
        optional={
            "stream": flag(),
            "stream_options": _ANY,
            "tools": array(_ANY),
            "tool_choice": {},
            "temperature": {"type": "number"},
            "top_p": {"type": "number"},
            "max_tokens": {"type": "integer"},
            "max_completion_tokens": {"type": "integer"},
            "stop": {},
            "response_format": _ANY,
            "reasoning_effort": text(),
            "seed": {"type": "integer"},
            "metadata": _ANY,
            "options": {"type": "object", "description": "Ollama's own settings"},
        },
    ),
    "ResponsesRequest": table(
        "As OpenAI's Responses API writes it.",
        opened=True,
        model=_MODEL,
        input=_PROMPT,
        optional={
            "instructions": text(),
            "stream": flag(),
            "tools": array(_ANY),
            "tool_choice": {},
            "store": flag(),
            "previous_response_id": text(),
            "conversation": {},
            "key": text("A conversation's name, which the first turn makes"),
            "background": flag(),
            "max_output_tokens": {"type": "integer"},
            "temperature": {"type": "number"},
            "text": _ANY,
            "reasoning": _ANY,
        },
    ),
    "MessagesRequest": table(
        "As Anthropic's Messages API writes it.",
        opened=True,
        model=_MODEL,
        messages=array(_ANY),
        optional={
            "max_tokens": {"type": "integer"},
            "system": {},
            "stream": flag(),
            "tools": array(_ANY),
            "tool_choice": _ANY,
            "thinking": _ANY,
            "temperature": {"type": "number"},
            "stop_sequences": array(text()),
        },
    ),
    "MessagesError": table(
        opened=True, type=text(const="error"), error=table(opened=True, type=text(), message=text())
    ),
    "TokenCount": table(opened=True, input_tokens=whole()),
    "OllamaRequest": table(
        "As Ollama's API writes it.",
        opened=True,
        model=_MODEL,
        optional={"stream": flag(), "options": _ANY, "keep_alive": {}, "think": {}, "format": {}},
    ),
    "OllamaError": table(opened=True, error=text()),
    "RelayedRequest": table("Relayed to the model's inferencer as it is.", opened=True, model=_MODEL),
    "RelayedForm": table(
        "Relayed to the model's inferencer as it is; `model` may stand before or behind the file.",
        opened=True,
        model=_MODEL,
    ),
    "Opaque": {"type": "object", "description": "As its API defines it."},
    "JsonRpc": {
        "description": "A message of JSON-RPC 2.0, or several",
        "anyOf": [table(opened=True, jsonrpc=text(const="2.0")), array(_ANY)],
    },
}

SCHEMAS: Mapping[str, Schema] = {**OWN, **OTHERS, **STATE_SCHEMAS}
