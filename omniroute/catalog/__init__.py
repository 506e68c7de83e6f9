"""Facts about providers and models, shipped as data: where they are, what they speak, what they can, what they cost.

`providers.yaml` is read by people and has comments; its 38 rows take 1 ms at start, 3 ms cold.  `models.json` has one
model a line, so that a change of a price is a change of a line: as YAML its 1,139 rows would take 75 ms with the C
parser alone, as JSON cutting them into providers takes 0.2 ms, and the models of a provider are decoded when they are
first asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from omniroute.catalog.oauth import OAuth, Scheme
from omniroute.catalog.price import Ceiling, Price, ceiling, cost, drawn, split_tier
from omniroute.document import Document

__all__ = [
    "Catalog",
    "Ceiling",
    "Model",
    "OAuth",
    "Offer",
    "Operation",
    "Price",
    "Provider",
    "ceiling",
    "cost",
    "drawn",
    "load",
    "split_tier",
]

Kind = Literal["chat", "responses", "embedding", "image", "transcription"]
Operation = Literal["count_tokens", "embeddings", "images", "transcriptions"]


class Offer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In which format a provider does something besides chat, and what it wants otherwise in that."""

    format: str
    quirks: Mapping[str, Any] = {}


class Provider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider that differs from others only in what stands here.

    `formats` maps each chat format it speaks, its own one first, to the URL where that format's paths start; URLs may
    hold `{resource}` and `{region}`. `operations` is what it does besides chat, at `base_url`. `quirks` is what
    `formats/patch.py` makes of it. `oauth` is how one signs in, where that can be done instead of sending a key.
    """

    id: str
    title: str
    base_url: str
    type: Literal["http", "demo"] = "http"
    formats: Mapping[str, str] = {}
    operations: Mapping[Operation, Offer] = {}
    auth: Scheme = "bearer"
    headers: Mapping[str, str] = {}
    env: str | None = None
    key_required: bool = True
    quirks: Mapping[str, Any] = {}
    oauth: OAuth | None = None


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a model; None and empty where nothing is, also where not even its kind is. `deprecated` is the day it goes (YYYY-MM-DD).

    An image's id may be a price tier, `size/model` or `quality/size/model`.
    """

    id: str
    kind: Kind | None
    context: int | None = None
    max_output: int | None = None
    dimensions: int | None = None
    price: Price | None = None
    capabilities: frozenset[str] = frozenset()
    deprecated: str | None = None


class Catalog:
    """All providers, and the models of each, decoded when first asked for.

    `version` names the two files together. Mappings are read-only.
    """

    def __init__(self, providers: Mapping[str, Any], models: bytes) -> None:
        facts = msgspec.json.decode(models, type=_Models)
        rows = msgspec.convert(providers, _Providers)
        self.version = f"{rows.updated}/{facts.updated}"
        self.provider_aliases: Mapping[str, str] = MappingProxyType(rows.aliases)
        self.providers: Mapping[str, Provider] = MappingProxyType(
            {name: _provider(name, row) for name, row in rows.providers.items()}
        )
        self._raw = facts.models
        self._models: dict[str, Mapping[str, Model]] = {}

    @property
    def listed(self) -> frozenset[str]:
        """The providers whose models are known; others have to be asked."""
        return frozenset(self._raw)

    def models(self, provider: str) -> Mapping[str, Model]:
        """The known models of a provider, by id; empty where none are."""
        known = self._models.get(provider)
        if known is None:
            raw = self._raw.get(provider)
            rows = _decode_models(raw) if raw is not None else []
            known = self._models[provider] = MappingProxyType({row.id: row for row in rows})
        return known

    def tiers(self, provider: str) -> Mapping[str, Mapping[str, Price]]:
        """The prices of images by quality and size, for each model that has such."""
        found: dict[str, dict[str, Price]] = {}
        for ident, row in self.models(provider).items():
            tier, model = split_tier(ident)
            if tier and row.price is not None:
                found.setdefault(model, {})[tier] = row.price
        return found

    def model(self, provider: str, name: str) -> Model | None:
        return self.models(provider).get(name)


class _Providers(msgspec.Struct, forbid_unknown_fields=True):
    """`providers.yaml`."""

    updated: str
    aliases: dict[str, str]
    providers: dict[str, dict[str, Any]]


class _Models(msgspec.Struct, forbid_unknown_fields=True):
    """`models.json`."""

    updated: str
    models: dict[str, msgspec.Raw]


_decode_models = msgspec.json.Decoder(list[Model]).decode


def _provider(ident: str, row: dict[str, Any]) -> Provider:
    base = row["base_url"]
    formats = {name: at if "://" in at else base + at for name, at in row.get("formats", {}).items()}
    offers = {name: {"format": one} if isinstance(one, str) else one for name, one in row.get("operations", {}).items()}
    return msgspec.convert({**row, "id": ident, "formats": formats, "operations": offers}, Provider)


@cache
def load() -> Catalog:
    """The catalogue of this installation."""
    here = Path(__file__).parent
    document = Document.parse((here / "providers.yaml").read_bytes(), "providers.yaml")
    return Catalog(document.data, (here / "models.json").read_bytes())
