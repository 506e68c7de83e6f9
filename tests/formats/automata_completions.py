"""What a legal stream of OpenAI's legacy completions is, written down as strictly as its strictest client reads it."""

import msgspec

FINISHES = {"stop", "length", "content_filter"}
LOGPROBS = {"tokens", "token_logprobs", "top_logprobs", "text_offset"}


class Seen(msgspec.Struct):
    """What the stream told."""

    content: str = ""
    logprobs: list[dict] = []
    finish: str | None = None
    usage: dict | None = None
    error: dict | None = None


def completions(stream: bytes) -> Seen:
    """Reads a whole stream; fails where it breaks a rule."""
    seen = Seen()
    *events, rest = stream.split(b"\n\n")
    assert rest == b"", "the last event has no end"
    assert events[-1] == b"data: [DONE]", "the end is not [DONE]"
    envelope = None
    for event in events[:-1]:
        assert event.startswith(b"data: {"), event
        assert b"\n" not in event, event
        assert seen.error is None, "something follows an error"
        chunk = msgspec.json.decode(event[6:])
        if "error" in chunk:
            assert set(chunk["error"]) == {"message", "type", "param", "code"}
            seen.error = chunk["error"]
            continue
        fixed = (chunk["id"], chunk["object"], chunk["created"], chunk["model"])
        assert envelope in (None, fixed), "the envelope changed"
        assert chunk["object"] == "text_completion"
        envelope = fixed
        _chunk(chunk, seen)
    assert (seen.finish is None) != (seen.error is None), "neither finished nor failed, or both"
    return seen


def _chunk(chunk, seen):
    assert seen.usage is None, "something follows the usage"
    if not chunk["choices"]:
        assert seen.finish, "usage comes before the finish"
        seen.usage = chunk["usage"]
        return
    (choice,) = chunk["choices"]
    assert set(choice) == {"text", "index", "logprobs", "finish_reason"}
    assert choice["index"] == 0
    assert seen.finish is None, "something follows the finish"
    seen.content += choice["text"]
    if choice["logprobs"] is not None:
        assert set(choice["logprobs"]) == LOGPROBS
        assert len({len(values) for values in choice["logprobs"].values()}) == 1
        seen.logprobs.append(choice["logprobs"])
    if choice["finish_reason"] is not None:
        assert choice["finish_reason"] in FINISHES
        seen.finish = choice["finish_reason"]
