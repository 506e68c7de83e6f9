"""Coverage-guided fuzzing of everything that reads untrusted bytes, by hand: `python tests/fuzz/fuzz.py TARGET
[libFuzzer's options]`, with `atheris` installed (`pip install atheris`); without a target it lists them.

A target's seeds are what the tests have recorded. What is found becomes a test before it is mended.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "formats")]

import atheris  # noqa: E402
import msgspec  # noqa: E402

with atheris.instrument_imports(include=["omniroute"]):
    import hostile
    from swaps import ODD, TEXTS

    from omniroute.errors import CallError
    from omniroute.formats import dialects, schemas
    from omniroute.formats.codecs import CHAT, CLIENTS, COUNTING
    from omniroute.formats.embeddings import EMBEDDINGS
    from omniroute.formats.framing import NDJSON, SSE
    from omniroute.formats.images import IMAGES
    from omniroute.formats.images import openai as images_openai
    from omniroute.formats.ir import Raw
    from omniroute.formats.multipart import Limits, Multipart, boundary_of
    from omniroute.formats.transcription import request as transcriptions
    from omniroute.formats.transcription import sound
    from omniroute.formats.unary import Moment

Target = Callable[[bytes], None]
Seeds = Callable[[], list[bytes]]
MOMENT = Moment(1, 0.5)


# ---------------------------------------------------------------------------------------------------------- targets


def request(client: str) -> Target:
    def one(data: bytes) -> None:
        hostile.asked(client, data)
        if client in COUNTING:
            hostile.counted(client, data)

    return one


def stream(upstream: str) -> Target:
    def one(data: bytes) -> None:
        cut = data[0] * 257 % len(data) if data else 0
        pieces = [data[:cut], data[cut:]]
        for client in hostile.ENCODERS:
            assert hostile.is_legal(client, upstream, pieces) == hostile.is_legal(client, upstream, [data])
        hostile.is_handed_on(upstream, pieces)

    return one


def reply(upstream: str) -> Target:
    def one(data: bytes) -> None:
        hostile.answered(upstream, data)
        hostile.refused(upstream, 400, data)

    return one


def form(data: bytes) -> None:
    limits = Limits(file_bytes=4096, file_fields=frozenset({"file"}), field_bytes=1024, parts=8)
    split, data = data[:1], data[1:]
    size = (split[0] if split else 0) or len(data) or 1
    try:
        boundary_of(data[:100])
        reader = Multipart("b", limits)
        parts = []
        for at in range(0, len(data), size):
            parts += reader.feed(data[at : at + size])
        reader.close()
        transcriptions.decode(parts)
    except CallError:
        pass


def heard(data: bytes) -> None:
    seconds = sound.duration(data)
    assert seconds is None or seconds > 0
    with suppress(CallError):
        sound.check(data, "a.mp3")


def schema(data: bytes) -> None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(value, dict):
        return
    for dialect in DIALECTS:
        out, losses = schemas.fit(Raw(data), dialect, "place")
        told = hostile.is_json(bytes(out))
        assert isinstance(told, dict)
        if all(loss.code != "schema_malformed" for loss in losses):
            again, _ = schemas.fit(out, dialect, "place")
            assert bytes(again) == bytes(out), (dialect, losses)


def framing(data: bytes) -> None:
    split, data = data[:1], data[1:]
    size = (split[0] if split else 0) or 1
    for kind in (SSE, NDJSON):
        whole = kind()
        records = whole.feed(data) + whole.close()
        cut = kind()
        pieces = []
        for at in range(0, len(data), size):
            pieces += cut.feed(data[at : at + size])
        assert pieces + cut.close() == records


def embedding(name: str) -> Target:
    codec = EMBEDDINGS[name]

    def one(data: bytes) -> None:
        wanted, _, answer = data.partition(b"\n\n")
        for path in ("m:embedContent", "m:batchEmbedContents") if name == "gemini" else ("",):
            try:
                head = codec.peek(wanted, path, b"")
                asked = codec.decode_request(head)
                hostile.is_json(hostile.patch.join(codec.forward(head, "m").fields))
            except CallError as refusal:
                hostile.is_refusal("openai_chat", refusal)
                continue
            for upstream in EMBEDDINGS.values():
                try:
                    hostile.is_json(hostile.patch.join(upstream.encode_request(asked, "m").fields))
                except CallError as refusal:
                    hostile.is_refusal("openai_chat", refusal)
                try:
                    told = upstream.decode_reply(answer, asked)
                    hostile.is_sane(told.usage)
                    if told.fault is None:
                        hostile.is_json(codec.encode_reply(told, asked, head, MOMENT).body)
                        if upstream is codec:
                            hostile.is_json(codec.relabel(answer, told, asked, head, MOMENT).body)
                except ValueError:
                    pass

    return one


def image(data: bytes) -> None:
    wanted, _, answer = data.partition(b"\n\n")
    codec = images_openai
    try:
        head = codec.peek(wanted)
        asked = codec.decode_request(head)
        codec.forward(head, "m")
    except CallError as refusal:
        hostile.is_refusal("openai_chat", refusal)
        return
    for upstream in IMAGES.values():
        try:
            hostile.is_json(hostile.patch.join(upstream.encode_request(asked, "m").fields))
        except CallError as refusal:
            hostile.is_refusal("openai_chat", refusal)
        try:
            told = upstream.decode_reply(answer, asked)
            hostile.is_sane(told.usage)
            if told.fault is None:
                hostile.is_json(codec.encode_reply(told, asked, head, MOMENT).body)
        except ValueError:
            pass


DIALECTS = [one for one in vars(dialects).values() if isinstance(one, dialects.Dialect)]
EMBED = {
    "openai": (
        b'{"model":"m","input":["a",[1,2]],"dimensions":3,"encoding_format":"base64"}',
        b'{"data":[{"embedding":[0.5,1],"index":0},{"embedding":"AAAAPw==","index":1}],"model":"x","usage":{"prompt_tokens":3}}',
    ),
    "gemini": (
        b'{"requests":[{"content":{"parts":[{"text":"a"}]},"taskType":"X","outputDimensionality":3}],"content":{"parts":[{"text":"a"}]}}',
        b'{"embedding":{"values":[1.5]},"usageMetadata":{"promptTokenCount":3}}',
    ),
    "ollama": (
        b'{"model":"m","input":["a"],"truncate":true,"dimensions":3}',
        b'{"embeddings":[[1,2.5]],"model":"x","prompt_eval_count":2}',
    ),
}
DRAWN = b'{"model":"m","prompt":"a","n":1,"size":"1024x1024","quality":"high","response_format":"url"}\n\n{"created":1,"data":[{"b64_json":"aGk=","url":"https://x/y.png"}],"usage":{"input_tokens":3,"output_tokens":4}}'
FORMS = b'-b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x08\0data\4\0\0\0\0\0\0\0\r\n--b--\r\n'


def _values(found: dict[str, bytes]) -> Seeds:
    return lambda: list(found.values())


def _tools() -> list[bytes]:
    found = []
    for body in hostile.requests("openai_chat").values():
        for tool in json.loads(body).get("tools") or ():
            parameters = tool.get("function", {}).get("parameters")
            if parameters:
                found.append(json.dumps(parameters).encode())
    found.append(
        b'{"$defs":{"a":{"anyOf":[{"type":"string"},{"type":"null"}]}},"type":"object","properties":{"x":{"$ref":"#/$defs/a"},"y":{"oneOf":[{"const":1},{"enum":["a",null]}]}},"required":["x"],"allOf":[{"if":{"required":["x"]},"then":{}}],"additionalProperties":{"type":"integer","format":"int32"}}'
    )
    return found


def _sounds() -> list[bytes]:
    return [
        path.read_bytes()[:20000]
        for path in (ROOT / "tests").rglob("*")
        if path.suffix in (".mp3", ".wav", ".ogg", ".flac", ".m4a", ".webm", ".mp4")
    ] or [FORMS[97:]]


TARGETS: dict[str, tuple[Target, Seeds]] = {
    **{f"request:{name}": (request(name), _values(hostile.requests(name))) for name in CLIENTS},
    **{f"stream:{name}": (stream(name), _values(hostile.streams(name))) for name in CHAT},
    **{f"reply:{name}": (reply(name), _values(hostile.replies(name))) for name in CHAT},
    **{f"embed:{name}": (embedding(name), _values({"": b"\n\n".join(EMBED[name])})) for name in EMBEDDINGS},
    "images": (image, _values({"": DRAWN})),
    "form": (form, _values({"": b"\x07-" + FORMS})),
    "audio": (heard, _sounds),
    "schema": (schema, _tools),
    "framing": (framing, _values({name: b"\x05" + one for name, one in hostile.streams("openai_chat").items()})),
}


# ---------------------------------------------------------------------------------------------------------- mutation


def _spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """All places in a value: what holds it, and under which key."""
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _spots(inner)


def _shaken(value: Any, chance: random.Random) -> Any:
    """A JSON value with a few of its nodes changed, moved, doubled or gone."""
    for _ in range(chance.randint(1, 3)):
        spots = list(_spots(value)) if isinstance(value, dict | list) else []
        if not spots:
            return value
        holder, key = chance.choice(spots)
        match chance.randrange(6):
            case 0:
                del holder[key]
            case 1:
                other, place = chance.choice(spots)
                if place in other if isinstance(other, dict) else place < len(other):
                    holder[key] = json.loads(json.dumps(other[place]))
            case 2:
                holder[key] = chance.choice(TEXTS)
            case 3 if isinstance(holder, dict):
                holder[chance.choice([*map(str, holder), "type", "id", "x"])] = holder.pop(key)
            case 4 if isinstance(holder, list):
                holder.insert(key, holder[key])
            case _:
                holder[key] = json.loads(json.dumps(chance.choice(ODD)))
    return value


def mutate(data: bytes, most: int, seed: int) -> bytes:
    """libFuzzer's own mutations in a third of cases, else those of the JSON in it, line by line."""
    chance = random.Random(seed)
    if chance.random() < 0.35:
        return atheris.Mutate(data, most)
    lines = data.split(b"\n")
    at = chance.randrange(len(lines))
    match chance.randrange(8):
        case 0 if len(lines) > 1:
            del lines[at]
        case 1 if len(lines) > 1:
            other = chance.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        case 2:
            lines[at:at] = [lines[at], b""]
        case _:
            name, sign, rest = lines[at].partition(b"data: ")
            try:
                value = json.loads(rest if sign else lines[at])
                out = json.dumps(_shaken(value, chance), ensure_ascii=chance.random() < 0.5)
            except (ValueError, RecursionError, TypeError):
                return atheris.Mutate(data, most)
            lines[at] = (name + sign if sign else b"") + out.encode("utf-8", "surrogatepass")
    return b"\n".join(lines)[:most]


def readable(target: Target) -> Target:
    """The target but for numbers like `1e400`: they are handed on as they came, and the automata cannot read them."""

    def one(data: bytes) -> None:
        try:
            target(data)
        except msgspec.ValidationError as error:
            if "out of range" not in str(error):
                raise

    return one


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        print("\n".join(TARGETS))
        return
    target, seeds = TARGETS[sys.argv.pop(1)]
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds()):
            (Path(folder) / f"{number}").write_bytes(seed)
        options = ["-max_len=20000", "-timeout=5", "-rss_limit_mb=1024"]
        atheris.Setup([sys.argv[0], *options, *sys.argv[1:], folder], readable(target), custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
