"""Asks for the vector of a text, through the same engine as a client would: routes, fallback, health, the ledger.

The request is the gateway's own and stands in the ledger as such, under the caller's key, with what it cost. It is asked
for the sake of another one, so it may take only so long, and what becomes of it is no reason to refuse anything: without
a vector there is no comparing, and the answer is made as if nobody had wanted to compare.
"""

from __future__ import annotations

import asyncio

import msgspec

from omniroute.errors import CallError, Fault, UpstreamError
from omniroute.formats.codec import malformed
from omniroute.formats.codecs import CLIENTS
from omniroute.relay import admission, meter
from omniroute.relay.asgi import Message, Send
from omniroute.relay.call import Call
from omniroute.routing.tables import UNLIMITED, Semantic
from omniroute.upstream.client import Client

PATH = "/v1/embeddings"
FORMAT = "openai_chat"
_LATE = Fault(kind="timeout", status=504, message="The embedding was not there in time.", code="embedding_timeout")
_NO_VECTOR = malformed("it holds no vector of numbers")


class _Entry(msgspec.Struct):
    embedding: list[float]


class _Reply(msgspec.Struct):
    data: list[_Entry]


_encode = msgspec.json.Encoder().encode
_reply = msgspec.json.Decoder(_Reply).decode


async def embed(call: Call, client: Client, semantic: Semantic, text: str) -> list[float] | None:
    """The vector of a text; None where there is none in time."""
    from omniroute.relay import unary  # noqa: PLC0415 - it serves through the loop that the cache stands before

    said: list[bytes] = []

    async def listen(message: Message) -> None:
        said.append(message.get("body", b""))

    asking = _asking(call, listen)
    try:
        async with asyncio.timeout(semantic.patience):
            await unary.embed_openai(asking, client, _encode({"model": semantic.model, "input": text}))
        return _reply(b"".join(said)).data[0].embedding
    except (msgspec.DecodeError, IndexError):
        asking.fault, asking.status = _NO_VECTOR, _NO_VECTOR.status
    except (CallError, UpstreamError) as error:
        asking.fault, asking.status = error.fault, error.fault.status
    except TimeoutError:
        asking.fault, asking.status = _LATE, _LATE.status
    finally:
        admission.settle(asking)
        meter.settle(asking)
    return None


def _asking(call: Call, send: Send) -> Call:
    """The request for it: of the same caller, whose budgets pay for it. It is not the caller's choice, so the key need not
    name the model, and it does not count on the key's limits."""
    assert call.principal is not None
    endpoint = msgspec.structs.replace(call.endpoint, path=PATH, operation="embeddings", format=FORMAT)
    scope = {**call.scope, "path": PATH, "query_string": b"", "headers": []}
    asking = Call(endpoint, CLIENTS[FORMAT], call.gateway, call.state, scope, send)
    asking.request_id = call.request_id
    asking.principal = msgspec.structs.replace(call.principal, allow=None, limits=UNLIMITED)
    asking.guard = call.guard
    return asking
