"""The built-in provider behind each official SDK: what somebody sees who has no account yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pydantic
import pytest
from support.gateway import Gateway
from support.sdks import SDKS, WAYS

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
TOOLS: dict[str, Any] = {
    "openai": [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}],
    "anthropic": [{"name": "weather", "input_schema": PARAMETERS}],
}
every = pytest.mark.parametrize(("name", "way"), [(name, way) for name in SDKS for way in WAYS])


@pytest.fixture(scope="module")
def sdks() -> Iterator[dict[str, Any]]:
    with Gateway(CONFIG) as gateway:
        made = {name: kind(gateway.url, "anonymous") for name, kind in SDKS.items()}
        yield made
        for sdk in made.values():
            sdk.close()


@every
def test_it_answers(sdks: dict[str, Any], name: str, way: str):
    heard = sdks[name].ask(way, "demo/echo", [{"role": "user", "content": "Grüße, 世界 😀"}])
    assert heard.text == "You said: Grüße, 世界 😀"
    assert heard.models == {"demo/echo"}
    assert heard.finish == {"openai": "stop", "anthropic": "end_turn"}[name]
    assert heard.spent.prompt > 0
    assert heard.spent.answer > 3


@every
def test_an_agents_loop_runs(sdks: dict[str, Any], name: str, way: str):
    asked: list[Any] = [{"role": "user", "content": "Zürich"}]
    heard = sdks[name].ask(way, "demo/agent", asked, tools=TOOLS[name])
    assert heard.thinking
    assert heard.spent.reasoning > 0
    ((ident, tool, arguments),) = heard.calls
    assert (tool, arguments) == ("weather", {"city": "Zürich", "days": 3})
    if name == "openai":
        function = {"name": tool, "arguments": '{"city":"Zürich","days":3}'}
        call = {"id": ident, "type": "function", "function": function}
        said: Any = {"role": "assistant", "content": None, "tool_calls": [call]}
        back: Any = {"role": "tool", "tool_call_id": ident, "content": "Sunny"}
    else:
        thought = {"type": "thinking", "thinking": heard.thinking, "signature": heard.signature}
        call = {"type": "tool_use", "id": ident, "name": tool, "input": arguments}
        said = {"role": "assistant", "content": [thought, call]}
        back = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": ident, "content": "Sunny"}]}
    again = sdks[name].ask(way, "demo/agent", [*asked, said, back], tools=TOOLS[name])
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
    heard = sdks[name].ask("stream", "demo/echo", max_tokens=2)
    assert heard.finish == {"openai": "length", "anthropic": "max_tokens"}[name]
    assert heard.text == "You said"
    assert heard.spent.answer == 2
