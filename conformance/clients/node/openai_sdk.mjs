// OpenAI's SDK for JavaScript: chat, streams, tools, structured output, Responses, embeddings, errors.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { main, PLAIN, RELAYED, TOOLS } from "./checks.mjs";

const client = (base) => new OpenAI({ baseURL: `${base}/v1`, apiKey: "unused", maxRetries: 0 });
const asked = (text) => [{ role: "user", content: text }];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ type: "function", function: { name: "get_weather", description: "The weather", parameters } }];
const Person = z.object({ name: z.string(), age: z.number().int() });

async function a_chat_is_answered_whole_and_streamed(base) {
  for (const model of [RELAYED, PLAIN]) {
    const whole = await client(base).chat.completions.create({ model, messages: asked("hello") });
    assert.equal(whole.choices[0].message.content, "You said: hello");
    const stream = client(base).chat.completions.stream({ model, messages: asked("hello") });
    assert.equal(await stream.finalContent(), "You said: hello");
  }
}

async function streamed_parallel_tool_calls_are_put_together(base) {
  for (const model of [RELAYED, PLAIN]) {
    const messages = asked('@call get_weather {"city": "Oslo"}\n@call get_weather {"city": "Rome"}');
    const final = await client(base).chat.completions.stream({ model, messages, tools }).finalChatCompletion();
    const cities = final.choices[0].message.tool_calls.map((call) => JSON.parse(call.function.arguments).city);
    assert.deepEqual(cities, ["Oslo", "Rome"]);
  }
}

async function the_tool_runner_goes_round(base) {
  for (const model of [RELAYED, PLAIN]) {
    const runnable = { ...tools[0].function, parse: JSON.parse, function: ({ city }) => `sunny in ${city}` };
    const runner = client(base).chat.completions.runTools({
      model,
      messages: asked('@call get_weather {"city": "Oslo"}'),
      tools: [{ type: "function", function: runnable }],
    });
    assert.equal(await runner.finalContent(), "The tools said: sunny in Oslo");
  }
}

async function structured_output_is_parsed(base) {
  for (const model of [RELAYED, PLAIN]) {
    const answer = await client(base).chat.completions.parse({
      model,
      messages: asked("who?"),
      response_format: zodResponseFormat(Person, "person"),
    });
    assert.equal(typeof answer.choices[0].message.parsed.age, "number");
  }
}

async function responses_are_created_and_streamed(base) {
  for (const model of [RELAYED, PLAIN]) {
    const whole = await client(base).responses.create({ model, input: "hello", store: false });
    assert.equal(whole.output_text, "You said: hello");
    const stream = client(base).responses.stream({ model, input: "hello", store: false });
    assert.equal((await stream.finalResponse()).output_text, "You said: hello");
  }
}

async function a_recipe_runs_its_own_tools(base) {
  const messages = asked('@call textops__uppercase {"text": "abc"}');
  const whole = await client(base).chat.completions.create({ model: TOOLS, messages });
  assert.match(whole.choices[0].message.content, /ABC/);
}

async function embeddings_are_numbers(base) {
  const answer = await client(base).embeddings.create({ model: RELAYED, input: ["a", "b"] });
  assert.deepEqual(answer.data.map((item) => Array.from(item.embedding)), [[0.25, -0.5, 0.75], [0.25, -0.5, 0.75]]);
}

async function refusals_and_cuts_are_errors(base) {
  for (const model of [RELAYED, PLAIN]) {
    const messages = asked("@error 429");
    await assert.rejects(client(base).chat.completions.create({ model, messages }), OpenAI.RateLimitError);
    const cut = client(base).chat.completions.stream({ model, messages: asked("@cut one two three four") });
    await assert.rejects(cut.finalContent());
  }
}

await main([
  a_chat_is_answered_whole_and_streamed,
  streamed_parallel_tool_calls_are_put_together,
  the_tool_runner_goes_round,
  structured_output_is_parsed,
  responses_are_created_and_streamed,
  a_recipe_runs_its_own_tools,
  embeddings_are_numbers,
  refusals_and_cuts_are_errors,
]);
