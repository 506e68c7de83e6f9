"""Answers at random: sequences of events as the laws in `ir.py` allow them, told the way upstreams tell them."""

import msgspec

from omniroute.formats.ir import (
    Audio,
    BlockStop,
    Finish,
    Image,
    Media,
    Opaque,
    Raw,
    RefusalDelta,
    Start,
    TextDelta,
    ThinkingDelta,
    ToolDelta,
    ToolStart,
    Usage,
    UsageSeen,
)

WORDS = (
    "",
    "a",
    "Hello",
    " you",
    "\n\n",
    'quo"te',
    "back\\slash",
    "日本語",
    "👩‍👩‍👧",
    "\u2028",
    "data: [DONE]",
    '"type":"error"',
)
REASONS = ("stop", "stop_sequence", "length", "tool_calls", "content_filter", "refusal", "pause", "context_window")
JSON = ("{}", '{"a":1}', '{"text": "é \\"q\\" \\n", "list": [1, {"b": null}]}', '{"cut": "of', "", "[1]", "not json")
MEDIA = (
    Image(media_type="image/png", data="aGk="),
    Audio("aGk=", "wav"),
    Opaque(
        "anthropic", "web_search_tool_result", Raw(b'{"type":"web_search_tool_result","tool_use_id":"s","content":[]}')
    ),
    Opaque("openai_chat", "odd", Raw(b'{"type":"odd"}')),
    Opaque(
        "openai_responses",
        "web_search_call",
        Raw(b'{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"q"}}'),
    ),
    Opaque("gemini", "executableCode", Raw(b'{"executableCode":{"language":"PYTHON","code":"print(1)"}}')),
)


def story(random):
    """A legal sequence of events with a finish."""
    events = [Start("msg_theirs", "theirs")]
    spent = usage(random)
    if random.random() < 0.3:
        events.append(UsageSeen(msgspec.structs.replace(spent, output=1, reasoning=0)))
    open_calls, calls = [], 0
    for _ in range(random.randrange(9)):
        move = random.random()
        if move < 0.35:
            events += _said(random)
        elif move < 0.5:
            events += _thought(random)
        elif move < 0.6:
            events.append(Media(random.choice(MEDIA)))
        elif move < 0.8 or not open_calls:
            custom = random.random() < 0.1
            events.append(ToolStart(calls, f"call_{calls}", random.choice(("f", "get_weather")), custom))
            open_calls.append([calls, _pieces(random, random.choice(JSON))])
            calls += 1
        for call in list(open_calls):
            index, pieces = call
            while pieces and random.random() < 0.6:
                events.append(ToolDelta(index, pieces.pop(0)))
            if not pieces and random.random() < 0.5:
                events.append(BlockStop(index))
                open_calls.remove(call)
    for index, pieces in open_calls:
        events += [ToolDelta(index, piece) for piece in pieces]
        if random.random() < 0.5:
            events.append(BlockStop(index))
    if random.random() < 0.7:
        events.append(UsageSeen(spent))
    reason = random.choice(REASONS)
    return [*events, Finish(reason, ", 3" if reason == "stop_sequence" else None)]


def usage(random):
    cached, written, long = (random.choice((0, random.randrange(10_000))) for _ in range(3))
    return Usage(
        input=random.randrange(1000) + cached + written + long,
        output=random.randrange(1, 1000),
        cached=cached,
        cache_write=written,
        cache_write_1h=long,
        reasoning=random.choice((0, random.randrange(100))),
    )


def _said(random):
    delta = RefusalDelta if random.random() < 0.15 else TextDelta
    return _ended(random, [delta(random.choice(WORDS)) for _ in range(random.randrange(1, 5))])


def _thought(random):
    issuer = random.choice(("anthropic", "openai_chat", "openai_responses", "gemini", None))
    if random.random() < 0.2:
        return [ThinkingDelta(redacted="c2VhbGVk", issuer=issuer or "anthropic")]
    events = [ThinkingDelta(random.choice(WORDS), issuer=issuer) for _ in range(random.randrange(1, 4))]
    if issuer is not None and random.random() < 0.6:
        return [*events, ThinkingDelta(signature="c2lnbmF0dXJl", issuer=issuer), BlockStop()]
    return _ended(random, events)


def _ended(random, events):
    return [*events, BlockStop()] if random.random() < 0.6 else events


def _pieces(random, text):
    """A text cut at random places."""
    cuts = sorted(random.randrange(len(text) + 1) for _ in range(random.randrange(4)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
