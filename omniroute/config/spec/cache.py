"""Which answers are given again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from omniroute.config.spec.words import Duration, Lasting, Name, Node, Reference, Size


class ExactSpec(Node, frozen=True, kw_only=True):
    """Answers to the very same request: no word, setting or tool of it differs, and no answer that called a tool or was
    asked for with a temperature above 0 is given twice."""

    enabled: Annotated[bool, Meta(description="Whether answers are given again.")] = True
    ttl: Annotated[Lasting, Meta(description="For how long.")] = "1h"
    max_entries: Annotated[int, Meta(ge=1, description="How many are kept; the least recently used go first.")] = 500
    max_bytes: Annotated[Size, Meta(description="How much memory they may take.")] = "64MiB"


class SemanticSpec(Node, frozen=True, kw_only=True):
    """Answers to a request that differs in the words of its last question only, and means nearly the same."""

    enabled: Annotated[bool, Meta(description="Whether questions are compared by what they mean.")] = False
    embedding: Annotated[Reference, Meta(description="The model that embeds each question; it is asked and paid.")]
    threshold: Annotated[
        float, Meta(gt=0, le=1, description="How near two questions have to be: the cosine of their vectors.")
    ] = 0.97
    ttl: Annotated[Lasting, Meta(description="How long a question is remembered.")] = "1h"
    timeout: Annotated[
        Lasting, Meta(description="How long a request waits for its embedding before it goes on without.")
    ] = "2s"
    max_entries: Annotated[int, Meta(ge=1, description="How many questions are remembered; the oldest go first.")] = (
        1000
    )
    max_bytes: Annotated[Size, Meta(description="How much memory their vectors may take.")] = "16MiB"


class CacheSpec(Node, frozen=True, kw_only=True):
    """Answers that are given again, each to the key that it was made for. `X-OmniRoute-No-Cache: true` neither looks for
    one nor keeps one."""

    exact: Annotated[ExactSpec, Meta(description="Answers to the very same request.")] = ExactSpec()
    semantic: Annotated[SemanticSpec | None, Meta(description="Answers to nearly the same question.")] = None
    groups: Annotated[
        Mapping[Name, Annotated[tuple[Name, ...], Meta(min_length=1, description="Names of keys.")]],
        Meta(
            description="Keys that share their answers, by the name of the group; otherwise each key has its own.",
            examples=[{"support": ["support-web", "support-mail"]}],
        ),
    ] = {}


class IdempotencySpec(Node, frozen=True, kw_only=True):
    """The same request again, named by `Idempotency-Key` or `X-Request-Id`, gets the same answer."""

    window: Annotated[
        Duration, Meta(description="How long after its end an answer is given again; `0s` switches it off.")
    ] = "5s"
    max_entries: Annotated[int, Meta(ge=1, description="How many answers are kept; the oldest go first.")] = 1000
    max_bytes: Annotated[
        Size, Meta(description="How much memory they may take; an answer longer than a sixteenth of it is not kept.")
    ] = "64MiB"
