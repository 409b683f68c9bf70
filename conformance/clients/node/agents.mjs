// OpenAI's Agents SDK for JavaScript, over chat and over Responses.
import assert from "node:assert/strict";
import {
  Agent,
  hostedMcpTool,
  OpenAIChatCompletionsModel,
  OpenAIConversationsSession,
  OpenAIResponsesModel,
  run,
  setTracingDisabled,
  tool,
} from "@openai/agents";
import OpenAI from "openai";
import { z } from "zod";
import { main, PLAIN, RELAYED, TOOLS } from "./checks.mjs";

setTracingDisabled(true);
const modelSettings = { store: false };

function models(base, name) {
  const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "unused" });
  return [new OpenAIChatCompletionsModel(client, name), new OpenAIResponsesModel(client, name)];
}

async function an_agent_answers_and_streams(base) {
  for (const name of [RELAYED, PLAIN])
    for (const model of models(base, name)) {
      const agent = new Agent({ name: "a", instructions: "Be brief.", model, modelSettings });
      assert.equal((await run(agent, "hello")).finalOutput, "You said: hello");
      const streamed = await run(agent, "hello", { stream: true });
      for await (const _ of streamed);
      assert.equal(streamed.finalOutput, "You said: hello");
    }
}

async function an_agent_calls_its_tools(base) {
  const get_weather = tool({
    name: "get_weather",
    description: "The weather in a city",
    parameters: z.object({ city: z.string() }),
    execute: async ({ city }) => `sunny in ${city}`,
  });
  for (const name of [RELAYED, PLAIN])
    for (const model of models(base, name)) {
      const agent = new Agent({ name: "a", model, modelSettings, tools: [get_weather] });
      const result = await run(agent, '@call get_weather {"city": "Oslo"}');
      assert.equal(result.finalOutput, "The tools said: sunny in Oslo");
    }
}

async function a_recipe_runs_its_own_tools(base) {
  for (const model of models(base, TOOLS)) {
    const result = await run(new Agent({ name: "a", model, modelSettings }), '@call textops__uppercase {"text": "abc"}');
    assert.match(result.finalOutput, /ABC/);
  }
}

const hosted = (config) => hostedMcpTool({ serverLabel: "textops", ...config });
const upper = '@call textops__uppercase {"text": "abc"}';

async function a_session_of_conversations_remembers(base) {
  for (const name of [RELAYED, PLAIN]) {
    const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "unused" });
    const agent = new Agent({ name: "a", model: new OpenAIResponsesModel(client, name) });
    const session = new OpenAIConversationsSession({ client });
    assert.equal((await run(agent, "one", { session })).finalOutput, "You said: one");
    const streamed = await run(agent, "two", { session, stream: true });
    for await (const _ of streamed);
    assert.equal(streamed.finalOutput, "You said: two");
    assert.equal((await session.getItems()).length, 4);
    const on = await run(agent, "three", { previousResponseId: streamed.lastResponseId });
    assert.equal(on.finalOutput, "You said: three");
    await session.clearSession();
  }
}

async function a_hosted_tool_server_asks_and_is_answered(base) {
  const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "unused" });
  const model = new OpenAIResponsesModel(client, RELAYED);
  const never = new Agent({ name: "a", model, tools: [hosted({ requireApproval: "never" })] });
  assert.match((await run(never, upper)).finalOutput, /ABC/);
  for (const approve of [true, false]) {
    const onApproval = async () => ({ approve });
    const agent = new Agent({ name: "a", model, tools: [hosted({ requireApproval: "always", onApproval })] });
    assert.equal(/ABC/.test((await run(agent, upper)).finalOutput), approve);
  }
}

await main([
  an_agent_answers_and_streams,
  an_agent_calls_its_tools,
  a_recipe_runs_its_own_tools,
  a_session_of_conversations_remembers,
  a_hosted_tool_server_asks_and_is_answered,
]);
