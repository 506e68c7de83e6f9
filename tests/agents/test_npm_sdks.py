"""The official SDKs for JavaScript before a provider of each format: what they send, hear and raise, where they are other
programs than the ones for Python."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from agents.npm import CLIENTS, WAYS, Asking, Node, SDKError
from relay.test_sdk_answers import (
    CALLING,
    DONE,
    FINISHES,
    HARD,
    REFUSED,
    SCHEMAS,
    SEALED,
    SIGNATURE,
    SPENT,
    TELLS,
)
from relay.test_sdk_errors import BREAKS, LONG, REFUSALS, Refusal, breaking
from relay.test_sdk_features import FEATURES
from support.history import question
from support.providers import VOICES, Call, Says, Spent, provider_of, refusing, saying, stream_of, streamed
from support.rig import FORMATS, MODELS, NODE, UPSTREAM_MODEL, Rig
from support.sdks import Failed
from support.upstream import Asked, Script

GOLDENS = Path(__file__).parents[1] / "relay" / "features"
PAIRS = [(client, upstream) for client in CLIENTS for upstream in FORMATS]
MATRIX = [(*pair, way) for pair in PAIRS for way in WAYS]
pairs = pytest.mark.parametrize(("client", "upstream"), PAIRS)
matrix = pytest.mark.parametrize(("client", "upstream", "way"), MATRIX)
streams = pytest.mark.parametrize(("client", "upstream", "way"), [cell for cell in MATRIX if cell[2] != "whole"])
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def wait_for(what: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not what() and time.monotonic() < deadline:
        time.sleep(0.002)
    return what()


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig(providers="\n  demo: {type: demo}") as one:
        yield one


@pytest.fixture(scope="module")
def node(tools: Path, rig: Rig) -> Iterator[Node]:
    with Node(tools, rig.gateway.url) as one:
        yield one


def ask(node: Node, client: str, upstream: str, way: str = "whole", said: str = "Hello", **more: Any) -> Asking:
    return node.ask(client, way, **({"model": MODELS[upstream]} | question(client, said) | more))


def failing(asking: Asking) -> Failed:
    """The failure of a request, by an error of the SDK's own."""
    with pytest.raises(SDKError) as raised:
        asking.value()
    return raised.value.failed


# ----------------------------------------------------------------------------------------------------------- answers


@matrix
def test_text_arrives_under_the_name_that_was_asked_for(rig: Rig, node: Node, client: str, upstream: str, way: str):
    rig.script(Says(text="Hello there, how are you?"))
    heard = ask(node, client, upstream, way, headers={"X-Request-Id": "mine-1"}).heard()
    assert heard.text == "Hello there, how are you?"
    assert heard.finish == DONE[client]
    assert heard.models == {MODELS[upstream]}
    assert heard.spent == Spent(prompt=11, answer=7)
    assert (heard.thinking, heard.refusal, heard.calls, heard.signatures) == ("", "", [], [])
    if way != "helper" or client in ("anthropic", "gemini"):  # OpenAI's helpers do not show them
        assert heard.headers["x-request-id"] == "mine-1"
        assert heard.headers["x-omniroute-provider"] == NODE[upstream]
        assert heard.headers["x-omniroute-model"] == UPSTREAM_MODEL[upstream]


@streams
def test_text_survives_a_cut_through_its_characters(rig: Rig, node: Node, client: str, upstream: str, way: str):
    rig.script(saying(Says(text=HARD, thinking=HARD[::-1], size=3), bytes_a_write=5))
    asking = ask(node, client, upstream, way)
    heard = asking.heard()
    assert heard.text == asking.text == HARD
    assert heard.thinking == HARD[::-1]


@matrix
def test_reasoning_is_visible_and_a_signature_is_its_issuers(
    rig: Rig, node: Node, client: str, upstream: str, way: str
):
    rig.script(Says(thinking="First this, then that.", signature=SIGNATURE, text="Done.", size=4))
    heard = ask(node, client, upstream, way).heard()
    assert (heard.thinking, heard.text) == ("First this, then that.", "Done.")
    sealed = SEALED.get((client, upstream))
    assert heard.signatures[-1:] == ([sealed] if sealed else [])


@pytest.mark.parametrize(("client", "upstream"), [pair for pair in REFUSED if pair[0] in CLIENTS])
def test_a_refusal_in_words_is_heard(rig: Rig, node: Node, client: str, upstream: str):
    no = "I will not help with that."
    rig.script(Says(refusal=no))
    for way in WAYS:
        heard = ask(node, client, upstream, way).heard()
        assert (heard.refusal, heard.text, heard.finish) == REFUSED[client, upstream]


