"""Who may call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from omniroute.config.spec.words import Day, Name, Node, Pattern, Role, form


class KeySpec(Node, frozen=True, kw_only=True):
    """A caller. The file holds the digest of the key, which is safe in git."""

    digest: Annotated[
        str,
        form(
            r"sha256:[0-9a-f]{64}",
            "`sha256:` and 64 hexadecimal digits, as `omniroute key new` prints it",
            "The digest of the key, made by `omniroute key new`.",
        ),
    ]
    allow: Annotated[
        tuple[Pattern, ...],
        Meta(
            description="What it may ask for: models, aliases, combos; everything if absent.", examples=[["openai/*"]]
        ),
    ] = ()
    roles: Annotated[tuple[Role, ...], Meta(min_length=1, description="What it may do.")] = ("client",)
    expires: Annotated[Day, Meta(description="The last day on which it works (UTC).")] | None = None
    limits: Annotated[tuple[Name, ...], Meta(description="Limits that hold for it.", examples=[["standard"]])] = ()
    budgets: Annotated[
        tuple[Name, ...],
        Meta(description="Budgets that pay for it, all of them; other keys may name the same.", examples=[["team-a"]]),
    ] = ()
    tags: Annotated[
        Mapping[Name, str], Meta(description="What policies and usage can tell it by.", examples=[{"team": "a"}])
    ] = {}
