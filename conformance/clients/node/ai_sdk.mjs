// Vercel's AI SDK through both of its OpenAI providers: text, streams, tool loops, objects.
import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { main, PLAIN, RELAYED, TOOLS } from "./checks.mjs";

function models(base, name) {
  const compatible = createOpenAICompatible({
    name: "woollama", baseURL: `${base}/v1`, apiKey: "unused", supportsStructuredOutputs: true, includeUsage: true,
  });
  const openai = createOpenAI({ baseURL: `${base}/v1`, apiKey: "unused" });
  return [compatible(name), openai.chat(name), openai.responses(name)];
}
const stateless = { openai: { store: false } };
const get_weather = tool({
  description: "The weather in a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
});

async function text_is_generated_and_counted(base) {
  for (const name of [RELAYED, PLAIN])
    for (const model of models(base, name)) {
      const { text, usage } = await generateText({ model, prompt: "hello", providerOptions: stateless });
      assert.equal(text, "You said: hello");
      assert.equal(usage.totalTokens, 18);
    }
}

async function text_is_streamed(base) {
  for (const name of [RELAYED, PLAIN])
    for (const model of models(base, name)) {
      const result = streamText({ model, prompt: "one two three", providerOptions: stateless });
      let text = "";
      for await (const piece of result.textStream) text += piece;
      assert.equal(text, "You said: one two three");
      assert.equal(await result.finishReason, "stop");
    }
}

async function tools_of_the_client_go_round(base) {
  for (const name of [RELAYED, PLAIN])
    for (const model of models(base, name)) {
      const { text, steps } = await generateText({
        model,
        tools: { get_weather },
        stopWhen: stepCountIs(3),
        prompt: '@call get_weather {"city": "Oslo"}\n@call get_weather {"city": "Rome"}',
        providerOptions: stateless,
      });
      assert.equal(steps.length, 2);
      assert.match(text, /sunny in Oslo.*sunny in Rome/);
    }
}

async function objects_fit_their_schema(base) {
  const schema = z.object({ name: z.string(), age: z.number().int() });
  for (const name of [RELAYED, PLAIN])
    for (const model of models(base, name)) {
      const { object } = await generateObject({ model, schema, prompt: "who?", providerOptions: stateless });
      assert.equal(typeof object.age, "number");
    }
}

async function a_recipe_runs_its_own_tools(base) {
  for (const model of models(base, TOOLS)) {
    const prompt = '@call textops__uppercase {"text": "abc"}';
    const { text } = await generateText({ model, prompt, providerOptions: stateless });
    assert.match(text, /ABC/);
  }
}

async function a_refusal_is_an_error_of_its_status(base) {
  for (const model of models(base, RELAYED))
    await assert.rejects(
      generateText({ model, prompt: "@error 400", maxRetries: 0, providerOptions: stateless }),
      (error) => error.statusCode === 400,
    );
}

async function embeddings_are_numbers(base) {
  const model = createOpenAI({ baseURL: `${base}/v1`, apiKey: "unused" }).embedding(RELAYED);
  const { embeddings } = await embedMany({ model, values: ["a", "b"] });
  assert.deepEqual(embeddings[1], [0.25, -0.5, 0.75]);
}

await main([
  text_is_generated_and_counted,
  text_is_streamed,
  tools_of_the_client_go_round,
  objects_fit_their_schema,
  a_recipe_runs_its_own_tools,
  a_refusal_is_an_error_of_its_status,
  embeddings_are_numbers,
]);
