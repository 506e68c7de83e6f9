"""What a legal stream of Ollama's lines is, written down as strictly as its strictest client reads it."""

import re

import msgspec

REASONS = {"stop", "length", "load", "unload"}
MESSAGE = {"role", "content", "thinking", "tool_calls", "images"}
DURATIONS = {"total_duration", "load_duration", "prompt_eval_duration", "eval_duration"}
COUNTS = {"prompt_eval_count", "eval_count"}
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


class Seen(msgspec.Struct):
    """What the stream told."""

    content: str = ""
    thinking: str = ""
    images: int = 0
    calls: list[dict] = []
    logprobs: list[dict] = []
    model: str = ""
    reason: str | None = None
    last: dict | None = None
    error: str | None = None


def ollama(stream: bytes) -> Seen:
    """Reads a whole stream of a chat; fails where it breaks a rule."""
    return _read(stream, _chat)


def generate(stream: bytes) -> Seen:
    """Reads a whole stream of `/api/generate`."""
    return _read(stream, _generate)


def request(body: dict) -> None:
    """Fails where the server would refuse a request or misread it."""
    assert isinstance(body["stream"], bool), "silence means a stream"
    assert body["model"]
    named = {}
    for message in body["messages"]:
        assert set(message) <= MESSAGE | {"tool_name", "tool_call_id"}
        assert message["role"] in {"system", "user", "assistant", "tool"}
        assert isinstance(message["content"], str), "content is one text"
        for image in message.get("images", ()):
            assert not image.startswith(("http", "data:")), "an image is bare base64"
        for at, call in enumerate(message.get("tool_calls", ())):
            assert isinstance(call["function"]["arguments"], dict)
            assert call["function"]["index"] == at
            named[call["id"]] = call["function"]["name"]
        if message["role"] == "tool" and message["tool_call_id"] in named:
            assert message["tool_name"] == named[message["tool_call_id"]]
    for tool in body.get("tools", ()):
        assert isinstance(tool["function"]["parameters"], dict)
    assert body.get("format") in (None, "json") or isinstance(body["format"], dict)
    assert body.get("think") in (None, True, False, "low", "medium", "high", "max")


def _read(stream, piece):
    seen = Seen()
    assert b"\r" not in stream
    *lines, rest = stream.split(b"\n")
    assert rest == b"", "the last line has no end"
    assert lines, "there is no line"
    fixed = None
    for line in lines:
        assert line, "an empty line is no JSON"
        told = msgspec.json.decode(line)
        assert seen.error is None, "something follows an error"
        assert seen.last is None, "something follows the end"
        if "error" in told:
            assert set(told) == {"error"}
            assert isinstance(told["error"], str)
            seen.error = told["error"]
            continue
        envelope = told.pop("model"), told.pop("created_at")
        assert fixed in (None, envelope), "the envelope changed"
        assert DATE.fullmatch(envelope[1])
        fixed = envelope
        seen.model = envelope[0]
        done = told.pop("done")
        if done:
            _end(told, seen)
        seen.logprobs += told.pop("logprobs", ())
        piece(told, seen)
        assert not told, f"unknown: {told}"
    assert (seen.reason is None) != (seen.error is None), "neither finished nor failed, or both"
    return seen


def _end(told, seen):
    seen.reason = told.pop("done_reason")
    assert seen.reason in REASONS
    seen.last = {name: told.pop(name) for name in (DURATIONS | COUNTS) & set(told)}
    assert all(isinstance(value, int) and value >= 0 for value in seen.last.values())
    if seen.reason in ("stop", "length"):
        assert {"total_duration", "eval_duration"} <= set(seen.last)
        parts = seen.last["eval_duration"] + seen.last.get("prompt_eval_duration", 0)
        assert abs(seen.last["total_duration"] - parts) <= 1


def _chat(told, seen):
    said = told.pop("message")
    assert said["role"] == "assistant"
    assert set(said) <= MESSAGE
    seen.content += said["content"]
    _more(said, seen)


def _generate(told, seen):
    seen.content += told.pop("response")
    _more(told, seen)


def _more(said, seen):
    seen.thinking += said.pop("thinking", "")
    seen.images += len(said.pop("images", ()))
    for call in said.pop("tool_calls", ()):
        assert set(call) == {"id", "function"}
        function = call["function"]
        assert set(function) == {"index", "name", "arguments"}
        assert function["index"] == len(seen.calls)
        assert isinstance(function["arguments"], dict), "arguments are an object"
        seen.calls.append({"id": call["id"], "name": function["name"], "arguments": function["arguments"]})
