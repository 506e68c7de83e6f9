"""What a legal stream of OpenAI chat completions is, written down as strictly as its strictest client reads it."""

import msgspec

DELTAS = {"role", "content", "refusal", "reasoning_content", "tool_calls", "images"}
FINISHES = {"stop", "length", "tool_calls", "content_filter"}


class Seen(msgspec.Struct):
    """What the stream told."""

    content: str = ""
    refusal: str = ""
    reasoning: str = ""
    images: int = 0
    calls: list[dict] = []
    model: str = ""
    finish: str | None = None
    usage: dict | None = None
    error: dict | None = None


def openai_chat(stream: bytes) -> Seen:
    """Reads a whole stream; fails where it breaks a rule."""
    seen = Seen()
    assert b"\r" not in stream
    *events, rest = stream.split(b"\n\n")
    assert rest == b"", "the last event has no end"
    assert events, "there is no event"
    assert events[-1] == b"data: [DONE]", "the end is not [DONE]"
    envelope = None
    for event in events[:-1]:
        assert event.startswith(b"data: {"), event
        assert b"\n" not in event, event
        assert seen.error is None, "something follows an error"
        chunk = msgspec.json.decode(event[6:])
        if "error" in chunk:
            assert set(chunk) == {"error"}
            assert set(chunk["error"]) == {"message", "type", "param", "code"}
            seen.error = chunk["error"]
            continue
        fixed = (chunk["id"], chunk["object"], chunk["created"], chunk["model"])
        assert envelope in (None, fixed), "the envelope changed"
        assert chunk["object"] == "chat.completion.chunk"
        first = envelope is None
        envelope = fixed
        seen.model = chunk["model"]
        _chunk(chunk, seen, first=first)
    assert (seen.finish is None) != (seen.error is None), "neither finished nor failed, or both"
    return seen


def _chunk(chunk, seen, *, first):
    assert seen.usage is None, "something follows the usage"
    if not chunk["choices"]:
        assert seen.finish, "usage comes before the finish"
        usage = seen.usage = chunk["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        return
    assert chunk.get("usage") is None
    (choice,) = chunk["choices"]
    assert set(choice) == {"index", "delta", "logprobs", "finish_reason"}
    assert choice["index"] == 0
    assert seen.finish is None, "something follows the finish"
    delta = choice["delta"]
    assert set(delta) <= DELTAS
    assert ("role" in delta) == first, "the role comes first, and once"
    seen.content += delta.get("content") or ""
    seen.refusal += delta.get("refusal") or ""
    seen.reasoning += delta.get("reasoning_content") or ""
    seen.images += len(delta.get("images", ()))
    for call in delta.get("tool_calls", ()):
        _call(call, seen.calls)
    if choice["finish_reason"] is not None:
        assert choice["finish_reason"] in FINISHES
        assert delta == {}
        seen.finish = choice["finish_reason"]


def _call(call, calls):
    index = call["index"]
    assert 0 <= index <= len(calls), "an index was left out"
    if index == len(calls):
        kind = call["type"]
        inner = call[kind]
        text = inner["arguments" if kind == "function" else "input"]
        calls.append({"id": call["id"], "type": kind, "name": inner["name"], "text": text})
        return
    assert "id" not in call
    kind = calls[index]["type"]
    assert set(call) == {"index", kind}
    calls[index]["text"] += call[kind]["arguments" if kind == "function" else "input"]
