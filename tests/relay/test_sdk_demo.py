"""The built-in provider behind each official SDK: what somebody sees who has no account yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pydantic
import pytest
from support.gateway import Gateway
from support.history import GOING_ON, question, tools_of
from support.sdks import SDKS

CONFIG = """
version: 1
server: {data_dir: "{data_dir}"}
providers:
  demo: {type: demo}
"""
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}},
    "required": ["city", "days"],
}
TOOLS = tools_of(PARAMETERS)
every = pytest.mark.parametrize(("name", "way"), [(name, way) for name, sdk in SDKS.items() for way in sdk.ways])
DONE = {"openai": "stop", "responses": "completed", "anthropic": "end_turn", "gemini": "STOP", "ollama": "stop"}
CUT: dict[str, tuple[dict[str, Any], str]] = {
    "openai": ({"max_tokens": 2}, "length"),
    "responses": ({"max_output_tokens": 2}, "incomplete:max_output_tokens"),
    "anthropic": ({"max_tokens": 2}, "max_tokens"),
    "gemini": ({"generationConfig": {"maxOutputTokens": 2}}, "MAX_TOKENS"),
    "ollama": ({"options": {"num_predict": 2}}, "length"),
}
"""What asks for two tokens, and how an answer says that it has no more."""
LEAST = dict.fromkeys(SDKS, 3) | {"ollama": 1}
"""The fewest days that the tool takes: the `ollama` package leaves a `minimum` out of what it sends."""
NO_REASONING = {"ollama"}
"""The formats that do not count it."""


@pytest.fixture(scope="module")
def sdks() -> Iterator[dict[str, Any]]:
    with Gateway(CONFIG) as gateway:
        made = {name: kind(gateway.url, "anonymous") for name, kind in SDKS.items()}
        yield made
        for sdk in made.values():
            sdk.close()


@every
def test_it_answers(sdks: dict[str, Any], name: str, way: str):
    heard = sdks[name].ask(way, "demo/echo", **question(name, "Grüße, 世界 😀"))
    assert heard.text == "You said: Grüße, 世界 😀"
    assert heard.models == {"demo/echo"}
    assert heard.finish == DONE[name]
    assert heard.spent.prompt > 0
    assert heard.spent.answer > 3


@every
def test_an_agents_loop_runs(sdks: dict[str, Any], name: str, way: str):
    heard = sdks[name].ask(way, "demo/agent", **question(name, "Zürich"), tools=TOOLS[name])
    assert heard.thinking
    assert (heard.spent.reasoning > 0) is (name not in NO_REASONING)
    ((_, tool, arguments),) = heard.calls
    assert (tool, arguments) == ("weather", {"city": "Zürich", "days": LEAST[name]})
    again = sdks[name].ask(way, "demo/agent", **GOING_ON[name](heard, "Zürich", "Sunny"), tools=TOOLS[name])
    assert again.text == "The tool says: Sunny"
    assert again.calls == []


class Person(pydantic.BaseModel):
    name: str
    age: int


def test_it_fills_in_a_schema(sdks: dict[str, Any]):
    ask: Any = {"model": "demo/echo", "messages": [{"role": "user", "content": "Ada"}]}
    parsed = sdks["openai"].client.chat.completions.parse(**ask, response_format=Person).choices[0].message.parsed
    theirs = sdks["anthropic"].client.messages.parse(**ask, max_tokens=99, output_format=Person).parsed_output
    assert parsed == theirs == Person(name="Ada", age=1)


@pytest.mark.parametrize("name", SDKS)
def test_it_stops_at_the_limit(sdks: dict[str, Any], name: str):
    limit, finish = CUT[name]
    heard = sdks[name].ask("stream", "demo/echo", **limit)
    assert heard.finish == finish
    assert heard.text == "You said"
    assert heard.spent.answer == 2
