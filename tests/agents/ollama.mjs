// Ollama's own client, used as its documentation does: asks with a tool, runs it, and prints the answer.
// node ollama.mjs FOLDER-OF-PACKAGES ADDRESS KEY MODEL NOTE
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [packages, host, key, model, note] = process.argv.slice(2);
const { Ollama } = createRequire(`${packages}/`)("ollama");
const client = new Ollama({ host, headers: { Authorization: `Bearer ${key}` } });
const tools = [
  {
    type: "function",
    function: {
      name: "read_note",
      description: "Reads the note",
      parameters: { type: "object", properties: { name: { type: "string" } }, required: ["name"] },
    },
  },
];
const messages = [{ role: "user", content: "What does the note say?" }];

async function ask() {
  const said = { role: "assistant", content: "", tool_calls: [] };
  for await (const part of await client.chat({ model, messages, tools, stream: true })) {
    said.content += part.message.content;
    said.tool_calls.push(...(part.message.tool_calls ?? []));
  }
  messages.push(said);
  return said;
}

const { models } = await client.list();
if (!models.some((one) => one.model === model)) throw new Error(`${model} is not in the list`);
const said = await ask();
for (const call of said.tool_calls) {
  if (call.function.name !== "read_note" || call.function.arguments.name !== "note.txt") throw new Error("another call");
  messages.push({ role: "tool", tool_name: call.function.name, content: readFileSync(note, "utf8") });
}
console.log((await ask()).content);
