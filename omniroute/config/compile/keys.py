"""Who may call, by the digest of the key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from omniroute.config.compile.limits import Limited
from omniroute.config.spec.keys import KeySpec
from omniroute.routing.patterns import compile_pattern
from omniroute.routing.tables import (
    Principal,
)
from omniroute.state.budgets import Budget

DAY = 86_400.0


def digest(key: KeySpec) -> bytes:
    return bytes.fromhex(key.digest.removeprefix("sha256:"))


def principal(name: str, key: KeySpec, limited: Limited, budgets: Mapping[str, Budget]) -> Principal:
    """A key works through the day that `expires` names."""
    expires = None
    if key.expires is not None:
        expires = datetime.fromisoformat(key.expires).replace(tzinfo=UTC).timestamp() + DAY
    return Principal(
        name=name,
        roles=frozenset(key.roles),
        allow=tuple(compile_pattern(pattern) for pattern in key.allow) or None,
        expires=expires,
        tags=MappingProxyType(dict(key.tags)),
        limits=limited.named(key.limits),
        budgets=tuple(budgets[name] for name in dict.fromkeys(key.budgets)),
    )
