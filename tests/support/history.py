"""A conversation in which a tool was called, as each API takes it: what a client sends after it has heard the call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.genai import types
from support.sdks import Heard
from support.sdks.gemini import THOUGHTS


def question(client: str, text: str) -> dict[str, Any]:
    """A first request."""
    match client:
        case "responses":
            return {"input": text}
        case "gemini":
            return {"contents": [{"role": "user", "parts": [{"text": text}]}], "generationConfig": THOUGHTS}
    return {"messages": [_user(text)]}


def tools_of(parameters: dict[str, Any]) -> dict[str, Any]:
    """The tool `weather` in each format."""
    function = {"name": "weather", "description": "Tells the weather", "parameters": parameters}
    return {
        "openai": [{"type": "function", "function": function}],
        "responses": [{"type": "function", **function, "strict": False}],
        "anthropic": [{"name": "weather", "description": "Tells the weather", "input_schema": parameters}],
        "gemini": [{"functionDeclarations": [function]}],
        "ollama": [{"type": "function", "function": function}],
    }


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def _chat(heard: Heard, asked: str, result: str) -> dict[str, Any]:
    answered = {"role": "tool", "tool_call_id": heard.calls[0][0], "content": result}
    return {"messages": [_user(asked), heard.said, answered]}


def _responses(heard: Heard, asked: str, result: str) -> dict[str, Any]:
    answered = {"type": "function_call_output", "call_id": heard.calls[0][0], "output": result}
    return {"input": [_user(asked), *heard.said, answered]}


def _messages(heard: Heard, asked: str, result: str) -> dict[str, Any]:
    answered = {"type": "tool_result", "tool_use_id": heard.calls[0][0], "content": result}
    said = {"role": "assistant", "content": heard.said}
    return {"messages": [_user(asked), said, {"role": "user", "content": [answered]}]}


def _gemini(heard: Heard, asked: str, result: str) -> dict[str, Any]:
    ident, name, _ = heard.calls[0]
    answered = types.FunctionResponse(id=ident, name=name, response={"output": result})
    user = types.Content(role="user", parts=[types.Part(text=asked)])
    return {"contents": [user, heard.said, types.Content(role="user", parts=[types.Part(function_response=answered)])]}


def _ollama(heard: Heard, asked: str, result: str) -> dict[str, Any]:
    return {"messages": [_user(asked), heard.said, {"role": "tool", "tool_name": heard.calls[0][1], "content": result}]}


GOING_ON: dict[str, Callable[[Heard, str, str], dict[str, Any]]] = {
    "openai": _chat,
    "responses": _responses,
    "anthropic": _messages,
    "gemini": _gemini,
    "ollama": _ollama,
}
"""The request that sends an answer back, as its SDK keeps it, with the result of its call."""
