"""pydantic-ai over OpenAI's API: chat and Responses, tools, structured output, streams, and our tools over MCP."""

from __future__ import annotations

from checks import PLAIN, RELAYED, TOOLS, check, main
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.providers.openai import OpenAIProvider


class Person(BaseModel):
    name: str
    age: int


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def chat(base: str, model: str) -> OpenAIChatModel:
    return OpenAIChatModel(model, provider=OpenAIProvider(base_url=f"{base}/v1", api_key="unused"))


def responses(base: str, model: str) -> OpenAIResponsesModel:
    return OpenAIResponsesModel(model, provider=OpenAIProvider(base_url=f"{base}/v1", api_key="unused"))


@check
async def an_agent_answers(base: str) -> None:
    for model in (RELAYED, PLAIN):
        for made in (chat, responses):
            result = await Agent(made(base, model)).run("hello")
            assert result.output == "You said: hello", (model, made, result)
            assert result.usage.total_tokens == 18, result.usage


@check
async def an_agent_streams(base: str) -> None:
    for model in (RELAYED, PLAIN):
        for made in (chat, responses):
            async with Agent(made(base, model)).run_stream("one two three") as result:
                pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
            assert "".join(pieces) == "You said: one two three", pieces


@check
async def an_agent_calls_its_tools(base: str) -> None:
    for model in (RELAYED, PLAIN):
        for made in (chat, responses):
            agent = Agent(made(base, model), tools=[get_weather])
            result = await agent.run('@call get_weather {"city": "Oslo"}\n@call get_weather {"city": "Rome"}')
            assert result.output == "The tools said: sunny in Oslo; sunny in Rome", (model, made, result.output)


@check
async def an_agent_gets_structured_output(base: str) -> None:
    for model in (RELAYED, PLAIN):
        for made in (chat, responses):
            result = await Agent(made(base, model), output_type=Person).run("who?")
            assert isinstance(result.output, Person), (model, made, result)


@check
async def a_talk_goes_on_from_the_response_before(base: str) -> None:
    for model in (RELAYED, PLAIN):
        agent = Agent(responses(base, model), tools=[get_weather])
        first = await agent.run('@call get_weather {"city": "Oslo"}')
        settings = OpenAIResponsesModelSettings(openai_previous_response_id="auto")
        second = await agent.run("thanks", message_history=first.all_messages(), model_settings=settings)
        assert second.output == "You said: thanks", second
        async with agent.run_stream("one two", message_history=second.all_messages(), model_settings=settings) as last:
            assert await last.get_output() == "You said: one two"


@check
async def a_recipe_runs_its_own_tools(base: str) -> None:
    for made in (chat, responses):
        result = await Agent(made(base, TOOLS)).run('@call textops__uppercase {"text": "abc"}')
        assert "ABC" in result.output, (made, result)


if __name__ == "__main__":
    raise SystemExit(main())
