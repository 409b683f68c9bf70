"""The MCP SDK's client, of its second and of its first generation, over Streamable HTTP and over stdio."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from checks import PLAIN, check, main

FIRST = version("mcp").startswith("1.")


@asynccontextmanager
async def over_http(base: str, mode: str) -> AsyncIterator[Any]:
    if FIRST:
        from mcp import ClientSession
        from mcp.client.streamable_http import streamablehttp_client

        async with streamablehttp_client(f"{base}/mcp") as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            yield session
    else:
        from mcp import Client

        async with Client(f"{base}/mcp", mode=mode) as client:
            yield client


MODES = ("handshake",) if FIRST else ("auto", "legacy")


def told(result: Any) -> Any:
    return result.structuredContent if FIRST else result.structured_content


@check
async def tools_are_listed_and_called(base: str) -> None:
    for mode in MODES:
        async with over_http(base, mode) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert {"chat", "textops__uppercase"} <= names, names
            result = await client.call_tool("textops__uppercase", {"text": "abc"})
            assert "ABC" in result.content[0].text


@check
async def chat_answers_with_progress(base: str) -> None:
    for mode in MODES:
        steps: list[str] = []

        async def progress(done: float, total: float | None, message: str | None, steps: list[str] = steps) -> None:
            steps.append(message or "")

        async with over_http(base, mode) as client:
            asked = {"messages": [{"role": "user", "content": "hello"}], "recipe": "case-plain"}
            result = await client.call_tool("chat", asked, progress_callback=progress)
            assert result.content[0].text == told(result)["text"] == "You said: hello"
            assert told(result)["usage"]["total_tokens"] == 18
        assert steps[0] == f"asking {PLAIN}", steps
        assert "".join(steps[2:]).endswith("hello"), steps


@check
async def recipes_are_prompts(base: str) -> None:
    for mode in MODES:
        async with over_http(base, mode) as client:
            found = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
            assert [argument.name for argument in found["case-plain"].arguments] == ["language"]
            said = await client.get_prompt("case-plain", {"language": "Deutsch"})
            assert said.messages[0].content.text == "Answer in Deutsch."


@check
async def what_does_not_exist_is_an_error(base: str) -> None:
    for mode in MODES:
        async with over_http(base, mode) as client:
            try:
                result = await client.call_tool("no_such_tool", {})
            except Exception as error:
                assert "no_such_tool" in str(error), error
            else:
                assert result.isError if FIRST else result.is_error, result


if __name__ == "__main__":
    sys.exit(main())
