"""OpenAI's Agents SDK: runs, streams, tools, structured output, over chat and Responses, with and without state."""

from __future__ import annotations

from agents import (
    Agent,
    HostedMCPTool,
    MCPToolApprovalRequest,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIConversationsSession,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from checks import PLAIN, RELAYED, TOOLS, check, main
from openai import AsyncOpenAI
from pydantic import BaseModel

set_tracing_disabled(True)
UPPERCASE = '@call textops__uppercase {"text": "abc"}'
STATELESS = ModelSettings(store=False)


class Person(BaseModel):
    name: str
    age: int


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def models(base: str, name: str) -> tuple[OpenAIChatCompletionsModel, OpenAIResponsesModel]:
    sdk = AsyncOpenAI(base_url=f"{base}/v1", api_key="unused")
    return OpenAIChatCompletionsModel(name, sdk), OpenAIResponsesModel(name, sdk)


@check
async def an_agent_answers(base: str) -> None:
    for name in (RELAYED, PLAIN):
        for model in models(base, name):
            agent = Agent("a", instructions="Be brief.", model=model, model_settings=STATELESS)
            result = await Runner.run(agent, "hello")
            assert result.final_output == "You said: hello", (name, model, result)


@check
async def an_agent_streams(base: str) -> None:
    for name in (RELAYED, PLAIN):
        for model in models(base, name):
            result = Runner.run_streamed(Agent("a", model=model, model_settings=STATELESS), "one two")
            kinds = [event.type async for event in result.stream_events()]
            assert result.final_output == "You said: one two", (name, model, result)
            assert kinds.count("run_item_stream_event") >= 1, kinds


@check
async def an_agent_calls_its_tools(base: str) -> None:
    for name in (RELAYED, PLAIN):
        for model in models(base, name):
            agent = Agent("a", model=model, tools=[get_weather], model_settings=STATELESS)
            text = '@call get_weather {"city": "Oslo"}\n@call get_weather {"city": "Rome"}'
            for result in (await Runner.run(agent, text), await streamed(agent, text)):
                assert result.final_output == "The tools said: sunny in Oslo; sunny in Rome", (name, model, result)


async def streamed(agent: Agent, text: str) -> object:
    result = Runner.run_streamed(agent, text)
    async for _ in result.stream_events():
        pass
    return result


@check
async def an_agent_gets_structured_output(base: str) -> None:
    for name in (RELAYED, PLAIN):
        for model in models(base, name):
            agent = Agent("a", model=model, output_type=Person, model_settings=STATELESS)
            assert isinstance((await Runner.run(agent, "who?")).final_output, Person)


@check
async def a_recipe_runs_its_own_tools(base: str) -> None:
    for model in models(base, TOOLS):
        agent = Agent("a", model=model, model_settings=STATELESS)
        result = await Runner.run(agent, '@call textops__uppercase {"text": "abc"}')
        assert "ABC" in result.final_output, (model, result)


@check
async def a_session_of_conversations_remembers(base: str) -> None:
    for name in (RELAYED, PLAIN):
        sdk = AsyncOpenAI(base_url=f"{base}/v1", api_key="unused")
        agent = Agent("a", model=OpenAIResponsesModel(name, sdk), tools=[get_weather])
        session = OpenAIConversationsSession(openai_client=sdk)
        first = await Runner.run(agent, '@call get_weather {"city": "Oslo"}', session=session)
        assert first.final_output == "The tools said: sunny in Oslo", first
        streaming = Runner.run_streamed(agent, "and now?", session=session)
        async for _ in streaming.stream_events():
            pass
        assert streaming.final_output == "You said: and now?", streaming
        kinds = [item.get("type") for item in await session.get_items()]
        assert kinds[-4:] == ["function_call_output", "message", "message", "message"], kinds
        assert "function_call" in kinds, kinds
        assert (await session.pop_item())["role"] == "assistant"
        await session.clear_session()
        assert await session.get_items() == []


@check
async def a_chain_of_responses_goes_on_by_id(base: str) -> None:
    for name in (RELAYED, PLAIN):
        model = OpenAIResponsesModel(name, AsyncOpenAI(base_url=f"{base}/v1", api_key="unused"))
        agent = Agent("a", model=model, tools=[get_weather])
        first = await Runner.run(agent, '@call get_weather {"city": "Oslo"}', auto_previous_response_id=True)
        assert first.final_output == "The tools said: sunny in Oslo", first
        second = await Runner.run(agent, "thanks", previous_response_id=first.last_response_id)
        assert second.final_output == "You said: thanks", second


@check
async def a_hosted_tool_server_asks_and_is_answered(base: str) -> None:
    asked: list[str] = []

    def decide(request: MCPToolApprovalRequest) -> dict[str, object]:
        asked.append(request.data.name)
        return {"approve": len(asked) < 3, "reason": "twice is enough"}

    config = {"type": "mcp", "server_label": "textops", "require_approval": "always"}
    for name in (RELAYED, PLAIN):
        sdk = AsyncOpenAI(base_url=f"{base}/v1", api_key="unused")
        tool = HostedMCPTool(tool_config=config, on_approval_request=decide)
        agent = Agent("a", model=OpenAIResponsesModel(name, sdk), tools=[tool])
        result = await Runner.run(agent, UPPERCASE)
        assert "ABC" in result.final_output, result
    result = await Runner.run(agent, UPPERCASE)
    assert "ABC" not in result.final_output, result
    assert asked == ["uppercase"] * 3


@check
async def a_hosted_tool_server_without_questions_streams(base: str) -> None:
    config = {"type": "mcp", "server_label": "textops", "require_approval": "never"}
    sdk = AsyncOpenAI(base_url=f"{base}/v1", api_key="unused")
    agent = Agent("a", model=OpenAIResponsesModel(RELAYED, sdk), tools=[HostedMCPTool(tool_config=config)])
    result = Runner.run_streamed(agent, UPPERCASE)
    names = [event.name async for event in result.stream_events() if event.type == "run_item_stream_event"]
    assert "ABC" in result.final_output, result
    assert {"mcp_list_tools", "tool_called"} <= set(names), names


if __name__ == "__main__":
    raise SystemExit(main())
