// The official SDKs for JavaScript, each used as its documentation does, and what it makes of the answers.
// node sdks.mjs FOLDER-OF-PACKAGES ADDRESS KEY
// A line of JSON in is a request, {id, client, way, request, headers, retries}, or the end of one, {abort: id}. A line out
// tells text of a stream as it is heard, {id, text}, or how the request ended: {id, heard}, {id, failed}, or {id, broken}
// for what is no error of the SDK. Requests run side by side.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [packages, url, key] = process.argv.slice(2);
const require = createRequire(`${packages}/`);
const { OpenAI, OpenAIError, APIError: ChatError } = require("openai");
const { standardResponseFormat, standardTextFormat } = require("openai/helpers/standard-schema");
const { Anthropic, AnthropicError, APIError: MessageError } = require("@anthropic-ai/sdk");
const { betaTool } = require("@anthropic-ai/sdk/helpers/beta/json-schema");
const { jsonSchemaOutputFormat } = require("@anthropic-ai/sdk/helpers/json-schema");
const { ApiError, GoogleGenAI } = require("@google/genai");

const PATIENCE = 10_000;
const headersOf = (response) => Object.fromEntries(response?.headers ?? []);
const told = (data, headers) => ({ text: "", thinking: "", signatures: [], refusal: "", calls: [], models: [], headers, ...data });

// A type as the helpers take it that parse an answer: a schema, and a check that lets all pass.
const typed = (schema) => ({
  "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }), jsonSchema: { input: () => schema } },
});

// The one tool that the loops run. It notes what it was called with.
const sunny = (ran) => (args) => {
  ran.push(args);
  return `Sunny in ${args.city}`;
};

// The names of all models, over as many pages as there are.
async function listed(pages) {
  const names = [];
  for await (const { id, name } of pages) names.push(id ?? name);
  return names;
}

// What the SDK leaves to its caller: a response that ends as failed, which it takes for an event like any other.
class Broken extends Error {
  constructor({ message, code }) {
    super(message);
    this.told = { message, code };
  }
}

// ------------------------------------------------------------------------------------------------ OpenAI's chat

function spentOfChat(usage) {
  return usage && {
    prompt: usage.prompt_tokens,
    answer: usage.completion_tokens,
    cached: usage.prompt_tokens_details.cached_tokens ?? 0,
    written: usage.prompt_tokens_details.cache_write_tokens ?? 0,
    reasoning: usage.completion_tokens_details.reasoning_tokens ?? 0,
  };
}

function ofCompletion({ choices: [{ message, finish_reason }], usage, model }, headers) {
  return told({
    text: message.content ?? "",
    thinking: message.reasoning_content ?? "",
    refusal: message.refusal ?? "",
    calls: (message.tool_calls ?? []).map((call) => [call.id, call.function.name, JSON.parse(call.function.arguments)]),
    finish: finish_reason,
    spent: spentOfChat(usage),
    models: [model],
  }, headers);
}

const usage = { stream_options: { include_usage: true } };
const openai = (retries) => new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: retries, timeout: PATIENCE });

const chat = {
  client: openai,
  error: OpenAIError,

  async whole(client, request, options) {
    const { data, response } = await client.chat.completions.create(request, options).withResponse();
    return ofCompletion(data, headersOf(response));
  },

  async stream(client, request, options, note) {
    const asked = client.chat.completions.create({ ...usage, ...request, stream: true }, options);
    const { data, response } = await asked.withResponse();
    const heard = told({}, headersOf(response));
    const calls = [];
    for await (const { choices, model, usage: spent } of data) {
      heard.models.push(model);
      heard.spent = spentOfChat(spent) ?? heard.spent;
      for (const { delta, finish_reason } of choices) {
        note(delta.content ?? "");
        heard.text += delta.content ?? "";
        heard.thinking += delta.reasoning_content ?? "";
        heard.refusal += delta.refusal ?? "";
        heard.finish = finish_reason ?? heard.finish;
        for (const { index, id, function: part } of delta.tool_calls ?? []) {
          calls[index] ??= { id, name: part.name, text: "" };
          calls[index].text += part.arguments ?? "";
        }
      }
    }
    heard.calls = calls.map(({ id, name, text }) => [id, name, JSON.parse(text)]);
    return heard;
  },

  async helper(client, request, options, note) {
    const stream = client.chat.completions.stream({ ...usage, ...request }, options);
    let thinking = ""; // which the helper has no word for
    stream.on("content", note);
    stream.on("chunk", ({ choices }) => choices.forEach(({ delta }) => (thinking += delta.reasoning_content ?? "")));
    return { ...ofCompletion(await stream.finalChatCompletion(), {}), thinking };
  },

  async typed(client, { schema, stream, ...request }, options) {
    const asked = { ...request, response_format: standardResponseFormat(typed(schema), "city") };
    const { completions } = client.chat;
    const ended = stream
      ? await completions.stream(asked, options).finalChatCompletion()
      : await completions.parse(asked, options);
    return ended.choices[0].message.parsed;
  },

  async loop(client, { schema, ...request }, options) {
    const ran = [];
    const weather = { name: "weather", parameters: schema, parse: JSON.parse, function: sunny(ran) };
    const tools = [{ type: "function", function: weather }];
    return { ran, text: await client.chat.completions.runTools({ ...request, tools }, options).finalContent() };
  },

  models: (client) => listed(client.models.list()),

  async vectors(client, request, options) {
    return (await client.embeddings.create(request, options)).data.map(({ embedding }) => [...embedding]);
  },

  failed(error) {
    const { status, error: body, type, code, param, headers } = error;
    return { status, message: body?.message ?? error.message, type, code, param, headers: headersOf({ headers }) };
  },
};