@pytest.mark.parametrize(
    ("client", "upstream", "reason"),
    [(client, upstream, reason) for client, upstream in PAIRS for reason in FINISHES[upstream]],
)
def test_every_finish_reason_is_told_in_the_clients_words(
    rig: Rig, node: Node, client: str, upstream: str, reason: str
):
    calls = (CLOCK,) if reason in CALLING.values() and reason not in DONE.values() else ()
    sequence = "END" if reason == "stop_sequence" else None
    rig.script(Says(text="So far", calls=calls, finish=reason, stop_sequence=sequence))
    for way in WAYS:
        heard = ask(node, client, upstream, way).heard()
        assert heard.finish == FINISHES[upstream][reason][FORMATS.index(client)]
        assert heard.stop_sequence == (sequence if client == "anthropic" else None)
        assert heard.text == "So far"


@matrix
def test_usage_is_told_with_all_that_the_client_has_a_place_for(
    rig: Rig, node: Node, client: str, upstream: str, way: str
):
    spent = SPENT[upstream]
    rig.script(Says(text="Hello", spent=spent))
    heard = ask(node, client, upstream, way).heard().spent
    assert heard is not None
    for name in TELLS[client] - {"written", "written_1h"}:
        assert getattr(heard, name) == getattr(spent, name), name
    if "written" in TELLS[client]:
        assert heard.written == spent.written + spent.written_1h


@pytest.mark.parametrize("stream", [False, True])
@pairs
def test_the_parsing_helpers_read_json_of_any_upstream(
    rig: Rig, node: Node, client: str, upstream: str, *, stream: bool
):
    rig.script(Says(text='{"city": "Zürich"}', size=3))
    assert ask(node, client, upstream, "typed", schema=CITY, stream=stream).value() == {"city": "Zürich"}
    schema = SCHEMAS[upstream](rig.asked.json)
    assert schema["properties"].keys() == {"city"}
    assert schema["required"] == ["city"]


def test_answers_that_are_under_way_together_do_not_mix(rig: Rig, node: Node):
    def echoing(asked: Asked) -> Script:
        said = ASKED.findall(asked.body)[-1].decode()
        return saying(
            Says(text=f"{said} " * 9, calls=(Call("call_1", "echo", json.dumps({"told": said})),)), gap=0.001
        )(asked)

    rig.script(echoing)
    under_way = {}
    for client, upstream, way in MATRIX:
        said = f"{client} before {upstream} for {way}"
        under_way[said] = ask(node, client, upstream, way, said)
    for said, asking in under_way.items():
        heard = asking.heard()
        assert heard.text == f"{said} " * 9
        assert heard.calls[0][1:] == ("echo", {"told": said})


ASKED = re.compile(rb"\w+ before \w+ for \w+")


# ------------------------------------------------------------------------------------------------------------- tools

WEATHER = Call("call_a1", "weather", '{"city": "Zürich", "days": [1, 2.50, null], "deep": {"a": {"b": "\\u00e9\\n"}}}')
CLOCK = Call("call_b2", "clock", "{}")
SEARCH = Call("call_c3", "search", '{"query": "\\"quoted\\" \\\\ text", "limit": 9007199254740991}')
"""Numbers as far as JavaScript has them."""


def told(*calls: Call) -> list[Any]:
    """What a client hears of calls."""
    return [(call.id, call.name, json.loads(call.arguments)) for call in calls]


@matrix
def test_a_tool_call_arrives_with_its_arguments(rig: Rig, node: Node, client: str, upstream: str, way: str):
    rig.script(Says(text="Let me look.", calls=(WEATHER,), size=3))
    heard = ask(node, client, upstream, way).heard()
    assert heard.text == "Let me look."
    assert heard.calls == told(WEATHER)
    assert heard.finish == CALLING[client]


@matrix
def test_parallel_calls_keep_order_ids_and_arguments(rig: Rig, node: Node, client: str, upstream: str, way: str):
    rig.script(saying(Says(calls=(WEATHER, CLOCK, SEARCH), size=2), bytes_a_write=23))
    heard = ask(node, client, upstream, way).heard()
    assert heard.calls == told(WEATHER, CLOCK, SEARCH)
    assert (heard.text, heard.finish) == ("", CALLING[client])


RESULTS: dict[str, Any] = {
    "openai": lambda body: [(one["tool_call_id"], one["content"]) for one in body["messages"] if one["role"] == "tool"],
    "responses": lambda body: [
        (one["call_id"], one["output"]) for one in body["input"] if one.get("type") == "function_call_output"
    ],
    "anthropic": lambda body: [
        (block["tool_use_id"], block["content"] if isinstance(block["content"], str) else block["content"][0]["text"])
        for message in body["messages"]
        for block in message["content"]
        if isinstance(block, dict) and block["type"] == "tool_result"
    ],
    "gemini": lambda body: [
        (part["functionResponse"]["id"], part["functionResponse"]["response"]["output"])
        for content in body["contents"]
        for part in content["parts"]
        if "functionResponse" in part
    ],
    "ollama": lambda body: [
        (one.get("tool_call_id"), one["content"]) for one in body["messages"] if one["role"] == "tool"
    ],
}
"""The results of tools that a request carries, by the ids of their calls."""


