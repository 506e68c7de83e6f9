"""What a legal stream of Anthropic's messages is, written down as strictly as its strictest client reads it."""

import re

import msgspec

REASONS = {
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
}
DELTAS = {
    "text": {"text_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
}
ERRORS = {
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "conflict_error",
    "request_too_large",
    "rate_limit_error",
    "api_error",
    "overloaded_error",
    "timeout_error",
}


class Seen(msgspec.Struct):
    """What the stream told. A block holds its `type`, its `text` (of any kind), its `signature` and how it started."""

    blocks: list[dict] = []
    model: str = ""
    id: str = ""
    reason: str | None = None
    sequence: str | None = None
    usage: dict | None = None
    error: dict | None = None


def anthropic(stream: bytes) -> Seen:
    """Reads a whole stream; fails where it breaks a rule."""
    assert b"\r" not in stream
    *events, rest = stream.split(b"\n\n")
    assert rest == b"", "the last event has no end"
    assert events, "there is no event"
    reader = _Reader()
    for event in events:
        head, data = event.split(b"\n")
        assert head.startswith(b"event: "), event
        assert data.startswith(b"data: {"), event
        told = msgspec.json.decode(data[6:])
        assert head[7:].decode() == told["type"]
        reader.take(told)
    assert reader.over, "the stream has no end"
    return reader.seen


class _Reader:
    def __init__(self):
        self.seen = Seen()
        self.started = False
        self.over = False
        self.open = None

    def take(self, told):
        assert not self.over, "something follows the end"
        kind = told["type"]
        if kind == "error":
            assert set(told) == {"type", "error"}
            assert set(told["error"]) == {"type", "message"}
            assert told["error"]["type"] in ERRORS
            self.seen.error = told["error"]
            self.over = True
            return
        if kind == "message_start":
            self.start(told["message"])
            return
        assert self.started, "something comes before message_start"
        if kind != "ping":
            getattr(self, kind)(told)

    def start(self, message):
        assert not self.started
        self.started = True
        assert message["id"].startswith("msg_")
        assert (message["type"], message["role"], message["content"]) == ("message", "assistant", [])
        assert message["stop_reason"] is None
        assert message["stop_sequence"] is None
        self.spend(message["usage"])
        self.seen.id, self.seen.model = message["id"], message["model"]

    def spend(self, usage):
        for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
            assert usage[name] >= 0
        assert sum(usage["cache_creation"].values()) == usage["cache_creation_input_tokens"]
        self.seen.usage = usage

    def content_block_start(self, told):
        assert self.open is None, "a block is still open"
        assert self.seen.reason is None
        assert told["index"] == len(self.seen.blocks)
        block = told["content_block"]
        kind = block["type"]
        if kind == "text":
            assert block == {"type": "text", "text": ""}
        elif kind == "thinking":
            assert block == {"type": "thinking", "thinking": "", "signature": ""}
        elif kind == "tool_use":
            assert set(block) == {"type", "id", "name", "input"}
            assert block["input"] == {}
        elif kind == "redacted_thinking":
            assert set(block) == {"type", "data"}
        self.open = {"type": kind, "text": "", "signature": None, "start": block}
        self.seen.blocks.append(self.open)

    def content_block_delta(self, told):
        assert self.open is not None, "no block is open"
        assert told["index"] == len(self.seen.blocks) - 1
        delta = dict(told["delta"])
        kind = delta.pop("type")
        assert kind in DELTAS.get(self.open["type"], ())
        assert self.open["signature"] is None, "something follows the signature"
        (value,) = delta.values()
        if kind == "signature_delta":
            self.open["signature"] = value
        else:
            self.open["text"] += value

    def content_block_stop(self, told):
        assert self.open is not None, "no block is open"
        assert told == {"type": "content_block_stop", "index": len(self.seen.blocks) - 1}
        self.open = None

    def message_delta(self, told):
        assert self.open is None, "a block is still open"
        assert self.seen.reason is None, "it finished already"
        assert set(told["delta"]) == {"stop_reason", "stop_sequence"}
        assert told["delta"]["stop_reason"] in REASONS
        self.seen.reason, self.seen.sequence = told["delta"]["stop_reason"], told["delta"]["stop_sequence"]
        self.spend(told["usage"])

    def message_stop(self, told):
        assert told == {"type": "message_stop"}
        assert self.seen.reason is not None, "it stops without a reason"
        self.over = True


def request(body) -> None:
    """Fails where a request breaks a rule that the API is known to refuse it for."""
    assert body["max_tokens"] >= 0
    messages = body["messages"]
    assert messages[0]["role"] == "user"
    ids, awaited, marks = set(), [], _marks(body.get("tools", ())) + _marks(body.get("system", ()))
    for before, message in zip([None, *messages], messages, strict=False):
        role = message["role"]
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        assert blocks, "a message is empty"
        marks += _marks(blocks)
        if before is not None:
            assert role != before["role"], "one speaker twice"
        if role == "system":
            assert before["role"] == "user"
        elif before is not None and before["role"] == "system":
            assert role == "assistant"
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if results:
            assert role == "user"
            assert [block["type"] for block in blocks[: len(results)]] == ["tool_result"] * len(results)
        assert sorted(results) == sorted(awaited), "calls and results do not fit"
        awaited = [block["id"] for block in blocks if block["type"] == "tool_use"]
        for ident in awaited:
            assert re.fullmatch("[a-zA-Z0-9_-]+", ident)
            assert ident not in ids
            ids.add(ident)
        for block in blocks:
            _block(block, role)
    assert not awaited, "the last calls have no results"
    assert marks <= 4
    _settings(body)


def _marks(blocks):
    return sum("cache_control" in block for block in blocks if isinstance(block, dict))


def _block(block, role):
    kind = block["type"]
    if kind == "text":
        assert block["text"].strip(), "a text is empty"
    elif kind in ("thinking", "redacted_thinking"):
        assert role == "assistant"
        assert not (block.get("signature") or block.get("data")).startswith("omniroute.")
    elif kind == "tool_use":
        assert role == "assistant"
        assert isinstance(block["input"], dict)


def _settings(body):
    thinking = body.get("thinking", {"type": "disabled"})
    if thinking["type"] == "enabled":
        assert 1024 <= thinking["budget_tokens"] < body["max_tokens"]
    if thinking["type"] in ("enabled", "adaptive"):
        assert "temperature" not in body
        assert "top_k" not in body
        assert body.get("top_p", 1) >= 0.95
        assert body.get("tool_choice", {"type": "auto"})["type"] in ("auto", "none")
    assert 0 <= body.get("temperature", 1) <= 1
    assert all(sequence.strip() for sequence in body.get("stop_sequences", ()))
    assert "tools" in body or "tool_choice" not in body
