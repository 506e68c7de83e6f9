"""The list of models: the same bytes for all who may use all, and never those of another configuration."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from omniroute.catalog import Model
from omniroute.errors import BadRequest
from omniroute.relay import headers, listing
from omniroute.routing.patterns import compile_pattern
from omniroute.routing.tables import ANONYMOUS, Listed, Principal, Revision

FORMATS = ("openai_chat", "anthropic", "gemini")


@pytest.fixture(autouse=True)
def no_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "whole", lambda _call, _length, _type: [])


def snapshot(*names: str) -> Any:
    lines = tuple(Listed(id=name, owned_by="demo", facts=Model(id=name, kind="chat")) for name in names)
    return SimpleNamespace(revision=Revision(digest="d", generation=1, source="s", loaded_at=0.0), models=lines)


def body(gateway: Any, form: str, principal: Principal = ANONYMOUS, query: bytes = b"") -> bytes:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    call: Any = SimpleNamespace(
        gateway=gateway,
        principal=principal,
        codec=SimpleNamespace(NAME=form),
        endpoint=SimpleNamespace(operation="models"),
        path="",
        scope={"query_string": query},
        send=send,
        claim=None,
    )
    client: Any = None
    asyncio.run(listing.models(call, client, b""))
    return next(message["body"] for message in sent if "body" in message)


def ids(answer: bytes) -> list[str]:
    told = msgspec.json.decode(answer)
    return [line.get("id") or line["baseModelId"] for line in told.get("data") or told["models"]]


@pytest.mark.parametrize("form", FORMATS)
def test_the_whole_list_is_built_once_for_a_snapshot(form: str):
    gateway = snapshot("a", "b")
    first = body(gateway, form)
    assert ids(first) == ["a", "b"]
    assert body(gateway, form) is first


def test_each_format_has_its_own_list():
    gateway = snapshot("a")
    assert b'"object":"list"' in body(gateway, "openai_chat")
    assert b'"has_more":false' in body(gateway, "anthropic")
    assert b'"object":"list"' in body(gateway, "openai_chat")


@pytest.mark.parametrize("form", FORMATS)
def test_another_snapshot_has_another_list(form: str):
    assert ids(body(snapshot("a"), form)) == ["a"]
    assert ids(body(snapshot("b"), form)) == ["b"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_caller_with_an_allow_list_sees_its_own_models_only(form: str):
    gateway = snapshot("a", "b")
    limited = msgspec.structs.replace(ANONYMOUS, allow=(compile_pattern("b"),))
    assert ids(body(gateway, form)) == ["a", "b"]
    assert ids(body(gateway, form, limited)) == ["b"]
    assert ids(body(gateway, form)) == ["a", "b"]


def pages(form: str, first: str, following: str, names: str = "abcde") -> list[list[str]]:
    """All pages of a list, as a client walks through them."""
    gateway, query, seen = snapshot(*names), first, []
    while True:
        answer = body(gateway, form, query=query.encode())
        told = msgspec.json.decode(answer)
        seen.append(ids(answer))
        if not (told.get("has_more") or told.get("nextPageToken")):
            return seen
        query = f"{first}&{following}={told.get('last_id') or told['nextPageToken']}"


def test_a_list_is_given_in_pages_where_its_format_has_them():
    assert pages("anthropic", "limit=2", "after_id") == [["a", "b"], ["c", "d"], ["e"]]
    assert pages("gemini", "pageSize=2", "pageToken") == [["a", "b"], ["c", "d"], ["e"]]
    assert pages("gemini", "pageSize=5", "pageToken") == [["a", "b", "c", "d", "e"]]
    assert pages("openai_chat", "limit=2", "after") == [["a", "b", "c", "d", "e"]]


def test_a_page_may_be_asked_for_backwards():
    gateway = snapshot(*"abcde")
    answer = msgspec.json.decode(body(gateway, "anthropic", query=b"limit=2&before_id=d"))
    assert [line["id"] for line in answer["data"]] == ["b", "c"]
    assert (answer["has_more"], answer["first_id"], answer["last_id"]) == (True, "b", "c")


@pytest.mark.parametrize(
    ("form", "query", "param"),
    [
        ("anthropic", b"limit=0", "limit"),
        ("anthropic", b"limit=x", "limit"),
        ("anthropic", b"after_id=nobody", "after_id"),
        ("gemini", b"pageSize=1001", "pageSize"),
        ("gemini", b"pageSize=99999999999999999999", "pageSize"),
        ("gemini", b"pageSize=0000000011", "pageSize"),
        ("anthropic", b"limit=000000001" + b"0" * 5000, "limit"),
        ("gemini", b"pageToken=nobody", "pageToken"),
    ],
)
def test_a_page_that_is_none_is_refused_with_its_name(form: str, query: bytes, param: str):
    with pytest.raises(BadRequest) as refused:
        body(snapshot("a"), form, query=query)
    assert refused.value.fault.param == param


def test_gemini_s_list_says_what_a_model_can_be_asked_for():
    (line,) = msgspec.json.decode(body(snapshot("a"), "gemini"))["models"]
    assert line["name"] == "models/a"
    assert line["supportedGenerationMethods"] == ["generateContent", "streamGenerateContent", "countTokens"]
