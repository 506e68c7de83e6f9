"""Scenarios: what a request is expected to meet, told in the words of the configuration and run without a network.

They stand under a policy (`tests`) or in a section of their own (`scenarios`); `omniroute test` runs both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from omniroute.config.spec.words import (
    Duration,
    Format,
    HeaderName,
    HeaderValue,
    ModelName,
    Name,
    Node,
    Reference,
    form,
)

Moment = Annotated[
    str,
    form(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:Z|[+-][0-9]{2}:[0-9]{2})",
        "a time with its zone, such as `2026-03-02T09:30:00Z`",
        "A time.",
        ["2026-03-02T09:30:00Z"],
    ),
]
Who = Annotated[
    str,
    form(
        r"[^\s*]{1,256}",
        "a provider, a connection or a model: `openai`, `openai.team` or `openai/gpt-5.4`",
        "A provider, a connection of it (`openai.team`) or a model of it (`openai/gpt-5.4`).",
    ),
]
At = Annotated[
    str,
    form(
        r"[^\s]{1,256}",
        "the place of a value, such as `messages.0.content`",
        "Names and indices from the top, with dots between.",
    ),
]
Feature = Literal["tools", "images", "documents", "audio", "json_schema", "reasoning", "system", "cache_marks"]
Health = Literal["open", "half-open", "cooling"]
Step = Literal[
    "ok",
    "timeout",
    "connect",
    "overloaded",
    "server_error",
    "rate_limited",
    "auth",
    "quota",
    "invalid",
    "malformed",
    "truncated",
]
"""How a call ends: a kind of failure (`errors.py: UpstreamKind`), or none."""


class TokensSpec(Node, frozen=True, kw_only=True):
    """What an upstream says that an answer took."""

    input: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="Tokens of the prompt; about what it has if absent.")
    ] = None
    output: Annotated[int, Meta(ge=0, description="Tokens of the answer.")] = 10
    cached: Annotated[int, Meta(ge=0, description="Of the prompt, what was read from a cache.")] = 0
    reasoning: Annotated[int, Meta(ge=0, description="Of the answer, what was thought.")] = 0


class GivenSpec(Node, frozen=True, kw_only=True):
    """A request, and the circumstances in which it comes."""

    key: Annotated[Name | None, Meta(description="The name of the key that asks; none if absent.")] = None
    tags: Annotated[
        Mapping[Name, str],
        Meta(description="Tags of the key, beside its own; without `key`, of one that has nothing else."),
    ] = {}
    model: Annotated[ModelName, Meta(description="What is asked for.", examples=["coding"])]
    operation: Annotated[
        Literal["chat", "embeddings"], Meta(description="What is asked for: an answer, or vectors.")
    ] = "chat"
    format: Annotated[Format, Meta(description="What the client speaks.")] = "openai_chat"
    stream: Annotated[bool, Meta(description="Whether the answer is to be streamed.")] = False
    headers: Annotated[
        Mapping[HeaderName, HeaderValue],
        Meta(description="Headers of the request.", examples=[{"user-agent": "claude-cli/2.0"}]),
    ] = {}
    ip: Annotated[str, Meta(min_length=1, description="Where it comes from.")] = "127.0.0.1"
    prompt: Annotated[str, Meta(min_length=1, description="What is said.")] = "Hello"
    tokens: Annotated[
        Annotated[int, Meta(ge=1, le=2_000_000)] | None,
        Meta(description="About how many tokens the prompt has, instead of `prompt`."),
    ] = None
    max_tokens: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="How many tokens the answer may have.")
    ] = None
    has: Annotated[
        tuple[Feature, ...], Meta(description="What else is in the request.", examples=[["tools", "images"]])
    ] = ()
    body: Annotated[
        Mapping[str, Any],
        Meta(
            description="Further fields of the body, in the client's format.",
            examples=[{"logit_bias": {"50256": -100}}],
        ),
    ] = {}
    at: Annotated[Moment, Meta(description="When it comes.")] = "2026-01-01T12:00:00Z"
    times: Annotated[
        int, Meta(ge=1, le=1000, description="How often it is sent, one after the other; the last one is looked at.")
    ] = 1
    every: Annotated[Duration, Meta(description="How long after the one before.")] = "0s"
    health: Annotated[
        Mapping[Who, Health],
        Meta(
            description="Connections that are not well: circuit open, open and due for a probe, or cooling down.",
            examples=[{"openai.team": "open"}],
        ),
    ] = {}
    busy: Annotated[
        Mapping[Who, Annotated[int, Meta(ge=0, description="Requests.")]],
        Meta(description="Requests that are under way on connections.", examples=[{"openai.team": 20}]),
    ] = {}
    budgets: Annotated[
        Mapping[Name, Annotated[float, Meta(ge=0)]],
        Meta(description="USD that budgets have spent in the current period.", examples=[{"team-a": 49.99}]),
    ] = {}
    exhausted: Annotated[
        tuple[Name, ...], Meta(description="Limits that have nothing left for this caller or any target.")
    ] = ()
    fails: Annotated[
        Mapping[Who, Step | tuple[Step, ...]],
        Meta(
            description="How upstreams fail: always, or one time after the other and then no more.",
            examples=[{"openai/gpt-5.4": "rate_limited"}, {"openai": ["timeout", "ok"]}],
        ),
    ] = {}
    slow: Annotated[
        Mapping[Who, Duration],
        Meta(description="How long upstreams take to begin an answer.", examples=[{"openai.team": "6s"}]),
    ] = {}
    usage: Annotated[TokensSpec, Meta(description="What upstreams say that an answer took.")] = TokensSpec()


class ExpectSpec(Node, frozen=True, kw_only=True):
    """What is to become of the request. Nothing that is left out is looked at, but that it is answered, unless a
    refusal is expected."""

    status: Annotated[Annotated[int, Meta(ge=200, le=599)] | None, Meta(description="The status of the answer.")] = None
    denied: Annotated[Annotated[str, Meta(min_length=1)] | None, Meta(description="Words of the refusal.")] = None
    code: Annotated[Annotated[str, Meta(min_length=1)] | None, Meta(description="The code of the refusal.")] = None
    route: Annotated[Reference | None, Meta(description="The combo or model that the name leads to.")] = None
    order: Annotated[
        tuple[Reference, ...] | None, Meta(description="The models that may serve, in the order of trial.")
    ] = None
    tried: Annotated[tuple[Reference, ...] | None, Meta(description="The models that were really asked, in order.")] = (
        None
    )
    target: Annotated[Reference | None, Meta(description="The model that answered.")] = None
    connection: Annotated[
        Annotated[str, Meta(min_length=1)] | None, Meta(description="The connection that answered.")
    ] = None
    policies: Annotated[tuple[Name, ...] | None, Meta(description="The policies that apply, in their order.")] = None
    cost: Annotated[Annotated[float, Meta(ge=0)] | None, Meta(description="What it cost, in USD.")] = None
    losses: Annotated[tuple[str, ...] | None, Meta(description="What the translation lost, in any order.")] = None
    headers: Annotated[
        Mapping[HeaderName, str], Meta(description="Headers of the answer.", examples=[{"x-omniroute-attempts": "2"}])
    ] = {}
    sent: Annotated[
        Mapping[At, Any],
        Meta(description="Values of the body that the upstream got.", examples=[{"max_tokens": 8000}]),
    ] = {}


Given = Annotated[GivenSpec, Meta(description="The request, and the circumstances in which it comes.")]
Expected = Annotated[ExpectSpec, Meta(description="What is to become of it.")]


class ScenarioSpec(Node, frozen=True, kw_only=True):
    """A request in its circumstances, and what is to become of it."""

    given: Given
    expect: Expected = ExpectSpec()


class PolicyTestSpec(Node, frozen=True, kw_only=True):
    """A scenario that stands under the policy that it is about."""

    name: Annotated[
        Annotated[str, Meta(min_length=1)] | None, Meta(description="What it shows; a number if absent.")
    ] = None
    given: Given
    expect: Expected = ExpectSpec()
