"""Each feature of a request, asked by each client's SDK of a provider of each format: what the provider is sent is kept
in `features/`, and what is lost is what `docs/translation.md` says is lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.providers import Says
from support.rig import FORMATS, Rig

GOLDENS = Path(__file__).parent / "features"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "translation.md"
TITLES = {
    "openai": "OpenAI chat",
    "responses": "OpenAI responses",
    "anthropic": "Anthropic",
    "gemini": "Gemini",
    "ollama": "Ollama",
}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjQKJSVFT0YK"
WAV = "UklGRg=="
PICTURE = "https://example.com/cat.png"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTION = {"name": "weather", "description": "Tells the weather", "parameters": SCHEMA}
PLAIN = FUNCTION | {"parameters": {name: value for name, value in SCHEMA.items() if name != "additionalProperties"}}
"""As the `ollama` package has it, which knows no more of a schema."""
ARGUMENTS = {"city": "Zürich"}
WRITTEN = json.dumps(ARGUMENTS, ensure_ascii=False)
IDS = ("call_1", "call_2")

Body = dict[str, Any]


def chat(content: Any, **more: Any) -> Body:
    return {"messages": [{"role": "user", "content": content}], **more}


def items(content: Any, **more: Any) -> Body:
    return {"input": [{"role": "user", "content": content}], **more}


def google(*parts: Body, **more: Any) -> Body:
    return {"contents": [{"role": "user", "parts": list(parts)}], **more}


NO_MORE: dict[str, Body] = {form: {} for form in FORMATS}


def each(**bodies: Body) -> dict[str, Body]:
    return bodies


def with_tools(**more: Body) -> dict[str, Body]:
    """A question with a tool, and what each format says beside."""
    tools: dict[str, Body] = {
        "openai": chat("Hi", tools=[{"type": "function", "function": FUNCTION}]),
        "responses": items("Hi", tools=[{"type": "function", **FUNCTION, "strict": False}]),
        "anthropic": chat(
            "Hi", tools=[{"name": "weather", "description": "Tells the weather", "input_schema": SCHEMA}]
        ),
        "gemini": google(
            {"text": "Hi"},
            tools=[
                {
                    "functionDeclarations": [
                        {"name": "weather", "description": "Tells the weather", "parametersJsonSchema": SCHEMA}
                    ]
                }
            ],
        ),
        "ollama": chat("Hi", tools=[{"type": "function", "function": PLAIN}]),
    }
    return {form: body | more[form] for form, body in tools.items() if form in more}


def after_calls(idents: tuple[str, ...], results: dict[str, Callable[[str], Any]]) -> dict[str, Body]:
    """A conversation in which there were calls, and their results in the words of each format."""
    use = [{"type": "tool_use", "id": ident, "name": "weather", "input": ARGUMENTS} for ident in idents]
    calls = [
        {"id": ident, "type": "function", "function": {"name": "weather", "arguments": WRITTEN}} for ident in idents
    ]
    told = {form: [result(ident) for ident in idents] for form, result in results.items()}
    user: Any = {"role": "user", "content": "Weather?"}
    histories: dict[str, Body] = {
        "openai": {
            "messages": [user, {"role": "assistant", "content": None, "tool_calls": calls}, *told.get("openai", ())]
        },
        "responses": {
            "input": [
                user,
                *({"type": "function_call", "call_id": one, "name": "weather", "arguments": WRITTEN} for one in idents),
                *told.get("responses", ()),
            ]
        },
        "anthropic": {
            "messages": [
                user,
                {"role": "assistant", "content": use},
                {"role": "user", "content": told.get("anthropic", [])},
            ]
        },
        "gemini": {
            "contents": [
                {"role": "user", "parts": [{"text": "Weather?"}]},
                {
                    "role": "model",
                    "parts": [{"functionCall": {"id": one, "name": "weather", "args": ARGUMENTS}} for one in idents],
                },
                {"role": "user", "parts": told.get("gemini", [])},
            ]
        },
        "ollama": {
            "messages": [
                user,
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{"function": {"name": "weather", "arguments": ARGUMENTS}} for _ in idents],
                },
                *told.get("ollama", ()),
            ]
        },
    }
    tools = with_tools(**NO_MORE)
    return {form: tools[form] | histories[form] for form in results}


def sampled(**more: Body) -> dict[str, Body]:
    plain = {
        "openai": chat("Hi"),
        "responses": items("Hi"),
        "anthropic": chat("Hi"),
        "gemini": google({"text": "Hi"}),
        "ollama": chat("Hi"),
    }
    return {form: plain[form] | body for form, body in more.items()}


def image_source(data: str) -> Body:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


TOOL_CONFIG = {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}
FEATURES: dict[str, dict[str, Body]] = {
    "system prompt": each(
        openai={"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]},
        responses=items("Hi", instructions="Be brief."),
        anthropic=chat("Hi", system="Be brief."),
        gemini=google({"text": "Hi"}, systemInstruction={"parts": [{"text": "Be brief."}]}),
        ollama={"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]},
    ),
    "image by data": each(
        openai=chat(
            [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}]
        ),
        responses=items(
            [
                {"type": "input_text", "text": "?"},
                {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PNG}"},
            ]
        ),
        anthropic=chat([{"type": "text", "text": "?"}, image_source(PNG)]),
        gemini=google({"text": "?"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}),
        ollama={"messages": [{"role": "user", "content": "?", "images": [PNG]}]},
    ),
    "image by address": each(
        openai=chat([{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]),
        responses=items(
            [
                {"type": "input_text", "text": "?"},
                {"type": "input_image", "detail": "auto", "image_url": PICTURE},
            ]
        ),
        anthropic=chat([{"type": "text", "text": "?"}, {"type": "image", "source": {"type": "url", "url": PICTURE}}]),
        gemini=google({"text": "?"}, {"fileData": {"mimeType": "image/png", "fileUri": PICTURE}}),
    ),
    "PDF by data": each(
        openai=chat(
            [{"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}}]
        ),
        responses=items(
            [{"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}]
        ),
        anthropic=chat(
            [
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                    "title": "a.pdf",
                }
            ]
        ),
        gemini=google({"text": "?"}, {"inlineData": {"mimeType": "application/pdf", "data": PDF}}),
    ),
    "audio": each(
        openai=chat(
            [{"type": "text", "text": "?"}, {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}]
        ),
        responses=items(
            [
                {"type": "input_text", "text": "?"},
                {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}},
            ]
        ),
        gemini=google({"text": "?"}, {"inlineData": {"mimeType": "audio/wav", "data": WAV}}),
    ),
    "tools": with_tools(**NO_MORE),
    "tool choice: required": with_tools(
        openai={"tool_choice": "required"},
        responses={"tool_choice": "required"},
        anthropic={"tool_choice": {"type": "any"}},
        gemini=TOOL_CONFIG,
    ),
    "tool choice: one tool": with_tools(
        openai={"tool_choice": {"type": "function", "function": {"name": "weather"}}},
        responses={"tool_choice": {"type": "function", "name": "weather"}},
        anthropic={"tool_choice": {"type": "tool", "name": "weather"}},
        gemini={"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}}},
    ),
    "no parallel calls": with_tools(
        openai={"parallel_tool_calls": False},
        responses={"parallel_tool_calls": False},
        anthropic={"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    ),
    "calls and results": after_calls(
        IDS[:1],
        {
            "openai": lambda ident: {"role": "tool", "tool_call_id": ident, "content": "Sun"},
            "responses": lambda ident: {"type": "function_call_output", "call_id": ident, "output": "Sun"},
            "anthropic": lambda ident: {"type": "tool_result", "tool_use_id": ident, "content": "Sun"},
            "gemini": lambda ident: {
                "functionResponse": {"id": ident, "name": "weather", "response": {"output": "Sun"}}
            },
            "ollama": lambda ident: {"role": "tool", "tool_name": "weather", "content": "Sun"},
        },
    ),
    "parallel calls and results": after_calls(
        IDS,
        {
            "openai": lambda ident: {"role": "tool", "tool_call_id": ident, "content": f"Sun {ident}"},
            "responses": lambda ident: {"type": "function_call_output", "call_id": ident, "output": f"Sun {ident}"},
            "anthropic": lambda ident: {"type": "tool_result", "tool_use_id": ident, "content": f"Sun {ident}"},
            "gemini": lambda ident: {
                "functionResponse": {"id": ident, "name": "weather", "response": {"output": f"Sun {ident}"}}
            },
            "ollama": lambda ident: {"role": "tool", "tool_name": "weather", "content": f"Sun {ident}"},
        },
    ),
    "a result that is an error": after_calls(
        IDS[:1],
        {
            "anthropic": lambda ident: {
                "type": "tool_result",
                "tool_use_id": ident,
                "content": "No.",
                "is_error": True,
            },
            "gemini": lambda ident: {
                "functionResponse": {"id": ident, "name": "weather", "response": {"error": "No."}}
            },
        },
    ),
    "an image in a result": after_calls(
        IDS[:1],
        {
            "responses": lambda ident: {
                "type": "function_call_output",
                "call_id": ident,
                "output": [{"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PNG}"}],
            },
            "anthropic": lambda ident: {
                "type": "tool_result",
                "tool_use_id": ident,
                "content": [image_source(PNG)],
            },
            "gemini": lambda ident: {
                "functionResponse": {
                    "id": ident,
                    "name": "weather",
                    "response": {"output": ""},
                    "parts": [{"inlineData": {"mimeType": "image/png", "data": PNG}}],
                }
            },
            "ollama": lambda ident: {"role": "tool", "tool_name": "weather", "content": "", "images": [PNG]},
        },
    ),
    "cache marks": each(
        anthropic=chat([{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]),
    ),
    "JSON of a schema": sampled(
        openai={"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}},
        responses={"text": {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA}}},
        anthropic={"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        gemini={"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}},
        ollama={"format": SCHEMA},
    ),
    "effort of reasoning": sampled(
        openai={"reasoning_effort": "low"},
        responses={"reasoning": {"effort": "low"}},
        anthropic={"output_config": {"effort": "low"}},
        gemini={"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True}}},
        ollama={"think": "low"},
    ),
    "limit of the answer": sampled(
        openai={"max_completion_tokens": 500},
        responses={"max_output_tokens": 500},
        anthropic={"max_tokens": 500},
        gemini={"generationConfig": {"maxOutputTokens": 500}},
        ollama={"options": {"num_predict": 500}},
    ),
    "top_k": sampled(gemini={"generationConfig": {"topK": 20}}, ollama={"options": {"top_k": 20}}),
    "stop sequences": sampled(
        openai={"stop": ["END"]},
        anthropic={"stop_sequences": ["END"]},
        gemini={"generationConfig": {"stopSequences": ["END"]}},
        ollama={"options": {"stop": ["END"]}},
    ),
    "seed": sampled(openai={"seed": 7}, gemini={"generationConfig": {"seed": 7}}, ollama={"options": {"seed": 7}}),
    "log probabilities": sampled(
        openai={"logprobs": True},
        responses={"include": ["message.output_text.logprobs"]},
        gemini={"generationConfig": {"responseLogprobs": True}},
        ollama={"logprobs": True},
    ),
    "name of the user": sampled(
        openai={"user": "user-1"},
        responses={"user": "user-1"},
        anthropic={"metadata": {"user_id": "user-1"}},
    ),
}
"""The same request in the words of each client's API, by the name that the page gives it. What a format has no words for
is not there, and stands as such on the page."""
OF_THE_MODEL = {"effort of reasoning", "an image in a result", "top_k"}
"""What is carried of these depends on the model, and the page speaks of others."""
CELLS = [(name, client) for name, asked in FEATURES.items() for client in asked]


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig() as rig:
        yield rig


@pytest.fixture(scope="module")
def page() -> dict[tuple[str, str, str], str]:
    """The cells of the page for requests: by client, feature and upstream."""
    forms = {title: form for form, title in TITLES.items()}
    cells = {}
    client = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            client = forms[line[3:].removesuffix(" clients")]
        elif line.startswith("| ") and not line.startswith("| ---"):
            name, *told = (cell.strip() for cell in line.strip("| ").split(" | "))
            for upstream, cell in zip(TITLES, told, strict=False):
                cells.setdefault((client, name, upstream), cell)
    return cells


@pytest.mark.parametrize(("name", "client"), CELLS)
def test_a_feature_reaches_every_provider_or_is_told_as_lost(
    rig: Rig, golden: Any, page: dict[tuple[str, str, str], str], name: str, client: str
):
    sent: dict[str, Any] = {}
    for upstream in FORMATS:
        rig.script(Says(text="Fine."))
        cell = page[client, name, upstream]
        if cell == "refused":
            sdk = rig.sdks[client]
            with pytest.raises(sdk.error) as raised:
                rig.ask(client, upstream, **FEATURES[name][client])
            assert sdk.failed(raised.value).status == 400
            assert rig.upstream.asked == []
            sent[upstream] = {"refused": sdk.failed(raised.value).message}
            continue
        heard = rig.ask(client, upstream, **FEATURES[name][client])
        assert heard.text == "Fine."
        losses = sorted(filter(None, heard.headers.get("x-omniroute-losses", "").split(", ")))
        if name not in OF_THE_MODEL:
            told = "lost: " + ", ".join(f"`{code}`" for code in losses) if losses else "yes"
            assert told == cell, upstream
        sent[upstream] = {"path": rig.asked.path, "body": rig.asked.json} | ({"losses": losses} if losses else {})
    written = json.dumps(sent, ensure_ascii=False, indent=1) + "\n"
    golden(GOLDENS / f"{name.replace(' ', '_').replace(':', '')}.{client}.json", written)


def test_what_a_client_does_not_ask_here_it_has_no_words_for(page: dict[tuple[str, str, str], str]):
    for name, asked in FEATURES.items():
        for client in FORMATS:
            told = {page[client, name, upstream] for upstream in FORMATS}
            assert (told == {"–"}) is (client not in asked), f"{client}: {name}"
