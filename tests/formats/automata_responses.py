"""What a legal stream of OpenAI's responses is, written down as strictly as its strictest client reads it."""

import msgspec

STATUSES = {"completed": "completed", "incomplete": "incomplete", "failed": "failed"}
ENDS = {"response.completed", "response.incomplete", "response.failed"}
REASONS = {"max_output_tokens", "content_filter"}
PREFIXES = {
    "message": "msg_",
    "reasoning": "rs_",
    "function_call": "fc_",
    "custom_tool_call": "ctc_",
    "image_generation_call": "ig_",
}
EMPTY = {"message": "content", "reasoning": "summary", "function_call": "arguments", "custom_tool_call": "input"}
"""What of an item grows."""


class Seen(msgspec.Struct):
    """What the stream told; `items` as each was told at its end."""

    items: dict[int, dict] = {}
    id: str = ""
    model: str = ""
    status: str = ""
    reason: str | None = None
    usage: dict | None = None
    error: dict | None = None
    response: dict = {}


def openai_responses(stream: bytes) -> Seen:
    """Reads a whole stream; fails where it breaks a rule."""
    assert b"\r" not in stream
    *events, rest = stream.split(b"\n\n")
    assert rest == b"", "the last event has no end"
    assert events, "there is no event"
    reader = _Reader()
    for number, event in enumerate(events):
        head, data = event.split(b"\n")
        assert head.startswith(b"event: "), event
        assert data.startswith(b"data: {"), event
        told = msgspec.json.decode(data[6:])
        assert head[7:].decode() == told["type"]
        assert told.pop("sequence_number") == number
        reader.take(told)
    assert reader.over, "the stream has no end"
    return reader.seen


