"""The list of models: the same bytes for all who may use all, and never those of another configuration."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from omniroute.catalog import Model
from omniroute.formats import CHAT
from omniroute.relay import headers, listing
from omniroute.routing.patterns import compile_pattern
from omniroute.routing.tables import ANONYMOUS, Listed, Principal, Revision

FORMATS = ("openai_chat", "anthropic")


@pytest.fixture(autouse=True)
def no_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "common", lambda _call: [])


def snapshot(*names: str) -> Any:
    lines = tuple(Listed(id=name, owned_by="demo", facts=Model(id=name, kind="chat")) for name in names)
    return SimpleNamespace(revision=Revision(digest="d", generation=1, source="s", loaded_at=0.0), models=lines)


def body(gateway: Any, form: str, principal: Principal = ANONYMOUS) -> bytes:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    call: Any = SimpleNamespace(
        gateway=gateway,
        principal=principal,
        codec=CHAT[form],
        path="",
        send=send,
    )
    client: Any = None
    asyncio.run(listing.models(call, client, b""))
    return next(message["body"] for message in sent if "body" in message)


def ids(answer: bytes) -> list[str]:
    return [line["id"] for line in msgspec.json.decode(answer)["data"]]


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
