"""OpenAI's Agents SDK: runs, streams, tools, handoffs, structured output, over chat and over Responses."""

from __future__ import annotations

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from checks import PLAIN, RELAYED, TOOLS, check, main
from openai import AsyncOpenAI
from pydantic import BaseModel

set_tracing_disabled(True)
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


if __name__ == "__main__":
    raise SystemExit(main())
