"""How many tokens a prompt has: asked upstream where the provider can count, else estimated and marked so."""

from __future__ import annotations

from collections.abc import Iterable

from omniroute.errors import UpstreamError
from omniroute.formats import anthropic, patch
from omniroute.formats.codec import Head
from omniroute.formats.ir import Block, Chat, Document, Image, Refusal, Text, Thinking, ToolCall, ToolResult
from omniroute.relay import headers
from omniroute.relay.asgi import respond
from omniroute.relay.attempt import Prepared, send
from omniroute.relay.call import Call
from omniroute.relay.relay import choose
from omniroute.routing.plan import Candidate
from omniroute.upstream.client import Client

BYTES_PER_TOKEN = 3.5
"""Of prose and code in UTF-8; a little below what tokenizers need, for a window that is full is worse than one that
has room left."""
TOKENS_PER_IMAGE = 1600
"""Of an image at the largest size that the large providers take without scaling."""
TOKENS_PER_TURN = 4
TOKENS_PER_TOOL = 12
ANSWER_LIMIT = 64 * 1024


async def count(call: Call, client: Client, body: bytes) -> None:
    """Answers `/v1/messages/count_tokens`."""
    head = call.head = anthropic.peek_count(body)
    candidates = choose(call)
    counted = await _ask(call, client, head, candidates)
    tokens = estimate(anthropic.decode_request(head)) if counted is None else counted
    answer = anthropic.encode_count(tokens, estimated=counted is None)
    call.status = 200
    await respond(call.send, 200, headers.whole(call, len(answer)), answer)


async def _ask(call: Call, client: Client, head: Head, candidates: list[Candidate]) -> int | None:
    """The count of the first candidate whose provider counts; None where none does or can just now. A refusal of the
    request itself is raised, since an estimate would hide it."""
    for candidate in candidates:
        target = candidate.target
        if "count_tokens" not in target.upstream.operations:
            continue
        fields = anthropic.forward_count(head, target.model)
        prepared = Prepared(call.codec, anthropic.COUNT_PATH, patch.join(fields), [])
        try:
            reply = await send(call, client, candidate, prepared)
            try:
                return anthropic.decode_count(await reply.read(ANSWER_LIMIT))
            finally:
                reply.close()
        except UpstreamError as error:
            if error.kind == "invalid":
                raise
        except ValueError:
            continue
    return None


def estimate(chat: Chat) -> int:
    """A guess on the safe side: system, turns, tools and images counted."""
    size = sum(len(block.text.encode()) for block in chat.system)
    size += sum(_bytes(turn.blocks) for turn in chat.turns)
    for tool in chat.tools:
        size += len(tool.name) + len((tool.description or "").encode())
        size += sum(len(bytes(raw)) for raw in (tool.parameters, tool.opaque) if raw is not None)
    images = sum(_images(turn.blocks) for turn in chat.turns)
    overhead = TOKENS_PER_TURN * len(chat.turns) + TOKENS_PER_TOOL * len(chat.tools)
    return round(size / BYTES_PER_TOKEN + 0.5) + images * TOKENS_PER_IMAGE + overhead


def _bytes(blocks: Iterable[Block]) -> int:
    size = 0
    for block in blocks:
        match block:
            case Text() | Refusal() | Thinking():
                size += len(block.text.encode())
            case ToolCall():
                size += len(block.name) + len(block.arguments.encode())
            case ToolResult():
                size += _bytes(block.blocks)
            case Document():
                # base64 takes four bytes for three, and a page of text is far smaller than its file
                size += len((block.text or "").encode()) + len(block.data or "") // 8
            case _:
                pass
    return size


def _images(blocks: Iterable[Block]) -> int:
    return sum(
        1 if isinstance(block, Image) else _images(block.blocks) if isinstance(block, ToolResult) else 0
        for block in blocks
    )
