"""Pictures, sounds and files as this format holds them: by a media type and data, or by an address that Google reads."""

from __future__ import annotations

from omniroute.formats.codec import Fields
from omniroute.formats.gemini import seal
from omniroute.formats.gemini.models import Traits, traits
from omniroute.formats.ir import Audio, Document, Image
from omniroute.formats.pictures import guess

SOUNDS = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mp3": "mp3",
    "audio/mpeg": "mp3",
    "audio/flac": "flac",
    "audio/x-flac": "flac",
    "audio/ogg": "ogg",
    "audio/opus": "opus",
    "audio/aac": "aac",
    "audio/m4a": "m4a",
    "audio/mp4": "m4a",
    "audio/webm": "webm",
    "audio/aiff": "aiff",
}
"""What other formats call a sound of a media type."""
TYPES = {name: kind for kind, name in reversed(SOUNDS.items())} | {"pcm16": "audio/pcm"}
OWN_FILES = ("https://generativelanguage.googleapis.com/", "gs://")
"""Addresses that only Google can read."""
LEVELS = {"MEDIA_RESOLUTION_LOW": "low", "MEDIA_RESOLUTION_MEDIUM": "auto", "MEDIA_RESOLUTION_HIGH": "high"}
"""The detail of an image that a media resolution asks for."""
_ENDINGS = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "heic": "image/heic",
    "bmp": "image/bmp",
}


def given(media_type: str, data: str, name: str | None, detail: str | None) -> Image | Audio | Document | None:
    """What data of a media type is to other formats; None where they know nothing like it (a film)."""
    kind = media_type.partition(";")[0].strip().lower()
    data = seal.standard(data)
    if kind.startswith("image/"):
        return Image(kind, data, detail=detail)
    if kind in SOUNDS:
        return Audio(data, SOUNDS[kind])
    if kind.startswith("text/") or kind in ("application/pdf", "application/json"):
        return Document(kind, data, name=name)
    return None


def referred(media_type: str, address: str, name: str | None, detail: str | None) -> Image | Document | None:
    """What an address is to other formats; None where they know nothing like it (a film, a sound)."""
    kind = media_type.partition(";")[0].strip().lower()
    own = address.startswith(OWN_FILES)
    file_id, url = (address, None) if own else (None, address)
    if kind.startswith("image/"):
        return Image(kind, url=url, file_id=file_id, detail=detail)
    if kind.startswith("text/") or kind in ("application/pdf", "application/json"):
        return Document(kind, url=url, file_id=file_id, name=name)
    return None


def inline(media_type: str, data: str) -> Fields:
    return {"inlineData": {"mimeType": media_type, "data": data}}


def picture(image: Image) -> Fields | None:
    """An image as a part; None where it is a file of another provider's."""
    if image.data is not None:
        return inline(image.media_type or guess(image.data), image.data)
    return reference(image, image.media_type or _by_ending(image.url or ""))


def reference(held: Image | Document, media_type: str) -> Fields | None:
    """What is held elsewhere as a part; None where it is a file of another provider's."""
    address = held.url
    if address is None and held.file_id is not None and held.file_id.startswith(OWN_FILES):
        address = held.file_id
    return None if address is None else {"fileData": {"mimeType": media_type, "fileUri": address}}


def reads_address(address: str, model: str) -> bool:
    """Whether Google gets what stands there itself, for this model."""
    return readable(address, traits(model))


def readable(address: str, known: Traits) -> bool:
    """Its own files are, and for some models what is on the web."""
    return address.startswith(OWN_FILES) or (known.addresses and address.startswith("https://"))


def sound(audio: Audio) -> Fields:
    return inline(TYPES.get(audio.format, f"audio/{audio.format}"), audio.data)


def _by_ending(address: str) -> str:
    ending = address.partition("?")[0].partition("#")[0].rpartition(".")[2].lower()
    return _ENDINGS.get(ending, "image/jpeg")
