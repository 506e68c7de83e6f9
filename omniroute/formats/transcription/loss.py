"""What no provider but those of the client's own format can be told, or tell."""

from __future__ import annotations

from collections.abc import Iterable

from omniroute.formats.ir import Loss
from omniroute.formats.transcription.values import Transcription


def lost(request: Transcription, provider: str, unknown: Iterable[str]) -> list[Loss]:
    """The losses of a request: fields that are set and `unknown` to the provider, and what the answer will lack."""
    found = [
        Loss(name, name, f"{provider} takes no {name}")
        for name in unknown
        if getattr(request, name) not in (None, (), "")
    ]
    found += [Loss(name, name, f"{provider} knows nothing like it") for name in request.extra]
    if request.response_format == "verbose_json" and request.segments:
        what = f"{provider} tells no tokens and probabilities of segments"
        found.append(Loss("segment_details", "response_format", what))
    return found
