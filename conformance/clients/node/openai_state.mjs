// OpenAI's SDK for JavaScript where the daemon remembers: responses, the background, conversations and their items.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { main, PLAIN, RELAYED, TOOLS } from "./checks.mjs";

const MODELS = [RELAYED, PLAIN, TOOLS];
const Person = z.object({ name: z.string(), age: z.number().int() });
const client = (base) => new OpenAI({ baseURL: `${base}/v1`, apiKey: "unused", maxRetries: 0 });
const all = async (page) => {
  const found = [];
  for await (const each of page) found.push(each);
  return found;
};
const texts = (items) => items.map((item) => item.content[0].text);

async function a_response_is_kept_read_and_deleted(base) {
  const { responses } = client(base);
  for (const model of MODELS) {
    const made = await responses.create({ model, input: "hello", metadata: { a: "b" } });
    const read = await responses.retrieve(made.id);
    assert.equal(read.output_text, "You said: hello");
    assert.deepEqual(read.output.map((item) => item.id), made.output.map((item) => item.id));
    assert.deepEqual(texts(await all(responses.inputItems.list(made.id))), ["hello"]);
    await responses.delete(made.id);
    await assert.rejects(responses.retrieve(made.id), OpenAI.NotFoundError);
  }
}

async function a_chain_is_streamed_and_parsed(base) {
  const { responses } = client(base);
  for (const model of MODELS) {
    const first = await responses.stream({ model, input: "one" }).finalResponse();
    const second = await responses.stream({ model, input: "two", previous_response_id: first.id }).finalResponse();
    assert.equal(second.output_text, "You said: two");
    const text = { format: zodTextFormat(Person, "person") };
    const parsed = await responses.parse({ model, input: "who?", text, previous_response_id: second.id });
    assert.equal(typeof parsed.output_parsed.age, "number");
  }
}

async function a_call_is_answered_by_its_id_alone(base) {
  const { responses } = client(base);
  const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
  const tools = [{ type: "function", name: "get_weather", parameters, strict: false }];
  for (const model of [RELAYED, PLAIN]) {
    const first = await responses.create({ model, input: '@call get_weather {"city": "Oslo"}', tools });
    const { call_id } = first.output.find((item) => item.type === "function_call");
    const input = [{ type: "function_call_output", call_id, output: "sunny" }];
    const second = await responses.create({ model, input, tools, previous_response_id: first.id });
    assert.equal(second.output_text, "The tools said: sunny");
  }
}

async function an_approval_is_given_in_the_next_turn(base) {
  const { responses } = client(base);
  const tools = [{ type: "mcp", server_label: "textops", require_approval: "always" }];
  const input = '@call textops__uppercase {"text": "abc"}';
  const first = await responses.create({ model: RELAYED, input, tools });
  const ask = first.output.find((item) => item.type === "mcp_approval_request");
  const yes = { type: "mcp_approval_response", approval_request_id: ask.id, approve: true };
  const more = { model: RELAYED, tools, previous_response_id: first.id };
  const second = await responses.stream({ ...more, input: [yes] }).finalResponse();
  assert.match(second.output_text, /ABC/);
}

async function the_background_is_streamed_again_from_a_number(base) {
  const { responses } = client(base);
  for (const model of MODELS) {
    const begun = await responses.create({ model, input: "one two three", background: true, stream: true });
    let first;
    for await (const event of begun) {
      first = event;
      break;
    }
    const query = { stream: true, starting_after: first.sequence_number };
    const rest = await all(await responses.retrieve(first.response.id, query));
    assert.deepEqual(rest.map((event) => event.sequence_number), rest.map((_, index) => index + 1));
    assert.equal(rest.at(-1).type, "response.completed");
    assert.equal((await responses.cancel(first.response.id)).status, "completed");
    const helper = responses.stream({ response_id: first.response.id, starting_after: first.sequence_number });
    assert.equal((await helper.finalResponse()).output_text, "You said: one two three");
  }
}

async function tokens_are_counted_and_a_talk_is_compacted(base) {
  const { responses } = client(base);
  const input = [{ role: "user", content: "We launch on Tuesday, and support is told first. ".repeat(20) }];
  const count = async (given) => (await responses.inputTokens.count({ model: RELAYED, input: given })).input_tokens;
  const { output } = await responses.compact({ model: RELAYED, input });
  assert.ok((await count(output)) < (await count(input)));
  const on = await responses.create({ model: RELAYED, input: [...output, { role: "user", content: "when?" }] });
  assert.equal(on.output_text, "You said: when?");
}

async function a_conversation_has_all_its_verbs(base) {
  const { conversations, responses } = client(base);
  for (const model of MODELS) {
    const items = [{ role: "user", content: "before" }];
    const { id } = await conversations.create({ metadata: { a: "b" }, items });
    await responses.create({ model, input: "one", conversation: id });
    await responses.create({ model, input: "two", conversation: { id } });
    const listed = await all(conversations.items.list(id, { order: "asc", limit: 2 }));
    assert.deepEqual(texts(listed), ["before", "one", "You said: one", "two", "You said: two"]);
    const { data } = await conversations.items.create(id, { items: [{ role: "user", content: "after" }] });
    const there = { conversation_id: id };
    assert.equal((await conversations.items.retrieve(data[0].id, there)).id, data[0].id);
    await conversations.items.delete(data[0].id, there);
    assert.equal((await all(conversations.items.list(id))).length, listed.length);
    await conversations.update(id, { metadata: { a: "c" } });
    assert.deepEqual((await conversations.retrieve(id)).metadata, { a: "c" });
    assert.equal((await conversations.delete(id)).deleted, true);
    await assert.rejects(conversations.retrieve(id), OpenAI.NotFoundError);
  }
}

async function a_cut_turn_is_a_failure(base) {
  const { responses } = client(base);
  for (const model of MODELS) {
    await assert.rejects(responses.create({ model, input: "@error 503" }), OpenAI.InternalServerError);
    const events = await all(await responses.create({ model, input: "@cut one two three", stream: true }));
    assert.equal(events.at(-1).type, "response.failed");
  }
}

await main([
  a_response_is_kept_read_and_deleted,
  a_chain_is_streamed_and_parsed,
  a_call_is_answered_by_its_id_alone,
  an_approval_is_given_in_the_next_turn,
  the_background_is_streamed_again_from_a_number,
  tokens_are_counted_and_a_talk_is_compacted,
  a_conversation_has_all_its_verbs,
  a_cut_turn_is_a_failure,
]);
