"""LangChain over OpenAI's API: invoke, stream, tools, structured output, embeddings."""

from __future__ import annotations

from checks import PLAIN, RELAYED, TOOLS, check, main
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel


def chat(base: str, model: str) -> ChatOpenAI:
    return ChatOpenAI(base_url=f"{base}/v1", api_key="unused", model=model, max_retries=0)


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


@check
def it_invokes_and_counts_tokens(base: str) -> None:
    for model in (RELAYED, PLAIN):
        answer = chat(base, model).invoke("hello")
        assert answer.content == "You said: hello", answer
        assert answer.usage_metadata["total_tokens"] == 18, answer.usage_metadata


@check
async def it_streams(base: str) -> None:
    for model in (RELAYED, PLAIN):
        pieces = [chunk.content async for chunk in chat(base, model).astream("one two three")]
        assert "".join(pieces) == "You said: one two three"
        assert len(pieces) > 2, pieces


@check
def its_tools_are_called_and_answered(base: str) -> None:
    for model in (RELAYED, PLAIN):
        bound = chat(base, model).bind_tools([get_weather])
        asked = HumanMessage('@call get_weather {"city": "Oslo"}')
        called = bound.invoke([asked])
        assert [(call["name"], call["args"]) for call in called.tool_calls] == [("get_weather", {"city": "Oslo"})]
        results = [ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"]) for call in called.tool_calls]
        assert bound.invoke([asked, called, *results]).content == "The tools said: sunny in Oslo"


@check
def it_gets_structured_output_by_schema_and_by_tool(base: str) -> None:
    for model in (RELAYED, PLAIN):
        for method in ("json_schema", "function_calling"):
            found = chat(base, model).with_structured_output(Person, method=method).invoke("who?")
            assert isinstance(found, Person), (model, method, found)


@check
def a_recipe_runs_its_own_tools(base: str) -> None:
    answer = chat(base, TOOLS).invoke('@call textops__uppercase {"text": "abc"}')
    assert "ABC" in answer.content
    assert not answer.tool_calls


@check
def its_responses_api_works_without_state(base: str) -> None:
    for model in (RELAYED, PLAIN):
        llm = ChatOpenAI(base_url=f"{base}/v1", api_key="x", model=model, use_responses_api=True, store=False)
        assert llm.invoke("hello").text == "You said: hello"


def responses(base: str, model: str, **more: object) -> ChatOpenAI:
    return ChatOpenAI(base_url=f"{base}/v1", api_key="x", model=model, use_responses_api=True, max_retries=0, **more)


@check
def its_responses_api_goes_on_from_the_response_before(base: str) -> None:
    for model in (RELAYED, PLAIN):
        first = responses(base, model).invoke("one")
        second = responses(base, model).invoke("two", previous_response_id=first.response_metadata["id"])
        assert second.text == "You said: two"
        llm = responses(base, model, use_previous_response_id=True).bind_tools([get_weather])
        talk = [HumanMessage('@call get_weather {"city": "Oslo"}')]
        talk.append(called := llm.invoke(talk))
        talk += [ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"]) for call in called.tool_calls]
        talk.append(answered := llm.invoke(talk))
        assert answered.text == "The tools said: sunny in Oslo", answered
        talk.append(HumanMessage("and now?"))
        assert "".join(chunk.text for chunk in llm.stream(talk)) == "You said: and now?"


@check
def its_responses_api_has_our_tools_and_what_they_returned(base: str) -> None:
    server = {"type": "mcp", "server_label": "textops", "require_approval": "never"}
    llm = responses(base, RELAYED).bind_tools([server])
    answer = llm.invoke('@call textops__uppercase {"text": "abc"}')
    assert "ABC" in answer.text, answer
    kinds = [block["type"] for block in answer.content]
    assert "mcp_call" in kinds, kinds


@check
def it_embeds(base: str) -> None:
    embeddings = OpenAIEmbeddings(
        base_url=f"{base}/v1", api_key="unused", model=RELAYED, check_embedding_ctx_length=False
    )
    assert embeddings.embed_documents(["a", "b"]) == [[0.25, -0.5, 0.75]] * 2


if __name__ == "__main__":
    raise SystemExit(main())
