"""What a long conversation costs to read in one format and to write in another: `make bench-conversation`.

    python bench/conversation.py             the table, half a minute

One conversation of an agent with texts, thoughts, calls of tools and their results, 400 KiB in OpenAI's format and 1 KiB
a message, told in each format and translated to each other. CPU time of this process, the best of several rounds: no
sockets.
"""

import gc
import time

import msgspec

from omniroute.formats import patch
from omniroute.formats.codecs import CHAT
from omniroute.formats.ir import Chat, Text, Thinking, ToolCall, ToolResult, Turn

GOAL = 3.0
ROUNDS = 25
MODELS = {"openai_chat": "gpt-5", "openai_responses": "gpt-5", "anthropic": "claude-sonnet-4-5"}
SIZE = 400 * 1024
WORDS = "def handle(request):\n    return choose(request.model).send(request)  # the one that is chosen\n" * 30


def conversation(rounds: int) -> Chat:
    """Each round is four messages: asked, a call, what came of it, told."""
    turns: list[Turn] = []
    for number in range(rounds):
        call = f"call_{number:04}"
        arguments = msgspec.json.encode({"path": f"src/module_{number}.py", "limit": 200}).decode()
        turns += [
            Turn("user", (Text(WORDS[:300]),)),
            Turn("assistant", (Text("Let me look."), ToolCall(call, "read_file", arguments))),
            Turn("user", (ToolResult(call, (Text(WORDS),)),)),
            Turn("assistant", (Thinking("What is chosen?"), Text(WORDS[:700]))),
        ]
    return Chat(turns=tuple(turns), system=(Text("You are an agent."),))


def body(name: str, chat: Chat) -> bytes:
    fields, _ = CHAT[name].encode_request(chat, MODELS.get(name, "m"))
    return patch.join({**fields, "model": b'"m"'} if "model" not in fields else fields)


def translated(client: str, upstream: str, told: bytes) -> float:
    """Milliseconds."""
    codec, path = CHAT[client], "m:generateContent" if client == "gemini" else ""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.thread_time()
        chat = codec.decode_request(codec.peek(told, path))
        fields, _ = CHAT[upstream].encode_request(chat, MODELS.get(upstream, "m"))
        patch.join(fields)
        best = min(best, time.thread_time() - began)
    return best * 1e3


def main() -> None:
    rounds = 1
    while len(body("openai_chat", conversation(rounds))) < SIZE:
        rounds += 1
    chat = conversation(rounds)
    bodies = {name: body(name, chat) for name in CHAT}
    gc.collect()
    print(f"{4 * rounds} turns; ms, the goal is {GOAL:g}\n")
    print("| client | KiB |", " | ".join(CHAT), "|")
    print("|", " | ".join(["---", *["--:"] * (len(CHAT) + 1)]), "|")
    for client, told in bodies.items():
        cells = [
            f"({each:.1f})" if client == upstream else f"{each:.1f}"
            for upstream in CHAT
            for each in [translated(client, upstream, told)]
        ]
        print("|", " | ".join([client, f"{len(told) / 1024:.0f}", *cells]), "|")


if __name__ == "__main__":
    main()
