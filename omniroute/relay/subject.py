"""A request as the conditions of policies look at it: what is costly to tell is told when one of them asks."""

from __future__ import annotations

from functools import cached_property

from omniroute.errors import BadRequest
from omniroute.formats import tokens
from omniroute.formats.codec import Head
from omniroute.formats.codecs import CLIENTS
from omniroute.formats.ir import Chat
from omniroute.policy.conditions import traits_of
from omniroute.relay import estimate
from omniroute.relay.admit import client
from omniroute.relay.call import Call


class Asked:
    """A `Subject` (`routing/policies.py`) over a call whose head is known."""

    def __init__(self, call: Call) -> None:
        self._call = call

    @property
    def time(self) -> float:
        return self._call.started_at

    @property
    def ip(self) -> str:
        return client(self._call.scope, self._call.gateway.server.trusted_proxies)

    @cached_property
    def agent(self) -> str:
        return self._call.named.get(b"user-agent", b"").decode("latin-1")

    @cached_property
    def tokens(self) -> int:
        """Of a chat by its texts, files and tools, of anything else by its size."""
        call, chat = self._call, self._chat
        assert call.head is not None
        return estimate.produced(call.head.body) if chat is None else tokens.rough(chat, call.asked)

    @cached_property
    def traits(self) -> frozenset[str]:
        return frozenset() if self._chat is None else traits_of(self._chat)

    @cached_property
    def _chat(self) -> Chat | None:
        """The chat that is asked for; None of another operation, and of a request that cannot be read, which whoever
        is asked will say."""
        call = self._call
        if call.operation not in ("chat", "count_tokens") or call.codec.NAME not in CLIENTS:
            return None
        try:
            assert call.head is not None
            return decoded(call, call.head)
        except BadRequest:
            return None


def decoded(call: Call, head: Head) -> Chat:
    """What the request means in no format's words, read once. Raises BadRequest."""
    if call.chat is None:
        call.chat = call.codec.decode_request(head)
    return call.chat
