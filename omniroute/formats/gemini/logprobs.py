"""Log probabilities of tokens: Google tells them beside the parts, the others with each piece of text, as OpenAI does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from omniroute.formats.gemini.spelling import camel
from omniroute.formats.ir import Raw

LEAST = -9999.0
"""What stands for a probability of nothing, which JSON has no number for."""


class _Token(msgspec.Struct, rename=camel):
    token: str = ""
    log_probability: float = LEAST


class _Tops(msgspec.Struct):
    candidates: list[_Token] = []


class _Result(msgspec.Struct, rename=camel):
    chosen_candidates: list[_Token] = []
    top_candidates: list[_Tops] = []


class _Alternative(msgspec.Struct):
    token: str = ""
    logprob: float = LEAST


class _Position(_Alternative):
    top_logprobs: list[_Alternative] = []


_result = msgspec.json.Decoder(_Result).decode
_positions = msgspec.json.Decoder(list[_Position]).decode
_encode = msgspec.json.Encoder().encode


def told(result: Raw) -> Raw | None:
    """Google's as OpenAI's; None where there are none. Raises ValueError where they are not the format's."""
    if bytes(result) in (b"", b"null"):
        return None
    given = _result(result)
    tops: list[_Tops | None] = [*given.top_candidates]
    tops += [None] * (len(given.chosen_candidates) - len(tops))
    positions = [
        _alternative(chosen) | {"top_logprobs": [_alternative(one) for one in top.candidates] if top else []}
        for chosen, top in zip(given.chosen_candidates, tops, strict=False)
    ]
    return Raw(_encode(positions)) if positions else None


def _alternative(token: _Token) -> dict[str, Any]:
    return {"token": token.token, "logprob": token.log_probability, "bytes": list(token.token.encode())}


def written(pieces: Sequence[Raw]) -> dict[str, Any] | None:
    """OpenAI's as Google's; None where they cannot be read, for an answer is worth more than its chances."""
    try:
        positions = [position for piece in pieces for position in _positions(piece)]
    except (msgspec.DecodeError, RecursionError):
        return None
    if not positions:
        return None
    return {
        "chosenCandidates": [_token(position) for position in positions],
        "topCandidates": [{"candidates": [_token(one) for one in position.top_logprobs]} for position in positions],
    }


def _token(alternative: _Alternative) -> dict[str, Any]:
    return {"token": alternative.token, "logProbability": alternative.logprob}
