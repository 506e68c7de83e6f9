"""The bytes of a scenario's request, in the format that its client speaks, and where they are sent."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from omniroute.config.spec.scenarios import GivenSpec
from omniroute.formats import patch
from omniroute.formats.codecs import CHAT
from omniroute.formats.ir import (
    Audio,
    Block,
    CacheMark,
    Chat,
    Document,
    Image,
    Output,
    Reasoning,
    Sampling,
    Text,
    Tool,
    Turn,
)
from omniroute.formats.tokens import BYTES_PER_TOKEN
from omniroute.relay.asgi import Scope
from omniroute.relay.ingress import ENDPOINTS, Endpoint

ANY = patch.raw({"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]})
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PATHS = {
    ("chat", "openai_chat"): "/v1/chat/completions",
    ("chat", "openai_responses"): "/v1/responses",
    ("chat", "anthropic"): "/v1/messages",
    ("chat", "gemini"): "/v1beta/models",
    ("chat", "ollama"): "/api/chat",
    ("embeddings", "openai_chat"): "/v1/embeddings",
    ("embeddings", "ollama"): "/api/embed",
    ("embeddings", "gemini"): "/v1beta/models",
}
"""Where clients of a format ask for an operation."""
BLOCKS: dict[str, Block] = {
    "images": Image(media_type="image/png", data=DOT),
    "documents": Document(media_type="application/pdf", data="JVBERi0xLjQK", name="page.pdf"),
    "audio": Audio(data="UklGRg==", format="wav"),
}
"""What a turn may hold besides text, by the word for it."""
WHOLE: dict[str, dict[str, Any]] = {
    "tools": {"tools": (Tool("look_up", "Looks something up.", ANY),)},
    "json_schema": {"output": Output("json_schema", name="answer", schema=ANY)},
    "reasoning": {"reasoning": Reasoning(effort="medium")},
    "system": {"system": (Text("Be brief."),)},
}
"""What a request may hold besides turns, by the word for it."""


def has_path(given: GivenSpec) -> bool:
    """Whether clients of the format can ask for the operation at all."""
    return (given.operation, given.format) in PATHS


def endpoint(given: GivenSpec) -> Endpoint:
    """The row that serves the request."""
    path = PATHS[given.operation, given.format]
    return next(row for row in ENDPOINTS if row.path == path and row.method == "POST")


def scope(given: GivenSpec, key: str) -> Scope:
    """The head of the request as ASGI tells it."""
    path, query = _path(given)
    headers = {"host": "localhost", "content-type": "application/json", **({"x-api-key": key} if key else {})}
    headers |= {name.lower(): value for name, value in given.headers.items()}
    return {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": (given.ip, 50_000),
    }


def _path(given: GivenSpec) -> tuple[str, str]:
    path = PATHS[given.operation, given.format]
    if given.format != "gemini":
        return path, ""
    rest = CHAT["gemini"].path(given.model, given.stream) if given.operation == "chat" else _embedding(given.model)
    below, _, query = rest.partition("?")
    return path + below.removeprefix("/models"), query


def _embedding(model: str) -> str:
    return f"/models/{model}:embedContent"


def body(given: GivenSpec) -> bytes:
    """The body, with the fields that the scenario adds as they are."""
    if given.operation == "embeddings":
        fields = _embedding_fields(given)
    else:
        fields, _ = CHAT[given.format].encode_request(chat(given), given.model)
    return patch.join({**fields, **given.body})


def _embedding_fields(given: GivenSpec) -> dict[str, Any]:
    if given.format == "gemini":
        return {"content": {"parts": [{"text": text(given)}]}}
    return {"model": given.model, "input": text(given)}


def chat(given: GivenSpec) -> Chat:
    """What the request means."""
    mark = CacheMark() if "cache_marks" in given.has else None
    blocks = tuple(BLOCKS[name] for name in given.has if name in BLOCKS)
    whole: dict[str, Any] = {}
    for name in given.has:
        whole |= WHOLE.get(name, {})
    return Chat(
        turns=(Turn("user", (Text(text(given), cache=mark), *blocks)),),
        sampling=Sampling(max_tokens=given.max_tokens),
        stream=given.stream,
        **whole,
    )


def text(given: GivenSpec) -> str:
    """What is said: as it stands, or so much of it that it has about the tokens that are asked for."""
    return given.prompt if given.tokens is None else _long(given.tokens)


@cache
def _long(tokens: int) -> str:
    size = max(1, int(tokens * BYTES_PER_TOKEN) - 1)
    return ("word " * (size // 5 + 1))[:size].rstrip() or "w"


def decoded(raw: bytes) -> Any:
    """The data of a JSON body; None where it is none."""
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return None
