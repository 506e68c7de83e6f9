"""What is answered where no model is asked for anything: clients load a model so, or drop it from memory.

A gateway has nothing to load, and says that it is done, which is true: the model can be asked.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

_encode = msgspec.json.Encoder().encode
_NOW = (0, "0", "0s", "0m", "0h")


def loading(model: str, nothing: bytes, keep_alive: str | float | None) -> Callable[[int], bytes]:
    """The answer, given when the request came. `nothing` is the member that says no word; a model that is to be kept
    for no time is unloaded."""
    reason = b"unload" if keep_alive in _NOW else b"load"

    def answer(created: int) -> bytes:
        said = (_encode(model), date(created), nothing, reason)
        return b'{"model":%b,"created_at":"%b",%b,"done":true,"done_reason":"%b"}\n' % said

    return answer


@lru_cache(maxsize=8)
def date(created: int) -> bytes:
    """UNIX seconds as the server writes them; many answers of one second share it."""
    return datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