// -------------------------------------------------------------------------------------------- OpenAI's responses

function ofResponse(response, headers) {
  if (response.status === "failed") throw new Broken(response.error);
  const { output, usage: spent, incomplete_details: why, status, model } = response;
  const heard = told({
    text: response.output_text,
    models: [model],
    finish: why ? `${status}:${why.reason}` : status,
    spent: spent && {
      prompt: spent.input_tokens,
      answer: spent.output_tokens,
      cached: spent.input_tokens_details.cached_tokens,
      written: spent.input_tokens_details.cache_write_tokens ?? 0,
      reasoning: spent.output_tokens_details.reasoning_tokens,
    },
  }, headers);
  const items = {
    message: ({ content }) => content.forEach(({ refusal }) => (heard.refusal += refusal ?? "")),
    reasoning: ({ summary, encrypted_content }) => {
      heard.thinking += summary.map(({ text }) => text).join("");
      if (encrypted_content) heard.signatures.push(encrypted_content);
    },
    function_call: ({ call_id, name, arguments: text }) => heard.calls.push([call_id, name, JSON.parse(text)]),
  };
  output.forEach((item) => items[item.type](item));
  return heard;
}

const responses = {
  client: openai,
  error: OpenAIError,
  failed: chat.failed,

  async whole(client, request, options) {
    const { data, response } = await client.responses.create(request, options).withResponse();
    return ofResponse(data, headersOf(response));
  },

  async stream(client, request, options, note) {
    const { data, response } = await client.responses.create({ ...request, stream: true }, options).withResponse();
    const models = [];
    let text = "";
    let last;
    for await (const event of data) {
      if (event.response) models.push((last = event.response).model);
      if (event.type !== "response.output_text.delta") continue;
      note(event.delta);
      text += event.delta;
    }
    // Only the SDK's own accumulating adds up `output_text`.
    return { ...ofResponse({ ...last, output_text: text }, headersOf(response)), models };
  },

  async helper(client, request, options, note) {
    const stream = client.responses.stream(request, options);
    stream.on("response.output_text.delta", ({ delta }) => note(delta));
    return ofResponse(await stream.finalResponse(), {});
  },

  async typed(client, { schema, stream, ...request }, options) {
    const asked = { ...request, text: { format: standardTextFormat(typed(schema), "city") } };
    const ended = stream
      ? await client.responses.stream(asked, options).finalResponse()
      : await client.responses.parse(asked, options);
    return ended.output_parsed;
  },

  // The package has no runner for these: the items go back as they are, as its documentation says.
  async loop(client, { schema, stream, input, ...request }, options) {
    const ran = [];
    const run = sunny(ran);
    const tools = [{ type: "function", name: "weather", parameters: schema, strict: false }];
    const items = [{ role: "user", content: input }];
    for (;;) {
      const asked = { ...request, tools, input: items };
      const said = stream
        ? await client.responses.stream(asked, options).finalResponse()
        : await client.responses.create(asked, options);
      const calls = said.output.filter(({ type }) => type === "function_call");
      if (!calls.length) return { ran, text: said.output_text };
      items.push(...said.output);
      for (const { call_id, arguments: text } of calls)
        items.push({ type: "function_call_output", call_id, output: run(JSON.parse(text)) });
    }
  },
};

// ------------------------------------------------------------------------------------------- Anthropic's messages

