"""What a legal stream of Google's `generateContent` is, written down as strictly as its strictest client reads it."""

import base64
import binascii

import msgspec

FINISHES = {"STOP", "MAX_TOKENS", "SAFETY"}
STATUSES = {
    "INVALID_ARGUMENT",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "FAILED_PRECONDITION",
    "NOT_FOUND",
    "ABORTED",
    "UNIMPLEMENTED",
    "RESOURCE_EXHAUSTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
}
KINDS = {"text", "functionCall", "inlineData", "fileData", "executableCode", "codeExecutionResult"}


class Seen(msgspec.Struct):
    """What the stream told."""

    text: str = ""
    thoughts: str = ""
    calls: list[dict] = []
    media: list[dict] = []
    signatures: list[str] = []
    model: str = ""
    finish: str | None = None
    usage: dict | None = None
    error: dict | None = None


def gemini(stream: bytes) -> Seen:
    """Reads a whole stream of events; fails where it breaks a rule."""
    assert b"\r" not in stream
    *events, rest = stream.split(b"\n\n")
    assert rest == b"", "the last event has no end"
    for event in events:
        assert event.startswith(b"data: {"), event
        assert b"\n" not in event, event
    return _read([event[6:] for event in events])


def array(stream: bytes) -> Seen:
    """Reads a whole stream that is a JSON array."""
    elements = msgspec.json.decode(stream, type=list[msgspec.Raw])
    assert elements, "the array is empty"
    return _read(list(map(bytes, elements)))


def _read(chunks: list[bytes]) -> Seen:
    seen = Seen()
    assert chunks, "there is no chunk"
    envelope = None
    for data in chunks:
        chunk = msgspec.json.decode(data)
        assert seen.error is None, "something follows an error"
        assert seen.finish is None, "something follows the finish"
        if "error" in chunk:
            assert data.startswith(b'{"error":'), "SDKs look no further"
            assert set(chunk) == {"error"}
            assert set(chunk["error"]) <= {"code", "message", "status", "details"}
            assert chunk["error"]["status"] in STATUSES
            assert 400 <= chunk["error"]["code"] < 600
            seen.error = chunk["error"]
            continue
        assert set(chunk) <= {"candidates", "usageMetadata", "modelVersion", "responseId"}
        fixed = (chunk["modelVersion"], chunk["responseId"])
        assert envelope in (None, fixed), "the envelope changed"
        envelope = fixed
        seen.model = chunk["modelVersion"]
        _chunk(chunk, seen)
    assert (seen.finish is None) != (seen.error is None), "neither finished nor failed, or both"
    return seen


def _chunk(chunk: dict, seen: Seen) -> None:
    (candidate,) = chunk["candidates"]
    assert set(candidate) <= {"content", "finishReason", "index", "logprobsResult"}
    assert candidate["index"] == 0
    chances = candidate.get("logprobsResult")
    if chances is not None:
        assert len(chances["chosenCandidates"]) == len(chances["topCandidates"]) > 0
    content = candidate["content"]
    assert content["role"] == "model"
    for part in content["parts"]:
        _part(part, seen)
    if "finishReason" in candidate:
        assert candidate["finishReason"] in FINISHES
        seen.finish = candidate["finishReason"]
    if "usageMetadata" in chunk:
        usage = seen.usage = chunk["usageMetadata"]
        thought = usage.get("thoughtsTokenCount", 0)
        assert usage["totalTokenCount"] == usage["promptTokenCount"] + usage["candidatesTokenCount"] + thought


def _part(part: dict, seen: Seen) -> None:
    assert len(KINDS & set(part)) == 1, "a part is one thing"
    signature = part.get("thoughtSignature")
    if signature is not None:
        seen.signatures.append(signature)
        try:
            base64.b64decode(signature.translate(str.maketrans("-_", "+/")), validate=True)
        except binascii.Error:
            raise AssertionError(f"{signature} is not base64") from None
    if "text" in part:
        if part.get("thought"):
            seen.thoughts += part["text"]
        else:
            seen.text += part["text"]
    elif "functionCall" in part:
        call = part["functionCall"]
        assert set(call) == {"id", "name", "args"}
        assert isinstance(call["args"], dict)
        if not seen.calls:
            assert signature, "Gemini 3 would refuse it in a history"
        seen.calls.append(call)
    else:
        seen.media.append(part)


def request(body: dict, *, signed: bool = True) -> None:
    """Fails where a request breaks a rule that the API is known to refuse it for. `signed`: of a model that insists on
    signatures."""
    contents = body["contents"]
    assert contents[0]["role"] == "user"
    awaited = []
    for before, content in zip([None, *contents], contents, strict=False):
        assert content["role"] in ("user", "model")
        assert before is None or before["role"] != content["role"], "one speaker twice"
        parts = content["parts"]
        assert parts, "a content is empty"
        results = [part["functionResponse"] for part in parts if "functionResponse" in part]
        told = [(result["id"], result["name"]) for result in results]
        assert sorted(told) == sorted(awaited), "calls and results do not fit"
        assert ["functionResponse" in part for part in parts[: len(results)]] == [True] * len(results)
        calls = [part for part in parts if "functionCall" in part]
        awaited = [(part["functionCall"]["id"], part["functionCall"]["name"]) for part in calls]
        if calls:
            assert content["role"] == "model"
            assert not signed or calls[0].get("thoughtSignature"), "the first call is not signed"
        for part in parts:
            if part.get("text") == "":
                assert "thoughtSignature" in part, "a text is empty"
            if part.get("thought"):
                assert content["role"] == "model"
            assert isinstance(part.get("functionCall", {"args": {}})["args"], dict)
            assert isinstance(part.get("functionResponse", {"response": {}})["response"], dict)
            assert not part.get("thoughtSignature", "").startswith("b21uaXJvdXRl"), "a seal of ours"
    assert not awaited, "the last calls have no results"
    config = body.get("generationConfig", {})
    assert "responseJsonSchema" not in config or config["responseMimeType"] == "application/json"
    assert len(config.get("stopSequences", ())) <= 5
