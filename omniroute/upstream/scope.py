"""What a failure is about: the whole connection, or one model on it.

An account that is refused or a host that is down concerns every model. A model that the provider does not have, that is
overloaded, or whose own quota is used up concerns no other one, and the connection goes on with these.  Which it is, a
provider says in a code, in a field, or only in words: each way is a row here, with who says it so.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from omniroute.errors import Fault, UpstreamError, UpstreamKind

Scope = Literal["connection", "model"]


class Sign(msgspec.Struct, frozen=True):
    """Words that stand in a field of a refusal with this status."""

    status: int
    field: Literal["code", "type", "message"]
    words: str


ABSENT: tuple[Sign, ...] = (
    Sign(404, "code", "model_not_found"),  # OpenAI, Groq, xAI, Cerebras
    Sign(403, "code", "model_not_found"),  # OpenAI, where the project may not use the model
    Sign(403, "code", "model_permission_blocked"),  # Groq, `…_org` and `…_project`
    Sign(404, "code", "DeploymentNotFound"),  # Azure
    Sign(404, "message", "model: "),  # Anthropic, followed by the name
    Sign(404, "message", "models/"),  # Gemini: `models/… is not found for API version …`
    Sign(404, "message", "model '"),  # Ollama: `model '…' not found`
    Sign(404, "message", 'model "'),  # Ollama before 0.5
    Sign(404, "message", "The model `"),  # vLLM, which gives its status as the code
    Sign(400, "type", "invalid_model"),  # Mistral
    Sign(400, "message", "is not a valid model ID"),  # OpenRouter
)
"""How providers say that they do not have the model, or not for this account."""

ONE_MODEL: tuple[Sign, ...] = (
    Sign(503, "message", "model is overloaded"),  # Gemini
    Sign(503, "message", "model is currently"),  # Gemini: `… experiencing high demand`; OpenAI: `… overloaded`
    Sign(429, "message", "model is currently overloaded"),  # OpenAI
    Sign(429, "code", "PerModel"),  # Gemini's quotas: `GenerateRequestsPerDayPerProjectPerModel-FreeTier`
    Sign(429, "message", "under Azure OpenAI API version"),  # Azure, whose limits are those of a deployment
)
"""How they say, without its name, that it is only this model."""

SCOPES: dict[UpstreamKind, Scope | Literal["as told"]] = {
    "no_model": "model",
    "rate_limited": "as told",
    "overloaded": "as told",
    "quota": "as told",
}
"""What a failure of a kind is about, the connection where nothing else stands here; `as told` is for kinds of which a
provider has both, and where it does not say that it is the model, the connection is meant."""


def is_absent(fault: Fault) -> bool:
    """Whether the refusal is that the provider does not have the model."""
    return any(_shows(sign, fault) for sign in ABSENT)


def scope_of(error: UpstreamError, model: str) -> Scope:
    """What a failure was about when the provider was asked for the model, by its own name of it."""
    scope = SCOPES.get(error.kind, "connection")
    if scope != "as told":
        return scope
    fault = error.fault
    told = _names(fault.message, model) or any(_shows(sign, fault) for sign in ONE_MODEL)
    return "model" if told else "connection"


def _shows(sign: Sign, fault: Fault) -> bool:
    return sign.status == fault.status and sign.words in (getattr(fault, sign.field) or "")


def _names(text: str, model: str) -> bool:
    """Whether the text has the name as a word; a version may follow it, as in `gpt-5-2026-01-01`."""
    return re.search(rf"(?<![A-Za-z0-9.-]){re.escape(model)}(?![A-Za-z0-9])", text) is not None