@pytest.mark.parametrize("stream", [False, True])
@pairs
def test_a_loop_of_tool_calls_runs_to_its_end(rig: Rig, node: Node, client: str, upstream: str, *, stream: bool):
    """By the package's own runner, where it has one."""
    cities = ("Zürich", "Bern")
    asked = tuple(Call(f"call_{n}", "weather", json.dumps({"city": city})) for n, city in enumerate(cities))
    first = Says(thinking="I need the weather.", signature=SIGNATURE, text="One moment.", calls=asked)

    def script(asked: Asked) -> Script:
        results = RESULTS[provider_of(asked)](asked.json)
        return saying(Says(text="Sunny in both.") if results else first)(asked)

    rig.script(script)
    ended = ask(node, client, upstream, "loop", schema=CITY, stream=stream).value()
    assert ended["ran"] == [{"city": city} for city in cities]
    assert ended["text"].endswith("Sunny in both.")
    found = RESULTS[upstream](rig.upstream.asked[-1].json)
    assert [text for _, text in found] == [f"Sunny in {city}" for city in cities]
    assert len({ident for ident, _ in found}) == 2


# --------------------------------------------------------------------------------------------------------- requests


WRITTEN: dict[str, Callable[[str], Any]] = {
    "arguments": json.loads,
    "data": lambda text: text.translate(str.maketrans("-_", "+/")),
}
"""Fields that the two SDKs of a kind write in different ways: how JSON is spaced, and which alphabet base64 is in."""


