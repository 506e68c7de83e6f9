"""A provider that is never the bottleneck: all five chat formats, whole and streamed, out of memory.

A stream is a hundred deltas and makes a write every 10 ms: of one delta when the model's name ends in `-paced`, else of
ten. It never goes as fast as it can: a server that keeps up would be woken more often the faster it is, and one that
falls behind would find more to do at each waking, so that both take the same CPU time per delta, whatever their work
costs. There is no other switch and no state: what a benchmark varies is said in the request, which gateways hand on.

    python bench/upstream.py PORT
"""

import asyncio
import sys
from collections.abc import Iterable, Iterator
from itertools import chain

import httptools
import msgspec
import uvloop

DELTAS = 100  # of a stream
PACE = 0.01  # seconds between two writes
BURST = 10  # deltas in one write, unless paced
WORDS = "a gateway takes a request finds a provider that may answer it and hands back every token as it comes".split()
TOKENS = [WORDS[i % len(WORDS)] + " " for i in range(DELTAS)]
TEXT = "".join(TOKENS)[:420]

type_json = b"application/json"
type_sse = b"text/event-stream; charset=utf-8"
type_lines = b"application/x-ndjson"
# About as many headers as the real ones send: a gateway has to read them all.
HEAD = (
    b"HTTP/1.1 200 OK\r\ndate: Thu, 09 Oct 2025 10:00:00 GMT\r\ncontent-type: %s\r\n"
    b"x-request-id: req_0123456789abcdef\r\n"
    b"x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\nx-ratelimit-reset-requests: 6ms\r\n"
    b"x-ratelimit-limit-tokens: 2000000\r\nx-ratelimit-remaining-tokens: 1999000\r\nx-ratelimit-reset-tokens: 18ms\r\n"
    b"%s\r\n\r\n"
)
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


class Ask(msgspec.Struct):
    """All that the answer depends on."""

    model: str = ""
    stream: bool = False


class Wire(msgspec.Struct, frozen=True):
    """The two answers of one wire format, ready to be written."""

    whole: bytes
    frames: list[bytes]

    def bursts(self) -> list[bytes]:
        return [b"".join(self.frames[i : i + BURST]) for i in range(0, len(self.frames), BURST)]


def whole(body: object) -> bytes:
    payload = msgspec.json.encode(body)
    return HEAD % (type_json, b"content-length: %d" % len(payload)) + payload


def frames(events: Iterable[bytes], content_type: bytes = type_sse) -> list[bytes]:
    """One HTTP chunk per event; the head travels with the first, the closing chunk with the last."""
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
    chunks[0] = HEAD % (content_type, b"transfer-encoding: chunked") + chunks[0]
    chunks[-1] += b"0\r\n\r\n"
    return chunks


