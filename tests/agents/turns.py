"""A model that uses one tool: it asks for the call, and when the result is here it says what it read there."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

from support.providers import Call, Says, provider_of, saying
from support.rig import Rig
from support.upstream import Asked, Script

WORD = re.compile(r"walrus-[0-9a-f]{8}")
"""What stands in the file that the tool is to read, and nowhere else."""
IDS = {"openai": "call_Zq81Lm", "anthropic": "toolu_01Zq81Lm"}
"""The id of the call, as the providers make them."""
SEALED = {"openai": "", "anthropic": "c2VhbGVk"}


def uses(tool: str, arguments: dict[str, Any]) -> Callable[[Asked], Script]:
    """The provider's side, in the words of whichever format it is asked in. It is asked for titles and the like too,
    without tools."""

    def script(asked: Asked) -> Script:
        provider = provider_of(asked)
        found = results(asked)
        if found:
            words = WORD.findall(found[-1][1])
            says = Says(text=f"The note says {words[0] if words else 'nothing'}.")
        elif asked.json.get("tools"):
            call = Call(IDS[provider], tool, json.dumps(arguments))
            says = Says(thinking="I have to read it.", signature=SEALED[provider], text="Let me look.", calls=(call,))
        else:
            says = Says(text="A note")
        return saying(says)(asked)

    return script


def results(asked: Asked) -> list[tuple[str, str]]:
    """The results of tools that a request carries: the id of the call, and the text."""
    messages = asked.json["messages"]
    if provider_of(asked) == "openai":
        return [
            (message["tool_call_id"], _text(message["content"])) for message in messages if message["role"] == "tool"
        ]
    return [
        (block["tool_use_id"], _text(block["content"]))
        for message in messages
        if message["role"] == "user" and isinstance(message["content"], list)
        for block in message["content"]
        if block["type"] == "tool_result"
    ]


def calls(asked: Asked) -> list[str]:
    """The ids of the calls that a request tells of."""
    messages = [message for message in asked.json["messages"] if message["role"] == "assistant"]
    if provider_of(asked) == "openai":
        return [call["id"] for message in messages for call in message.get("tool_calls", ())]
    return [block["id"] for message in messages for block in message["content"] if block["type"] == "tool_use"]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def booked(rig: Rig, requested: str, count: int) -> list[tuple[int, list[str]]]:
    """The status and the losses of each request that asked for this name, once there are so many."""
    deadline = time.monotonic() + 5
    while True:
        rows = [row for row in rig.gateway.rows() if row["requested"] == requested]
        if len(rows) >= count or time.monotonic() > deadline:
            return [(row["status"], json.loads(row["losses"])) for row in rows]
        time.sleep(0.05)
