"""Conversations that Anthropic holds (`thread`), as its SDK's runner of tools has them by default: where they cannot be
held, the runner is told so in the words it knows, and says all of the conversation each time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from support.providers import Call, Says, provider_of, saying
from support.rig import FORMATS, MODELS, Rig
from support.upstream import Asked, Script, whole

CALL = Call("call_1", "weather", '{"city": "Zürich"}')


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig("combos: {either: {targets: [open/first, anth/second]}}") as rig:
        yield rig


@anthropic.beta_tool
def weather(city: str) -> str:
    """Tells the weather.

    Args:
        city: the city
    """
    return f"Sunny in {city}"


def ran(rig: Rig, model: str, **more: Any) -> str:
    """The last text of the runner."""
    client = rig.sdks["anthropic"].client
    messages: Any = [{"role": "user", "content": "Weather?"}]
    runner = client.beta.messages.tool_runner(model=model, max_tokens=99, messages=messages, tools=[weather], **more)
    message = runner.until_done()
    return "".join(block.text for block in message.content if block.type == "text")


def calling_until(result: bytes, then: Any = None) -> Any:
    """A provider that calls the tool until it is shown its result."""

    def script(asked: Asked) -> Script:
        if then is not None and (answer := then(asked)) is not None:
            return answer
        return saying(Says(text="It is sunny.") if result in asked.body else Says(calls=(CALL,)))(asked)

    return script


@pytest.mark.parametrize("upstream", [form for form in FORMATS if form != "anthropic"])
def test_the_runner_says_all_of_a_conversation_that_nobody_holds(rig: Rig, upstream: str):
    rig.script(calling_until(b"Sunny in"))
    assert ran(rig, MODELS[upstream]) == "It is sunny."
    first, second = rig.upstream.asked
    assert b"Weather?" in first.body
    assert b"Weather?" in second.body
    assert second.json["tools"] == first.json["tools"]
    assert b"thread" not in first.body + second.body


def test_anthropic_holds_it_and_is_told_only_what_is_new(rig: Rig):
    rig.script(calling_until(b"Sunny in"))
    assert ran(rig, MODELS["anthropic"]) == "It is sunny."
    first, second = rig.upstream.asked
    assert first.json["thread"] == {"type": "create"}
    assert second.json["thread"]["type"] == "continue"
    assert b"Weather?" not in second.body
    assert "message-threads-2026-08-12" in second.headers["anthropic-beta"]


def test_a_conversation_that_anthropic_has_lost_is_said_again(rig: Rig):
    error = {"type": "not_found_error", "message": "Gone.", "details": {"error_code": "thread_not_found"}}
    lost = whole({"type": "error", "error": error}, 404)

    def once(asked: Asked) -> Script | None:
        return lost if asked.json["thread"]["type"] == "continue" else None

    rig.script(calling_until(b"Sunny in", once))
    assert ran(rig, MODELS["anthropic"]) == "It is sunny."
    assert [asked.json["thread"]["type"] for asked in rig.upstream.asked] == ["create", "continue", "create"]
    assert b"Weather?" in rig.upstream.asked[-1].body


def test_it_goes_to_the_target_that_can_hold_it(rig: Rig):
    rig.script(calling_until(b"Sunny in"))
    assert ran(rig, "either") == "It is sunny."
    assert [provider_of(asked) for asked in rig.upstream.asked] == ["anthropic"] * 2


@pytest.mark.parametrize("upstream", [form for form in FORMATS if form != "anthropic"])
def test_a_caller_who_wants_it_held_is_refused_before_anything_is_sent(rig: Rig, upstream: str):
    rig.script(Says(text="Fine."))
    body = {"thread": {"type": "continue", "previous_message_id": "msg_1"}}
    with pytest.raises(anthropic.BadRequestError) as raised:
        rig.ask("anthropic", upstream, extra_body=body)
    error: Any = raised.value.body
    assert error["error"]["details"] == {"error_code": "thread_unsupported_request"}
    assert "thread" in error["error"]["message"]
    assert error["error"]["type"] == "invalid_request_error"
    assert rig.upstream.asked == []


def test_no_thread_is_nothing_lost(rig: Rig):
    rig.script(Says(text="Fine."))
    heard = rig.ask("anthropic", "openai", extra_body={"thread": None})
    assert heard.text == "Fine."
    assert "x-omniroute-losses" not in heard.headers
