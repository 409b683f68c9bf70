"""FastMCP's client over Streamable HTTP."""

from __future__ import annotations

from checks import check, main
from fastmcp import Client


@check
async def tools_are_listed_and_called(base: str) -> None:
    async with Client(f"{base}/mcp") as client:
        assert {"chat", "textops__uppercase"} <= {tool.name for tool in await client.list_tools()}
        assert "ABC" in (await client.call_tool("textops__uppercase", {"text": "abc"})).content[0].text


@check
async def chat_answers_with_data_and_progress(base: str) -> None:
    steps: list[str] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        steps.append(message or "")

    async with Client(f"{base}/mcp", progress_handler=progress) as client:
        asked = {"messages": [{"role": "user", "content": "hello"}], "recipe": "case-plain"}
        result = await client.call_tool("chat", asked)
        assert result.structured_content["text"] == "You said: hello", result
    assert steps, "no progress was told"


@check
async def recipes_are_prompts(base: str) -> None:
    async with Client(f"{base}/mcp") as client:
        said = await client.get_prompt("case-plain", {"language": "Deutsch"})
        assert said.messages[0].content.text == "Answer in Deutsch."


if __name__ == "__main__":
    raise SystemExit(main())
