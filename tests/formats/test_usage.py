"""What each provider says of what an answer took, whole and streamed, handed on and translated: always the same tokens,
and the same cost to the last digit.

`usage/<provider>.sent.json` holds the fields as its API tells them, and a price; `<provider>.understood.json` the tokens
that are meant, and the cost as reckoned by hand: how many tokens at how many dollars a million.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniroute.catalog.price import Price
from omniroute.formats.codec import Head
from omniroute.formats.codecs import CHAT
from omniroute.formats.ir import Usage, UsageSeen
from omniroute.relay import meter

HERE = Path(__file__).with_name("usage")
FAMILIES = sorted(path.name.removesuffix(".sent.json") for path in HERE.glob("*.sent.json"))


def told(name: str) -> tuple[Any, Any]:
    return tuple(json.loads((HERE / f"{name}.{side}.json").read_text()) for side in ("sent", "understood"))


def whole(form: str, fields: dict[str, Any]) -> bytes:
    """A whole answer with these fields."""
    body: dict[str, Any] = {
        "openai_chat": {
            "id": "1",
            "object": "chat.completion",
            "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        },
        "openai_responses": response([MESSAGE]),
        "anthropic": {
            "type": "message",
            "id": "1",
            "role": "assistant",
            "model": "m",
            "content": [{"type": "text", "text": "Hi"}],
            "stop_reason": "end_turn",
        },
        "gemini": {"candidates": [{**SAID, "finishReason": "STOP"}], "modelVersion": "m"},
        "ollama": {
            "model": "m",
            "message": {"role": "assistant", "content": "Hi"},
            "done": True,
            "done_reason": "stop",
        },
    }[form]
    return json.dumps(body | fields).encode()


SAID: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": "Hi"}]}}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
}


def response(output: list[Any]) -> dict[str, Any]:
    return {"id": "1", "object": "response", "model": "m", "status": "completed", "output": output}


def event(data: Any, name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(data).encode() + b"\n\n"


def streamed(form: str, said: list[dict[str, Any]]) -> bytes:
    """A stream that tells these fields where its format has them."""
    match form:
        case "openai_chat":
            first = {"index": 0, "delta": {"role": "assistant", "content": "Hi"}}
            chunks = [{"choices": [first]}, *said]
            if not any(choice.get("finish_reason") for chunk in said for choice in chunk["choices"]):
                chunks.insert(1, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            return b"".join(event({"id": "1", "model": "m"} | chunk) for chunk in chunks) + b"data: [DONE]\n\n"
        case "openai_responses":
            end = {"type": "response.completed", "response": response([MESSAGE]) | said[-1]}
            begin = {"type": "response.created", "response": response([]) | {"status": "in_progress"}}
            return event(begin, begin["type"]) + event(end, end["type"])
        case "anthropic":
            start, end = said
            message = {"type": "message", "id": "1", "role": "assistant", "model": "m", "content": [], "usage": start}
            told = [
                {"type": "message_start", "message": message},
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
                {"type": "content_block_stop", "index": 0},
                {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": end},
                {"type": "message_stop"},
            ]
            return b"".join(event(one, one["type"]) for one in told)
        case "gemini":
            last = {"candidates": [{"content": {"role": "model", "parts": []}, "finishReason": "STOP"}]}
            chunks = [{"candidates": [SAID]}] * (len(said) - 1) + [
                {"candidates": [SAID | last["candidates"][0] | SAID]}
            ]
            return b"".join(
                event({"modelVersion": "m", "usageMetadata": one} | chunk)
                for one, chunk in zip(said, chunks, strict=True)
            )
    record = {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": False}
    end = record | {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"} | said[-1]
    return b"".join(json.dumps(one).encode() + b"\n" for one in (record, end))


def understood(form: str, sent: dict[str, Any]) -> dict[str, Usage | None]:
    """What the tokens are, by each of the four ways that an answer goes."""
    codec = CHAT[form]
    body, stream = whole(form, sent["whole"]), streamed(form, sent["streamed"])
    decoder = codec.decoder()
    seen = [one.usage for one in [*decoder.feed(stream), *decoder.close()] if isinstance(one, UsageSeen)]
    through = codec.through(Head("m", True, {}, mode="sse" if form == "gemini" else ""))
    through.feed(stream)
    through.close()
    assert through.fault is None
    return {
        "whole, translated": codec.decode_reply(body).usage,
        "whole, handed on": codec.relabel(body, Head("m", False, {})).usage,
        "streamed, translated": seen[-1] if seen else None,
        "streamed, handed on": through.usage,
    }


def priced(price: Price | None, usage: Usage) -> Decimal | None:
    target: Any = SimpleNamespace(facts=SimpleNamespace(price=price))
    return meter.price(target, usage)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_way_to_tell_it_is_the_same_tokens_and_the_same_cost(name):
    sent, expected = told(name)
    usage = msgspec.convert(expected["usage"], Usage)
    price = None if sent["price"] is None else msgspec.convert(sent["price"], Price)
    ways = understood(sent["format"], sent)
    assert ways == dict.fromkeys(ways, usage)
    assert priced(price, usage) == Decimal(expected["cost"])


@pytest.mark.parametrize("name", FAMILIES)
def test_the_expected_cost_is_what_was_reckoned(name):
    _, expected = told(name)
    if expected["reckoned"]:
        total = sum((count * Decimal(rate) for count, rate in expected["reckoned"]), Decimal(0))
        assert Decimal(expected["cost"]) == total / 1_000_000
    else:
        assert expected["cost"] == expected["usage"]["charged"]


def test_what_the_file_says_counts_before_what_a_provider_says_that_it_charged():
    usage = Usage(input=1_000_000, charged=Decimal("0.5"))
    assert priced(Price(input=Decimal(3)), usage) == Decimal("0.5")
    assert priced(Price(input=Decimal(3), stated=True), usage) == 3
    assert priced(Price(stated=True), usage) is None


number = st.one_of(st.none(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False))


@given(*(number for _ in range(7)))
def test_no_number_makes_a_bill_negative_or_endless(asked, said, total, cached, written, thought, cost):
    usage = {
        "prompt_tokens": asked,
        "completion_tokens": said,
        "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written, "audio_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": thought, "audio_tokens": thought, "image_tokens": written},
        "cost": cost,
    }
    heard = CHAT["openai_chat"].decode_reply(whole("openai_chat", {"usage": usage})).usage
    assert heard is not None
    price = Price(
        input=Decimal(3),
        output=Decimal(15),
        cache_read=Decimal("0.3"),
        audio_input=Decimal(40),
        image_output=Decimal(30),
    )
    for stated in (False, True):
        bill = priced(msgspec.structs.replace(price, stated=stated), heard)
        assert bill is not None
        assert bill.is_finite()
        assert bill >= 0
