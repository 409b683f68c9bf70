// Calls of tools that a host with the SDK for TypeScript makes: `calls_client.mjs BASE CALLS`, as calls_client.py has it.
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [base, wanted] = process.argv.slice(2);
const client = new Client({ name: "calls", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL(`${base}/mcp`)));
const names = (await client.listTools()).tools.map((tool) => tool.name);
for (const [name, args, words] of JSON.parse(wanted)) {
  assert.ok(names.includes(name), `${name} is not listed`);
  const result = await client.callTool({ name, arguments: args });
  const said = result.content.map((block) => block.text ?? "").join(" ");
  assert.ok(said.includes(words), `${name}: ${said.slice(0, 500)}`);
  console.log(`ok ${name}`);
}
await client.close();
