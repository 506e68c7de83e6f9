"""Embeddings: texts to vectors, in each format that clients and upstreams speak. This dict is the list of them all."""

from typing import cast

from omniroute.formats.embeddings import gemini, ollama, openai
from omniroute.formats.embeddings.values import Embed, Embedded
from omniroute.formats.unary import UnaryCodec

__all__ = ["EMBEDDINGS", "Embed", "Embedded", "gemini", "ollama", "openai"]

EMBEDDINGS: dict[str, UnaryCodec[Embed, Embedded]] = {
    "openai": cast("UnaryCodec[Embed, Embedded]", openai),
    "gemini": cast("UnaryCodec[Embed, Embedded]", gemini),
    "ollama": cast("UnaryCodec[Embed, Embedded]", ollama),
}
