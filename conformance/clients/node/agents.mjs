// OpenAI's Agents SDK for JavaScript, over chat and over Responses.
import assert from "node:assert/strict";
import { Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, run, setTracingDisabled, tool } from "@openai/agents";
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

await main([an_agent_answers_and_streams, an_agent_calls_its_tools, a_recipe_runs_its_own_tools]);