def openai() -> Wire:
    usage = {"prompt_tokens": 57, "completion_tokens": DELTAS, "total_tokens": 57 + DELTAS}
    base = {"id": "chatcmpl-bench", "created": 1760000000, "model": "gpt-4o-mini", "system_fingerprint": "fp_bench"}

    def event(delta: dict[str, str], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return sse({**base, "object": "chat.completion.chunk", "choices": [choice]})

    message: dict[str, object] = {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return Wire(
        whole({**base, "object": "chat.completion", "choices": [choice], "usage": usage}),
        frames(
            chain(
                [event({"role": "assistant", "content": ""})],
                (event({"content": token}) for token in TOKENS),
                [event({}, "stop")],
                [sse({**base, "object": "chat.completion.chunk", "choices": [], "usage": usage})],
                [b"data: [DONE]\n\n"],
            )
        ),
    )


def anthropic() -> Wire:
    base = {
        "id": "msg_bench",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4",
        "stop_sequence": None,
    }
    asked = {"input_tokens": 57, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}

    def event(kind: str, **members: object) -> bytes:
        return b"event: %b\n" % kind.encode() + sse({"type": kind, **members})

    start: dict[str, object] = {**base, "content": [], "stop_reason": None, "usage": {**asked, "output_tokens": 1}}
    content = [{"type": "text", "text": TEXT}]
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    return Wire(
        whole({**base, "content": content, "stop_reason": "end_turn", "usage": {**asked, "output_tokens": DELTAS}}),
        frames(
            chain(
                [event("message_start", message=start)],
                [event("content_block_start", index=0, content_block={"type": "text", "text": ""})],
                [event("ping")],
                (
                    event("content_block_delta", index=0, delta={"type": "text_delta", "text": token})
                    for token in TOKENS
                ),
                [event("content_block_stop", index=0)],
                [event("message_delta", delta=end, usage={"output_tokens": DELTAS})],
                [event("message_stop")],
            )
        ),
    )


def responses() -> Wire:
    usage = {"input_tokens": 57, "output_tokens": DELTAS, "total_tokens": 57 + DELTAS}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    base = {"id": "resp_bench", "object": "response", "created_at": 1760000000, "model": "gpt-4o-mini", "error": None}
    item = {"id": "msg_bench", "type": "message", "role": "assistant"}
    place = {"item_id": "msg_bench", "output_index": 0, "content_index": 0}

    def part(text: str) -> dict[str, object]:
        return {"type": "output_text", "text": text, "annotations": []}

    def response(status: str, text: str = "") -> dict[str, object]:
        done = {**item, "status": "completed", "content": [part(text)]}
        spent = {"usage": {**usage, **details}, "output": [done]} if text else {"usage": None, "output": []}
        return {**base, "status": status, "parallel_tool_calls": True, "tools": [], "tool_choice": "auto", **spent}

    text = "".join(TOKENS)
    told: list[tuple[str, dict[str, object]]] = [
        ("response.created", {"response": response("in_progress")}),
        ("response.in_progress", {"response": response("in_progress")}),
        ("response.output_item.added", {"output_index": 0, "item": {**item, "status": "in_progress", "content": []}}),
        ("response.content_part.added", {**place, "part": part("")}),
        *(("response.output_text.delta", {**place, "delta": token, "logprobs": []}) for token in TOKENS),
        ("response.output_text.done", {**place, "text": text, "logprobs": []}),
        ("response.content_part.done", {**place, "part": part(text)}),
        (
            "response.output_item.done",
            {"output_index": 0, "item": {**item, "status": "completed", "content": [part(text)]}},
        ),
        ("response.completed", {"response": response("completed", text)}),
    ]
    events = (
        b"event: %b\n" % kind.encode() + sse({"type": kind, "sequence_number": number, **members})
        for number, (kind, members) in enumerate(told)
    )
    return Wire(whole(response("completed", TEXT)), frames(events))


def gemini() -> Wire:
    def answer(text: str, *, last: bool) -> dict[str, object]:
        candidate: dict[str, object] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
        spent = {"promptTokenCount": 57, "candidatesTokenCount": DELTAS, "totalTokenCount": 57 + DELTAS}
        return {
            "candidates": [candidate | ({"finishReason": "STOP"} if last else {})],
            "usageMetadata": spent,
            "modelVersion": "gemini-2.5-flash",
            "responseId": "bench",
        }

    *some, final = TOKENS
    events = [*(sse(answer(token, last=False)) for token in some), sse(answer(final, last=True))]
    return Wire(whole(answer(TEXT, last=True)), frames(events))


def ollama() -> Wire:
    base = {"model": "qwen3", "created_at": "2025-10-09T10:00:00.000000Z"}
    spent = {
        "done_reason": "stop",
        "total_duration": 900_000_000,
        "load_duration": 1_000_000,
        "prompt_eval_count": 57,
        "prompt_eval_duration": 9_000_000,
        "eval_count": DELTAS,
        "eval_duration": 800_000_000,
    }

    def line(text: str, *, done: bool) -> dict[str, object]:
        return {**base, "message": {"role": "assistant", "content": text}, "done": done, **(spent if done else {})}

    lines = [*(line(token, done=False) for token in TOKENS), line("", done=True)]
    return Wire(whole(line(TEXT, done=True)), frames((msgspec.json.encode(one) + b"\n" for one in lines), type_lines))


def sse(data: object) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(data)


# By the end of the path, so that any base URL will do.
WIRES = {
    b"completions": openai(),
    b"messages": anthropic(),
    b"responses": responses(),
    b"generateContent": gemini(),
    b"streamGenerateContent": gemini(),
    b"chat": ollama(),
}
STREAMS = b"streamGenerateContent"
"""The one path that says itself that a stream is wanted."""
decode = msgspec.json.Decoder(Ask).decode


class Provider(asyncio.Protocol):
    """One connection; answers its requests one after another."""

    transport: asyncio.Transport
    next_write: asyncio.Handle | None = None

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # a TCP one
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.next_write:
            self.next_write.cancel()

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.last = url.partition(b"?")[0].replace(b":", b"/").rpartition(b"/")[2]
        self.wire = WIRES.get(self.last)
        self.body: list[bytes] = []

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        if self.wire is None:
            self.transport.write(NOT_FOUND)
            return
        ask = decode(b"".join(self.body))
        if ask.stream or self.last == STREAMS:
            self.play(iter(self.wire.frames if ask.model.endswith("-paced") else self.wire.bursts()))
        else:
            self.transport.write(self.wire.whole)

    def play(self, writes: Iterator[bytes]) -> None:
        self.next_write = None
        if write := next(writes, None):
            self.transport.write(write)
            self.next_write = self.loop.call_later(PACE, self.play, writes)


async def main(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Provider(loop), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
