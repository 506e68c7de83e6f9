"""What is looked at of an answer: one line of a stream, or the whole."""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.formats.ir import FinishReason, Raw, Usage

MOST = 2**53
"""Tokens. Counts beyond are nobody's; a provider's slip must not break the books."""

FINISHES: dict[str, FinishReason] = {"stop": "stop", "length": "length"}
"""Any other reason is a `stop`: `load` and `unload` answer requests that asked for nothing."""

Count = int | float | None


class View(msgspec.Struct, gc=False):
    """Short-lived, and never part of a cycle."""


class Function(View):
    """`arguments` should be an object; some servers send its text."""

    name: str | None = None
    arguments: Raw = Raw()


class Call(View):
    id: str | None = None
    function: Function | None = None


class Said(View):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Call] | None = None
    images: list[str] | None = None


class Record(View):
    model: str | None = None
    created_at: str | None = None
    message: Said | None = None
    done: bool | None = None
    done_reason: str | None = None
    logprobs: Raw = Raw()
    prompt_eval_count: Count = None
    eval_count: Count = None
    error: Any = None


class Heard(View):
    """The same without what it says, to hand it on."""

    model: Raw = Raw()
    message: Said | None = None
    done: bool | None = None
    done_reason: str | None = None
    prompt_eval_count: Count = None
    eval_count: Count = None
    error: Any = None


record = msgspec.json.Decoder(Record).decode
heard = msgspec.json.Decoder(Heard).decode


def usage(record: Record | Heard) -> Usage | None:
    """The counts, which come with the end; the server leaves out those that are zero."""
    if record.prompt_eval_count is None and record.eval_count is None:
        return None
    return Usage(input=_count(record.prompt_eval_count), output=_count(record.eval_count))


def _count(value: Count) -> int:
    return int(min(max(value, 0), MOST)) if value else 0


def finish(reason: str | None, *, called: bool) -> FinishReason:
    """The server says `stop` also where the model waits for a result."""
    told = FINISHES.get(reason or "stop", "stop")
    return "tool_calls" if called and told == "stop" else told