function ofMessage({ content, stop_reason, stop_sequence, usage: spent, model }, headers) {
  const heard = told({ finish: stop_reason, stop_sequence, models: [model] }, headers);
  const blocks = {
    text: ({ text }) => (heard.text += text),
    thinking: ({ thinking, signature }) => {
      heard.thinking += thinking;
      if (signature) heard.signatures.push(signature);
    },
    tool_use: ({ id, name, input }) => heard.calls.push([id, name, input]),
  };
  content.forEach((block) => blocks[block.type](block));
  const written = spent.cache_creation_input_tokens ?? 0;
  const cached = spent.cache_read_input_tokens ?? 0;
  heard.spent = {
    prompt: spent.input_tokens + written + cached,
    answer: spent.output_tokens,
    cached,
    written,
    reasoning: spent.output_tokens_details?.thinking_tokens ?? 0,
  };
  return heard;
}

const deltas = {
  text_delta: (block, { text }) => (block.text += text),
  thinking_delta: (block, { thinking }) => (block.thinking += thinking),
  signature_delta: (block, { signature }) => (block.signature = signature),
  input_json_delta: (block, { partial_json }) => (block.json = (block.json ?? "") + partial_json),
};

const messages = {
  client: (retries) => new Anthropic({ baseURL: url, apiKey: key, maxRetries: retries, timeout: PATIENCE }),
  error: AnthropicError,

  async whole(client, request, options) {
    const { data, response } = await client.messages.create({ max_tokens: 4096, ...request }, options).withResponse();
    return ofMessage(data, headersOf(response));
  },

  async stream(client, request, options, note) {
    const asked = { max_tokens: 4096, ...request, stream: true };
    const { data, response } = await client.messages.create(asked, options).withResponse();
    let message;
    for await (const event of data) {
      if (event.type === "message_start") message = event.message;
      if (event.type === "content_block_start") message.content[event.index] = event.content_block;
      if (event.type === "content_block_delta") {
        note(event.delta.text ?? "");
        deltas[event.delta.type](message.content[event.index], event.delta);
      }
      if (event.type === "message_delta") {
        Object.assign(message, event.delta);
        Object.assign(message.usage, event.usage);
      }
    }
    for (const block of message.content) if (block.json) block.input = JSON.parse(block.json);
    return ofMessage(message, headersOf(response));
  },

  async helper(client, request, options, note) {
    const stream = client.messages.stream({ max_tokens: 4096, ...request }, options);
    stream.on("text", note);
    const message = await stream.finalMessage();
    return ofMessage(message, headersOf(stream.response));
  },

  async typed(client, { schema, stream, ...request }, options) {
    const asked = { max_tokens: 99, ...request, output_config: { format: jsonSchemaOutputFormat(schema) } };
    const ended = stream
      ? await client.messages.stream(asked, options).finalMessage()
      : await client.messages.parse(asked, options);
    return ended.parsed_output;
  },

  async loop(client, { schema, ...request }, options) {
    const ran = [];
    const tools = [betaTool({ name: "weather", description: "Tells it", inputSchema: schema, run: sunny(ran) })];
    const runner = client.beta.messages.toolRunner({ max_tokens: 4096, ...request, tools }, options);
    const { content } = await runner.runUntilDone();
    return { ran, text: content.map(({ text }) => text ?? "").join("") };
  },

  models: (client) => listed(client.models.list()),

  async count(client, request, options) {
    return (await client.messages.countTokens(request, options)).input_tokens;
  },

  failed(error) {
    const { status, error: body, type, headers } = error;
    return { status, message: body?.error?.message ?? error.message, type, headers: headersOf({ headers }) };
  },
};

// ------------------------------------------------------------------------------------------------------- Google's

function take(heard, { candidates: [candidate] = [], promptFeedback, usageMetadata: spent, modelVersion }) {
  heard.models.push(modelVersion);
  for (const part of candidate?.content?.parts ?? []) {
    if (part.thoughtSignature) heard.signatures.push(part.thoughtSignature);
    if (part.functionCall) heard.calls.push([part.functionCall.id, part.functionCall.name, part.functionCall.args ?? {}]);
    else heard[part.thought ? "thinking" : "text"] += part.text ?? "";
  }
  heard.finish = candidate?.finishReason ?? heard.finish;
  if (promptFeedback?.blockReason) {
    heard.finish = `blocked:${promptFeedback.blockReason}`;
    heard.refusal = promptFeedback.blockReasonMessage;
  }
  if (!spent) return;
  const reasoning = spent.thoughtsTokenCount ?? 0;
  heard.spent = {
    prompt: spent.promptTokenCount ?? 0,
    answer: (spent.candidatesTokenCount ?? 0) + reasoning,
    cached: spent.cachedContentTokenCount ?? 0,
    reasoning,
  };
}

// A body of the API as the SDK takes it.
function google({ model, contents, generationConfig, stream, ...config }, { signal, headers }) {
  return { model, contents, config: { ...config, ...generationConfig, abortSignal: signal, httpOptions: { headers } } };
}