def comparable(value: Any, name: str = "") -> Any:
    """What a body says, with names in the one spelling of the two that Google takes."""
    if isinstance(value, dict):
        camel = {key: re.sub("_([a-z])", lambda found: found[1].upper(), key) for key in value}
        return {camel[key]: comparable(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [comparable(one) for one in value]
    return WRITTEN[name](value) if name in WRITTEN and isinstance(value, str) else value


@pytest.mark.parametrize(
    ("name", "client"), [(name, client) for name, asked in FEATURES.items() for client in CLIENTS if client in asked]
)
def test_a_feature_reaches_every_provider_as_from_the_sdk_for_python(rig: Rig, node: Node, name: str, client: str):
    expected = json.loads((GOLDENS / f"{name.replace(' ', '_').replace(':', '')}.{client}.json").read_bytes())
    for upstream in FORMATS:
        rig.script(Says(text="Fine."))
        asking = node.ask(client, "whole", model=MODELS[upstream], **FEATURES[name][client])
        if "refused" in expected[upstream]:
            assert failing(asking).message == expected[upstream]["refused"]
            assert rig.upstream.asked == []
            continue
        heard = asking.heard()
        losses = sorted(filter(None, heard.headers.get("x-omniroute-losses", "").split(", ")))
        sent = {"path": rig.asked.path, "body": rig.asked.json} | ({"losses": losses} if losses else {})
        assert comparable(sent) == comparable(expected[upstream]), upstream


# ----------------------------------------------------------------------------------------------- the other endpoints


@pytest.mark.parametrize("client", ["openai", "anthropic", "gemini"])
def test_the_list_of_models_is_read_to_its_end(rig: Rig, node: Node, client: str):
    names = node.ask(client, "models").value()
    if client == "gemini":
        assert all(name.startswith("models/") for name in names)
    assert {*MODELS.values()} <= {name.removeprefix("models/") for name in names}


@pytest.mark.parametrize("upstream", FORMATS)
@pytest.mark.parametrize("client", ["anthropic", "gemini"])
def test_tokens_are_counted_before_any_upstream(rig: Rig, node: Node, client: str, upstream: str):
    few, many = (ask(node, client, upstream, "count", said).value() for said in ("Hello", "Hello there. " * 50))
    assert 0 < few < many


@pytest.mark.parametrize("client", ["openai", "gemini"])
def test_vectors_are_the_ones_that_the_sdk_for_python_reads(rig: Rig, node: Node, client: str):
    texts = ["Grüße", "Hello there"]
    asked: dict[str, Any] = {"model": "demo/embed", "input": texts, "dimensions": 8}
    expected = [one.embedding for one in rig.sdks["openai"].client.embeddings.create(**asked).data]
    found = node.ask(client, "vectors", **asked).value()
    assert found == [pytest.approx(vector, abs=1e-6) for vector in expected]


# ---------------------------------------------------------------------------------------------------------- failures

NAMES = {"APIStatusError": "APIError", "ClientError": "ApiError", "ServerError": "ApiError"}
"""The classes of errors that have another name in JavaScript."""


def raised_by(client: str, refusal: Refusal) -> str:
    name = refusal.raised_by(client)
    return NAMES.get(name, name)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: str(refusal.status))
@pairs
def test_a_refusal_keeps_its_class_and_says_who_spoke(
    rig: Rig, node: Node, client: str, upstream: str, refusal: Refusal
):
    rig.script(refusing(refusal.status, refusal.type_of(upstream) or "", "No such thing here.", retry_after="7"))
    for way in WAYS:
        error = failing(ask(node, client, upstream, way))
        assert error.name == raised_by(client, refusal)
        assert error.status == refusal.status
        assert error.message == f"[{NODE[upstream]}] No such thing here."
        if client in (upstream, "gemini"):
            assert error.type == refusal.type_of(client)
        if client != "gemini":  # whose errors have no headers
            assert error.headers["x-request-id"]
            assert error.headers["x-omniroute-provider"] == NODE[upstream]
            assert error.headers["retry-after"] == "7"
    assert len(rig.upstream.asked) == len(WAYS)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_retry_waits_as_long_as_it_is_told_and_succeeds(rig: Rig, node: Node, client: str):
    came: dict[str, list[float]] = {upstream: [] for upstream in FORMATS}

    def script(asked: Asked) -> Script:
        times = came[provider_of(asked)]
        times.append(time.monotonic())
        if len(times) == 1:
            return refusing(429, "rate_limit_error", "Slow down.", retry_after="1")(asked)
        return saying(Says(text="Here I am."))(asked)

    rig.script(script)
    asking = [ask(node, client, upstream, way, retries=1) for upstream, way in zip(FORMATS, cycle(WAYS), strict=False)]
    assert [one.heard().text for one in asking] == ["Here I am."] * len(FORMATS)
    for first, second in came.values():
        # Google's package has waits of its own.
        assert second - first < 1.0 if client == "gemini" else 1.0 <= second - first < 3.0


BROKEN = {"openai": "APIError", "responses": "Broken", "anthropic": "APIError", "gemini": "ApiError"}
"""The error that ends a stream."""


@pytest.mark.parametrize("broken", BREAKS)
@streams
def test_a_stream_that_breaks_ends_as_the_sdks_error(
    rig: Rig, node: Node, client: str, upstream: str, way: str, broken: str
):
    hold: Future[None] = Future()
    rig.script(lambda asked: breaking(upstream, broken, hold))
    asking = ask(node, client, upstream, way)
    assert asking.spoken.wait(5)
    hold.set_result(None)
    error = failing(asking)
    assert asking.text == "This is "
    assert error.name == BROKEN[client]
    assert error.message.startswith(f"[{NODE[upstream]}] ")
    if broken == "error event":
        assert error.message == f"[{NODE[upstream]}] Overloaded now"
        if client == upstream != "responses":
            assert error.type == (VOICES[upstream].OVERLOADED or None)


@pytest.mark.parametrize("upstream", FORMATS)
def test_a_stream_that_breaks_before_it_says_anything_is_an_error_too(rig: Rig, node: Node, upstream: str):
    rig.script(lambda asked: streamed(upstream, cut=True))
    for client in CLIENTS:
        for way in WAYS[1:]:
            assert failing(ask(node, client, upstream, way)).message.startswith(f"[{NODE[upstream]}] ")


ABORTED = dict.fromkeys(CLIENTS, "APIUserAbortError") | {"gemini": "DOMException"}
"""What a caller is told who aborts; Google's package leaves it at what `fetch` says."""


@matrix
def test_an_abort_by_the_client_ends_the_call_upstream(rig: Rig, node: Node, client: str, upstream: str, way: str):
    begun = [b"".join(list(stream_of(upstream, LONG))[:-6])]
    rig.script(lambda asked: Script(silent=True) if way == "whole" else streamed(upstream, *begun, hang=True))
    before = rig.upstream.hung_up
    asking = ask(node, client, upstream, way)
    if way == "whole":
        assert wait_for(lambda: rig.upstream.busy == 1)
    else:
        assert asking.spoken.wait(5)
    asking.abort()
    if way == "stream" and client != "gemini":  # these just end, as their packages mean it to be
        assert asking.heard().text.startswith("This is how")
    else:
        assert failing(asking).name == ABORTED[client]
    assert wait_for(lambda: rig.upstream.busy == 0)
    assert rig.upstream.hung_up == before + 1
