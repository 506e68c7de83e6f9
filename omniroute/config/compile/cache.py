"""Which answers are given again, and what makes them another gateway's."""

from __future__ import annotations

from hashlib import blake2b
from types import MappingProxyType

import msgspec

from omniroute.config.spec import Spec
from omniroute.config.spec.cache import CacheSpec, IdempotencySpec
from omniroute.config.spec.words import seconds, size
from omniroute.routing.tables import Caching, Semantic
from omniroute.state.base import Keeping
from omniroute.state.likeness import load

_encode = msgspec.json.Encoder(order="deterministic").encode


def caching(spec: Spec) -> Caching | None:
    """None where nothing is kept."""
    cache = spec.cache
    if cache is None or not cache.exact.enabled:
        return None
    return Caching(
        ground=_ground(spec),
        exact=Keeping(seconds(cache.exact.ttl), cache.exact.max_entries, size(cache.exact.max_bytes)),
        groups=MappingProxyType({key: group for group, keys in cache.groups.items() for key in keys}),
        semantic=_semantic(cache),
    )


def idempotency(spec: IdempotencySpec) -> Keeping | None:
    """None where it is switched off."""
    window = seconds(spec.window)
    return Keeping(window, spec.max_entries, size(spec.max_bytes)) if window else None


def _semantic(cache: CacheSpec) -> Semantic | None:
    spec = cache.semantic
    if spec is None or not spec.enabled:
        return None
    load()  # now, while no request waits for it
    return Semantic(
        model=spec.embedding,
        threshold=spec.threshold,
        patience=seconds(spec.timeout),
        keeping=Keeping(seconds(spec.ttl), spec.max_entries, size(spec.max_bytes)),
    )


def _ground(spec: Spec) -> str:
    """A digest of the sections that say who answers and how: after a change in one of them nothing that was kept before
    is found. Accounts do not shape an answer, and keys are part of each entry."""
    providers = {name: msgspec.structs.replace(one, connections={}) for name, one in spec.providers.items()}
    shaping = (providers, spec.aliases, spec.combos, spec.policies, spec.settings, spec.server.strict_translation)
    return blake2b(_encode(shaping), digest_size=16).hexdigest()
