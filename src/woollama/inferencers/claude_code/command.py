"""How `claude` is run: which program, with which flags, and what its environment says and does not say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from woollama.domain.turns import Call

PROGRAM_VARIABLE = "WOOLLAMA_CLAUDE_BIN"
PROGRAM = "claude"
SERVER = "w"
"""Our tool server as the program knows it. Short, because the model sees it before the name of every tool."""
TOOL_PREFIX = f"mcp__{SERVER}__"

EFFORTS: Mapping[str, str] = {
    "minimal": "low",
    **{word: word for word in ("low", "medium", "high", "xhigh", "max")},
}
NOT_KEPT = ("--no-session-persistence",)
_FOR_EVER_MS = 2**31 - 1
_ALWAYS: Mapping[str, str] = {
    # `@path` in a prompt would make it read that file and show it to the model, and a prompt may be anybody's.
    "CLAUDE_CODE_DISABLE_ATTACHMENTS": "1",
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    # One who tries again is enough, and that is the router.
    "CLAUDE_CODE_MAX_RETRIES": "0",
    "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",
    "DISABLE_AUTOUPDATER": "1",
    # What tools are offered, how long they take and how much they say is decided on our side.
    "ENABLE_TOOL_SEARCH": "false",
    "MCP_TOOL_TIMEOUT": str(_FOR_EVER_MS),
    "MAX_MCP_OUTPUT_TOKENS": str(_FOR_EVER_MS),
}


def program_of(environ: Mapping[str, str]) -> str:
    return environ.get(PROGRAM_VARIABLE) or PROGRAM


def is_installed(program: str, environ: Mapping[str, str]) -> bool:
    return shutil.which(program, path=environ.get("PATH")) is not None


def arguments(call: Call, system_file: Path, *, tools: bool, session: Sequence[str] = NOT_KEPT) -> Sequence[str]:
    """Everything after the program's name for one answer, `session` among it. The prompt is not: it goes to stdin."""
    flags = [
        *("--print", "--verbose", "--include-partial-messages", *session),
        *("--input-format", "stream-json", "--output-format", "stream-json"),
        # In one word with its flag: a name that a client made up must not be taken for a flag.
        f"--model={call.target.model}",
        *("--system-prompt-file", str(system_file)),
        # Nothing of its own, and nothing of what its user has set up for sitting in front of it.
        *("--tools", "", "--setting-sources", "", "--strict-mcp-config", "--disable-slash-commands"),
    ]
    if tools:
        servers = {"mcpServers": {SERVER: {"type": "sdk", "name": SERVER}}}
        flags += ["--mcp-config", json.dumps(servers), "--allowed-tools", TOOL_PREFIX.removesuffix("__")]
    if effort := EFFORTS.get(call.params.reasoning_effort or ""):
        flags.append(f"--effort={effort}")
    return flags


def environment(call: Call, kept: Mapping[str, str], configured: Mapping[str, str]) -> Mapping[str, str]:
    """All of its environment. `kept` is the minimal one, without any key of ours; `configured` the user's own words."""
    limits: dict[str, str] = {}
    if call.params.max_tokens is not None:
        limits["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] = str(call.params.max_tokens)
    if call.params.reasoning_budget_tokens is not None:
        limits["MAX_THINKING_TOKENS"] = str(call.params.reasoning_budget_tokens)
    elif call.params.reasoning_effort == "none":
        limits["MAX_THINKING_TOKENS"] = "0"
    # What a session was told stays in it, so there nobody but the program can try again.
    again = {} if call.session is None else {"CLAUDE_CODE_MAX_RETRIES": "2"}
    return {**kept, **_ALWAYS, **again, **configured, **limits}
