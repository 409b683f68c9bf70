"""Streams in silence: each dialect says in its own way that somebody is still there."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests import chat_wire, ollama_wire
from tests.surfaces.tables import GOLDEN, PATIENCE_S, table
from tests.upstream import Answer, head, in_chunks, sse
from woollama.surfaces import anthropic_messages
from woollama.surfaces.ollama import chat

ASKED: dict[str, Any] = {"max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "x"}]}


def halting_chat(go_on: asyncio.Event) -> Answer:
    frames = chat_wire.frames("one two")
    return sse([*frames[:2], go_on, *frames[2:]])


def halting_messages(go_on: asyncio.Event) -> Answer:
    raw = (GOLDEN / "anthropic/text.sse").read_bytes()
    frames = [frame + b"\n\n" for frame in raw.split(b"\n\n") if frame.strip() and b"ping" not in frame]
    return sse([*frames[:3], go_on, *frames[3:]])


def halting_lines(go_on: asyncio.Event) -> Answer:
    lines = ollama_wire.lines("one two")
    opening = head(200, {"content-type": ollama_wire.CONTENT_TYPE}, "transfer-encoding: chunked")
    return Answer((opening, *in_chunks(lines[:1]), go_on, *in_chunks(lines[1:]), b"0\r\n\r\n"))


@pytest.mark.parametrize(
    ("path", "model", "halting", "sign"),
    [
        ("/v1/messages", "mock/m", halting_chat, anthropic_messages.SHAPE.heartbeat),
        ("/v1/messages", "claude/m", halting_messages, anthropic_messages.SHAPE.heartbeat),
        ("/api/chat", "mock/m", halting_chat, chat.SHAPE.heartbeat),
        ("/api/chat", "llama/m", halting_lines, chat.SHAPE.heartbeat),
    ],
)
async def test_a_silent_stream_shows_that_it_lives(
    path: str, model: str, halting: Any, sign: bytes, tmp_path: Path
) -> None:
    (tmp_path / "woollama.toml").write_text('[server]\nheartbeat = "50ms"\n')
    go_on = asyncio.Event()
    seen = b""
    async with table(tmp_path) as sat, asyncio.timeout(PATIENCE_S):
        sat.upstream.answers(halting(go_on))
        async with sat.client.stream("POST", path, json={**ASKED, "model": model}) as answer:
            async for chunk in answer.aiter_raw():
                seen += chunk
                if seen.endswith(sign):  # between two frames, never inside one
                    go_on.set()
    assert sign in seen
    if path == "/api/chat":
        lines = [json.loads(line) for line in seen.splitlines()]
        assert "".join(line["message"]["content"] for line in lines) == "one two"
        assert lines[-1]["done"] is True
    else:
        assert seen.rstrip().endswith(b'{"type":"message_stop"}') or b"event: message_stop" in seen
