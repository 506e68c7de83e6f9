"""What a model takes, by its name, for Google's models differ in what they refuse.

A caller of another format does not write for one of them, so `encode_request` has to. The sources are the pages
thinking, thought-signatures, gemini-3, whats-new-gemini-3.5 and function-calling under
https://ai.google.dev/gemini-api/docs/ and the developer's guides to single models. Models of others behind this format
get what it had first.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from omniroute.formats.ir import Effort

_VERSION = re.compile(r"gemini-(?:[a-z]+-)*(\d{1,2})(?:[-.](\d{1,2})(?!\d))?")
_NEWEST = (99, 0)

ALL: tuple[Effort, ...] = ("minimal", "low", "medium", "high")


class Traits(msgspec.Struct, frozen=True):
    """`levels`: how it can be told how much to think. `budget`: the least and the most tokens of thought, where it is
    told in these. `off`: it can be told not to think. `signed`: it refuses calls of its history without a signature.
    `addresses`: Google fetches for it what stands at an `https` address. `media_in_results`: a function's result may hold images. `goes_on`: the last turn may be the model's own, to be
    continued. `penalties`: presence and frequency may be penalised. `schemas_with_tools`: it can be held to JSON and
    have functions to call at once."""

    levels: tuple[Effort, ...] = ()
    budget: tuple[int, int] | None = None
    off: bool = False
    signed: bool = False
    addresses: bool = False
    media_in_results: bool = False
    goes_on: bool = True
    penalties: bool = True
    schemas_with_tools: bool = False


@lru_cache(1024)
def traits(model: str) -> Traits:
    name = model.lower()
    if "gemini" not in name:
        return Traits()
    found = _VERSION.search(name)
    version = (int(found[1]), int(found[2] or 0)) if found else _NEWEST
    if version < (2, 5):
        return Traits()
    draws = "image" in name or "tts" in name
    if version < (3, 0):
        budget = _budget(name)
        return Traits(addresses=True) if draws else Traits(budget=budget, off="pro" not in name, addresses=True)
    return Traits(
        levels=() if draws else _levels(name, version),
        signed=True,
        schemas_with_tools=True,
        addresses=True,
        media_in_results=True,
        goes_on=version < (3, 5),
        penalties=version < (3, 5),
    )


def _budget(name: str) -> tuple[int, int]:
    if "pro" in name:
        return 128, 32_768
    return (512, 24_576) if "lite" in name else (1, 24_576)


def _levels(name: str, version: tuple[int, int]) -> tuple[Effort, ...]:
    if "lite" in name:
        return ALL
    if "pro" in name and version == (3, 0):
        return ("low", "high")
    return ALL[1:] if "pro" in name or version >= (3, 7) else ALL
