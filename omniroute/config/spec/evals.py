"""Evals: questions to models, and what is expected of the answers; `omniroute eval` and `/api/evals` run them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from omniroute.config.spec.words import Lasting, Name, Node, Reference

Text = Annotated[str, Meta(min_length=1, max_length=100_000)]
Share = Annotated[float, Meta(ge=0, le=1)]


class MessageSpec(Node, frozen=True, kw_only=True):
    """A turn of a conversation."""

    role: Annotated[Literal["user", "assistant"], Meta(description="Who says it.")]
    content: Annotated[Text, Meta(description="What is said.")]


class SimilaritySpec(Node, frozen=True, kw_only=True):
    """The answer has to mean nearly what a text does."""

    to: Annotated[Text, Meta(description="The text.")]
    model: Annotated[Reference, Meta(description="The model that embeds both; it is asked and paid.")]
    threshold: Annotated[Share, Meta(description="The cosine of both vectors is at least this.")] = 0.8


class JudgeSpec(Node, frozen=True, kw_only=True):
    """Another model says how good the answer is."""

    model: Annotated[Reference, Meta(description="The model that judges; it is asked and paid.")]
    rubric: Annotated[Text, Meta(description="What makes an answer good.")]
    threshold: Annotated[Share, Meta(description="The score, from 0 to 1, that an answer has to reach.")] = 0.7


class AnswerSpec(Node, frozen=True, kw_only=True):
    """What is expected of an answer: all that is said here."""

    exact: Annotated[Text, Meta(description="The whole answer, but for white space at its ends.")] | None = None
    contains: (
        Annotated[
            Text | Annotated[tuple[Text, ...], Meta(min_length=1)],
            Meta(description="A text, or several, that are in the answer, in capitals or not.", examples=["Paris"]),
        ]
        | None
    ) = None
    regex: (
        Annotated[
            Annotated[str, Meta(min_length=1, max_length=500)],
            Meta(
                description="A regular expression, in the syntax of RE2, that finds something in the answer.",
                examples=["(?i)^yes\\b"],
            ),
        ]
        | None
    ) = None
    json_schema: (
        Annotated[
            Mapping[str, Any],
            Meta(
                description="A JSON Schema that the answer is valid against; it may stand in a code fence.",
                examples=[{"type": "object", "required": ["city"]}],
            ),
        ]
        | None
    ) = None
    similarity: Annotated[SimilaritySpec | None, Meta(description="A text that the answer means nearly.")] = None
    judge: Annotated[JudgeSpec | None, Meta(description="What another model says of the answer.")] = None


class CaseSpec(Node, frozen=True, kw_only=True):
    """A question, and what is expected of the answer."""

    input: Annotated[
        Text | Annotated[tuple[MessageSpec, ...], Meta(min_length=1)],
        Meta(description="What is said: a text, or the turns of a conversation.", examples=["Capital of France?"]),
    ]
    system: Annotated[Text | None, Meta(description="The system prompt, instead of the suite's.")] = None
    model: Annotated[Reference | None, Meta(description="Who is asked, instead of the suite's model.")] = None
    params: Annotated[
        Mapping[Name, Any],
        Meta(description="Further fields of the request, over those of the suite.", examples=[{"max_tokens": 100}]),
    ] = {}
    expect: Annotated[AnswerSpec, Meta(description="What is expected of the answer.")]


class SuiteSpec(Node, frozen=True, kw_only=True):
    """Cases that are run together, through the gateway like requests of any client: they cost what those cost."""

    description: Annotated[str, Meta(max_length=1000, description="What it is for.")] = ""
    model: Annotated[Reference | None, Meta(description="Who is asked.")] = None
    key: Annotated[
        Name | None,
        Meta(description="The key whose limits, budgets and policies hold, and whose usage it is; none if absent."),
    ] = None
    system: Annotated[Text | None, Meta(description="The system prompt of all cases.")] = None
    params: Annotated[
        Mapping[Name, Any],
        Meta(
            description="Further fields of each request, in OpenAI's chat format.",
            examples=[{"temperature": 0, "max_tokens": 500}],
        ),
    ] = {}
    concurrency: Annotated[int, Meta(ge=1, le=32, description="Cases under way at the same time.")] = 4
    timeout: Annotated[Lasting, Meta(description="How long one case may take, with what judges it.")] = "60s"
    store_answers: Annotated[
        bool, Meta(description="Whether answers are kept with the results; if not, scores and reasons are.")
    ] = False
    cases: Annotated[Mapping[Name, CaseSpec], Meta(min_length=1, description="Cases, by name.")]