class _Reader:
    def __init__(self):
        self.seen = Seen()
        self.begun = []
        self.over = False
        self.open = {}  # by output index: the item as it grew
        self.parts = {}  # by output index: the part that is open, and its text

    def take(self, told):
        assert not self.over, "something follows the end"
        kind = told["type"]
        if kind == "error":
            assert not self.begun, "a response that was begun fails as one"
            assert set(told) == {"type", "code", "message", "param"}
            self.seen.error = told
            self.over = True
        elif kind in ("response.created", "response.in_progress"):
            self.begin(kind, told["response"])
        elif kind in ENDS:
            self.end(kind.removeprefix("response."), told["response"])
        else:
            assert self.begun == ["response.created", "response.in_progress"]
            getattr(self, kind.removeprefix("response.").replace(".", "_"))(told)

    def begin(self, kind, response):
        assert kind not in self.begun
        assert kind == "response.created" or self.begun
        self.begun.append(kind)
        self.whole(response)
        assert (response["status"], response["output"], response["usage"]) == ("in_progress", [], None)
        assert response["error"] is None
        assert response["incomplete_details"] is None
        self.seen.id, self.seen.model = response["id"], response["model"]

    def whole(self, response):
        assert response["object"] == "response"
        assert response["id"].startswith("resp_")
        for name in ("created_at", "model", "tools", "tool_choice", "parallel_tool_calls", "output", "usage", "error"):
            assert name in response
        assert self.seen.id in ("", response["id"])
        assert self.seen.model in ("", response["model"])

    def end(self, status, response):
        assert self.begun == ["response.created", "response.in_progress"]
        self.whole(response)
        self.over = True
        self.seen.response, self.seen.status = response, response["status"]
        assert response["status"] == status
        if status == "failed":
            assert set(response["error"]) >= {"code", "message"}
            self.seen.error = response["error"]
            told = [self.seen.items[index] for index in sorted(self.seen.items)]
            assert response["output"] in (told, [])
            return
        assert not self.open, "an item is still open"
        assert sorted(self.seen.items) == list(range(len(self.seen.items)))
        assert response["output"] == [self.seen.items[index] for index in range(len(self.seen.items))]
        ids = [item["id"] for item in response["output"] if item["type"] in PREFIXES]
        assert len(ids) == len(set(ids))
        assert response["error"] is None
        if status == "incomplete":
            self.seen.reason = response["incomplete_details"]["reason"]
            assert self.seen.reason in REASONS
        else:
            assert response["incomplete_details"] is None
        self.seen.usage = response["usage"]
        if self.seen.usage is not None:
            self.spend(self.seen.usage)

    def spend(self, usage):
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        assert usage["input_tokens_details"]["cached_tokens"] >= 0
        assert usage["output_tokens_details"]["reasoning_tokens"] >= 0

    # Items

    def output_item_added(self, told):
        index, item = told["output_index"], told["item"]
        assert index == len(self.open) + len(self.seen.items), "an index was left out"
        kind = item["type"]
        if kind in PREFIXES:
            assert item["id"].startswith(PREFIXES[kind])
        if kind in EMPTY and "encrypted_content" not in item:
            assert not item[EMPTY[kind]]
        if kind in ("message", "function_call"):
            assert item["status"] == "in_progress"
        self.open[index] = {"start": item, "text": "", "parts": []}

    def item(self, told):
        item = self.open[told["output_index"]]
        assert told["item_id"] == item["start"]["id"]
        return item

    def output_item_done(self, told):
        index, item = told["output_index"], told["item"]
        grown = self.open.pop(index)
        assert index not in self.parts, "a part is still open"
        start = grown["start"]
        for name in ("id", "type", "call_id", "name", "role"):
            assert item.get(name) == start.get(name)
        kind = item["type"]
        if kind == "message":
            assert item["content"] == grown["parts"]
        elif kind == "reasoning":
            assert item["summary"] == grown["parts"]
        elif kind in EMPTY:
            assert item[EMPTY[kind]] == grown["text"] == grown["said"]
        else:
            assert item == start
        if kind in ("message", "function_call"):
            assert item["status"] in ("completed", "incomplete")
        self.seen.items[index] = item

    # Parts of messages

    def content_part_added(self, told):
        item = self.item(told)
        assert told["content_index"] == len(item["parts"])
        part = told["part"]
        empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        assert part in (empty, {"type": "refusal", "refusal": ""})
        self.parts[told["output_index"]] = {"type": part["type"], "text": "", "logprobs": [], "done": False}

    def part(self, told, kind):
        self.item(told)
        assert told["content_index"] == len(self.open[told["output_index"]]["parts"])
        part = self.parts[told["output_index"]]
        assert part["type"] == kind
        assert not part["done"], "something follows the end of the part"
        return part

    def output_text_delta(self, told):
        part = self.part(told, "output_text")
        assert told["delta"]
        part["text"] += told["delta"]
        part["logprobs"] += told["logprobs"]

    def refusal_delta(self, told):
        assert told["delta"]
        self.part(told, "refusal")["text"] += told["delta"]

    def output_text_done(self, told):
        part = self.part(told, "output_text")
        assert (told["text"], told["logprobs"]) == (part["text"], part["logprobs"])
        part["done"] = True

    def refusal_done(self, told):
        part = self.part(told, "refusal")
        assert told["refusal"] == part["text"]
        part["done"] = True

    def content_part_done(self, told):
        item = self.item(told)
        part = self.parts.pop(told["output_index"])
        assert part["done"]
        whole = told["part"]
        assert whole["type"] == part["type"]
        assert whole["text" if part["type"] == "output_text" else "refusal"] == part["text"]
        item["parts"].append(whole)

    # Summaries

    def reasoning_summary_part_added(self, told):
        item = self.item(told)
        assert told["summary_index"] == len(item["parts"])
        assert told["part"] == {"type": "summary_text", "text": ""}
        self.parts[told["output_index"]] = {"text": "", "done": False}

    def reasoning_summary_text_delta(self, told):
        self.item(told)
        assert told["delta"]
        self.parts[told["output_index"]]["text"] += told["delta"]

    def reasoning_summary_text_done(self, told):
        self.item(told)
        part = self.parts[told["output_index"]]
        assert told["text"] == part["text"]
        part["done"] = True

    def reasoning_summary_part_done(self, told):
        item = self.item(told)
        part = self.parts.pop(told["output_index"])
        assert part["done"]
        assert told["part"] == {"type": "summary_text", "text": part["text"]}
        item["parts"].append(told["part"])

    # Calls

    def function_call_arguments_delta(self, told):
        item = self.item(told)
        assert item["start"]["type"] == "function_call"
        assert told["delta"]
        item["text"] += told["delta"]

    def custom_tool_call_input_delta(self, told):
        item = self.item(told)
        assert item["start"]["type"] == "custom_tool_call"
        assert told["delta"]
        item["text"] += told["delta"]

    def function_call_arguments_done(self, told):
        self.item(told)["said"] = told["arguments"]

    def custom_tool_call_input_done(self, told):
        self.item(told)["said"] = told["input"]


def request(body) -> None:
    """Fails where a request breaks a rule that the API is known to refuse it for."""
    assert body["store"] is False
    assert body["input"]
    assert body.get("max_output_tokens", 16) >= 16
    assert "tools" in body or "tool_choice" not in body
    calls, results = [], []
    for item in body["input"]:
        kind = item["type"]
        if kind in ("function_call", "custom_tool_call"):
            calls.append(item["call_id"])
            assert len(item["call_id"]) <= 64
        elif kind in ("function_call_output", "custom_tool_call_output"):
            assert item["call_id"] in calls, "a result comes before its call"
            results.append(item["call_id"])
        elif kind == "reasoning":
            assert not item["encrypted_content"].startswith("omniroute.")
        elif kind == "message":
            assert item["content"]
            for part in item["content"]:
                assert part["type"].startswith("input_") == (item["role"] != "assistant") or part["type"] == "refusal"
    assert sorted(calls) == sorted(results), "calls and results do not fit"
