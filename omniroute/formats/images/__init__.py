"""Images: prompts to pictures. Clients speak OpenAI's format; this dict lists what upstreams are spoken to in."""

from typing import cast

from omniroute.formats.images import fireworks, gemini, hyperbolic, openai
from omniroute.formats.images.values import Draw, Drawn
from omniroute.formats.unary import UnaryUpstream

__all__ = ["IMAGES", "Draw", "Drawn", "fireworks", "gemini", "hyperbolic", "openai"]

IMAGES: dict[str, UnaryUpstream[Draw, Drawn]] = {
    "openai": cast("UnaryUpstream[Draw, Drawn]", openai),
    "gemini": cast("UnaryUpstream[Draw, Drawn]", gemini),
    "hyperbolic": cast("UnaryUpstream[Draw, Drawn]", hyperbolic),
    "fireworks": cast("UnaryUpstream[Draw, Drawn]", fireworks),
}
