"""What is kept of answers."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from omniroute.config.spec.words import Lasting, Node, Size


class ResponsesSpec(Node, frozen=True, kw_only=True):
    """What is kept of answers of `/v1/responses`, so that `previous_response_id` works with every provider. In memory
    only, and each for the key that asked. The limits are for all keys together; where they are reached, the oldest answer
    of the key that holds the most goes first."""

    store: Annotated[bool, Meta(description="Whether answers are kept whose request does not say `store: false`.")] = (
        True
    )
    ttl: Annotated[Lasting, Meta(description="For how long.")] = "1h"
    max_entries: Annotated[int, Meta(ge=1, description="How many at most.")] = 1000
    max_bytes: Annotated[Size, Meta(description="How much memory they may take.")] = "64MiB"
