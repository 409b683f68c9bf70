// The MCP SDK for TypeScript as a host: tools, chat with progress, prompts.
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { main } from "./checks.mjs";

async function connected(base, use) {
  const client = new Client({ name: "checks", version: "1" });
  await client.connect(new StreamableHTTPClientTransport(new URL(`${base}/mcp`)));
  try {
    await use(client);
  } finally {
    await client.close();
  }
}

async function tools_are_listed_and_called(base) {
  await connected(base, async (client) => {
    const names = (await client.listTools()).tools.map((tool) => tool.name);
    assert.ok(names.includes("chat") && names.includes("textops__uppercase"), String(names));
    const result = await client.callTool({ name: "textops__uppercase", arguments: { text: "abc" } });
    assert.match(result.content[0].text, /ABC/);
  });
}

async function chat_answers_with_progress(base) {
  await connected(base, async (client) => {
    const steps = [];
    const asked = { messages: [{ role: "user", content: "hello" }], recipe: "case-plain" };
    const onprogress = (step) => steps.push(step.message);
    const result = await client.callTool({ name: "chat", arguments: asked }, undefined, { onprogress });
    assert.equal(result.structuredContent.text, "You said: hello");
    assert.ok(steps.length > 2, String(steps));
  });
}

async function recipes_are_prompts(base) {
  await connected(base, async (client) => {
    const said = await client.getPrompt({ name: "case-plain", arguments: { language: "Deutsch" } });
    assert.equal(said.messages[0].content.text, "Answer in Deutsch.");
  });
}

await main([tools_are_listed_and_called, chat_answers_with_progress, recipes_are_prompts]);
