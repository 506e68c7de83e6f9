"""Images given by address: fetched before a request is written for a target that takes only the images themselves.

The codecs are pure and say which addresses their upstreams read; the fetching is `upstream/image.py`; here the two
meet, once for each target that is tried. What was fetched is kept as long as the request lasts, for the next candidate.
"""

from __future__ import annotations

from omniroute.errors import Unsupported
from omniroute.formats import pictures
from omniroute.formats.codec import ChatCodec
from omniroute.formats.ir import Chat
from omniroute.relay.call import Call
from omniroute.upstream.client import Client


async def gather(call: Call, client: Client, chat: Chat, codec: ChatCodec, model: str) -> None:
    """Fetches the images of the chat that the model's upstream cannot read by their address, if the configuration says
    so. Raises Unsupported where one cannot be had."""
    settings = call.gateway.server.fetch_images
    if settings is None:
        return
    wanted = {
        address: place
        for address, place in pictures.addressed(chat).items()
        if address not in call.pictures and not codec.reads_address(address, model)
    }
    if not wanted:
        return
    failed = call.unfetched
    if failed is not None and failed.fault.param in wanted.values():
        raise failed  # it would not be there for the next target either, and the time for it has been spent
    left = call.deadline - call.state.clock.monotonic()
    try:
        call.pictures |= await client.images.fetch(wanted, settings, min(settings.timeout, left))
    except Unsupported as error:
        call.unfetched = error
        raise


def embedded(call: Call, chat: Chat, codec: ChatCodec, model: str) -> Chat:
    """The chat with what was fetched, as far as the model's upstream needs it."""
    if not call.pictures:
        return chat
    needed = {one: picture for one, picture in call.pictures.items() if not codec.reads_address(one, model)}
    return pictures.embedded(chat, needed)