async function hear(chunks, note) {
  const heard = told({}, {});
  for await (const chunk of chunks) {
    const before = heard.text.length;
    take(heard, chunk);
    note(heard.text.slice(before));
    heard.headers = chunk.sdkHttpResponse.headers;
  }
  return heard;
}

const gemini = {
  // Its retries count the first attempt, and take no heed of Retry-After.
  client: (retries) => {
    const again = retries ? { retryOptions: { attempts: retries + 1, initialDelay: 0.01, jitter: 0 } } : {};
    return new GoogleGenAI({ apiKey: key, vertexai: false, httpOptions: { baseUrl: url, timeout: PATIENCE, ...again } });
  },
  error: ApiError,

  async whole(client, request, options) {
    const answer = await client.models.generateContent(google(request, options));
    const heard = told({}, answer.sdkHttpResponse.headers);
    take(heard, answer);
    return heard;
  },

  async stream(client, request, options, note) {
    return hear(await client.models.generateContentStream(google(request, options)), note);
  },

  // A chat, which keeps what was said as its history.
  async helper(client, request, options, note) {
    const { model, contents, config } = google(request, options);
    const talk = client.chats.create({ model, config, history: contents.slice(0, -1) });
    const heard = await hear(await talk.sendMessageStream({ message: contents.at(-1).parts }), note);
    const kept = talk.getHistory().slice(contents.length).flatMap(({ parts }) => parts);
    const text = kept.map((part) => (part.thought ? "" : part.text ?? "")).join("");
    if (text !== heard.text && heard.refusal === "") throw new Error(`the history has ${text}`);
    return heard;
  },

  async typed(client, { schema, stream, ...request }, options) {
    const generationConfig = { responseMimeType: "application/json", responseJsonSchema: schema };
    const asked = google({ ...request, generationConfig }, options);
    if (!stream) return JSON.parse((await client.models.generateContent(asked)).text);
    let text = "";
    for await (const chunk of await client.models.generateContentStream(asked)) text += chunk.text ?? "";
    return JSON.parse(text);
  },

  async loop(client, { schema, stream, ...request }, options) {
    const ran = [];
    const run = sunny(ran);
    const weather = {
      tool: async () => ({ functionDeclarations: [{ name: "weather", parametersJsonSchema: schema }] }),
      callTool: async (calls) =>
        calls.map(({ id, name, args }) => ({ functionResponse: { id, name, response: { output: run(args) } } })),
    };
    const asked = google({ ...request, tools: [weather] }, options);
    if (!stream) return { ran, text: (await client.models.generateContent(asked)).text };
    let text = "";
    for await (const chunk of await client.models.generateContentStream(asked)) text += chunk.text ?? "";
    return { ran, text };
  },

  models: async (client) => listed(await client.models.list()),

  async count(client, { model, contents }) {
    return (await client.models.countTokens({ model, contents })).totalTokens;
  },

  async vectors(client, { model, input, dimensions }) {
    const config = { outputDimensionality: dimensions };
    return (await client.models.embedContent({ model, contents: input, config })).embeddings.map(({ values }) => values);
  },

  failed({ message, status }) {
    const { error } = JSON.parse(message.slice(message.indexOf("{")));
    const reason = error.details?.find((one) => one["@type"].endsWith("ErrorInfo"))?.reason;
    return { status, message: error.message, type: error.status, code: reason };
  },
};

// -------------------------------------------------------------------------------------------------------- the lines

const SDKS = { openai: chat, responses, anthropic: messages, gemini };
const clients = new Map();
const running = new Map();
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

function clientOf(name, retries) {
  const known = `${name}:${retries}`;
  if (!clients.has(known)) clients.set(known, SDKS[name].client(retries));
  return clients.get(known);
}

function ending(sdk, error) {
  const name = error.constructor.name;
  if (error instanceof Broken) return { failed: { name, ...error.told } };
  if (error instanceof ChatError || error instanceof MessageError || error instanceof ApiError)
    return { failed: { name, ...sdk.failed(error) } };
  if (error instanceof sdk.error || error.name === "AbortError") return { failed: { name, message: error.message } };
  return { broken: error.stack };
}

async function run({ id, client: name, way, request, headers = {}, retries = 0 }) {
  const sdk = SDKS[name];
  const controller = new AbortController();
  running.set(id, controller);
  const note = (text) => text && say({ id, text });
  try {
    const heard = await sdk[way](clientOf(name, retries), request, { signal: controller.signal, headers }, note);
    say({ id, heard });
  } catch (error) {
    say({ id, ...ending(sdk, error) });
  }
  running.delete(id);
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const task = JSON.parse(line);
  if (task.abort) running.get(task.abort)?.abort();
  else run(task);
});
