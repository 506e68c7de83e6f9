from __future__ import annotations

from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniroute.errors import BadRequest, Unauthenticated
from omniroute.routing.credential import LONGEST_KEY, extract, owner
from omniroute.routing.tables import Principal

KEY = "sk-omni-0123456789"
WHO = Principal(name="a", roles=frozenset({"client"}), allow=None, expires=2_000.0, tags={})
GATEWAY: Any = SimpleNamespace(principals={sha256(KEY.encode()).digest(): WHO})


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([(b"authorization", b"Bearer sk-1")], b""),
        ([(b"authorization", b"bearer   sk-1 ")], b""),
        ([(b"x-api-key", b"sk-1")], b""),
        ([(b"x-goog-api-key", b" sk-1")], b""),
        ([], b"alt=sse&key=sk-1"),
        ([], b"key=sk%2D1"),
        ([(b"x-api-key", b"sk-1"), (b"authorization", b"Bearer sk-1")], b"key=sk-1"),
        ([(b"x-api-key", b"sk-1"), (b"authorization", b"Bearer anonymous")], b""),
        ([(b"authorization", b"Bearer anonymous"), (b"x-api-key", b"sk-1")], b"key=anonymous"),
        ([(b"x-api-key", b"anonymous")], b"key=sk-1"),
    ],
)
def test_a_key_is_found_wherever_clients_put_it(headers: list[tuple[bytes, bytes]], query: bytes):
    assert extract(headers, query) == "sk-1"


def test_no_key_is_none():
    assert extract([(b"cookie", b"key=sk-1"), (b"x-key", b"sk-1")], b"monkey=sk-1") is None


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([(b"authorization", b"Bearer anonymous")], b""),
        ([(b"x-api-key", b"anonymous")], b"key=anonymous"),
    ],
)
def test_a_client_that_must_send_something_can_say_that_it_has_no_key(headers: list[tuple[bytes, bytes]], query: bytes):
    assert extract(headers, query) is None


@pytest.mark.parametrize("text", [b"Anonymous", b"anonymous2", b"none", b"unused"])
def test_any_other_word_is_a_key(text: bytes):
    assert extract([(b"x-api-key", text)], b"") == text.decode()


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([(b"authorization", b"Bearer one"), (b"x-api-key", b"two")], b""),
        ([(b"x-api-key", b"one"), (b"authorization", b"Bearer anonymous")], b"key=two"),
        ([(b"x-api-key", b"one"), (b"x-api-key", b"two")], b""),
        ([(b"x-api-key", b"one")], b"key=two"),
        ([(b"x-api-key", b"one")], b"key="),
        ([], b"key=one&key=two"),
    ],
)
def test_two_different_keys_are_refused(headers: list[tuple[bytes, bytes]], query: bytes):
    with pytest.raises(BadRequest, match="two different keys"):
        extract(headers, query)


@pytest.mark.parametrize("value", [b"", b"Bearer", b"Bearer ", b"Basic abc", b"sk-1", b"Bearer\tsk-1"])
def test_an_authorization_that_is_no_bearer_is_refused(value: bytes):
    with pytest.raises(Unauthenticated):
        extract([(b"authorization", value)], b"")


def test_a_key_has_its_owner_until_it_expires():
    assert owner(GATEWAY, KEY, 1_999.9) is WHO
    with pytest.raises(Unauthenticated, match="expired"):
        owner(GATEWAY, KEY, 2_000.0)


NEAR = st.sampled_from(
    [
        KEY[:-1],
        KEY + " ",
        " " + KEY,
        KEY.upper(),
        KEY + "\x00",
        KEY.replace("o", "\u043e"),
        sha256(KEY.encode()).hexdigest(),
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.one_of(NEAR, st.text(), st.text(min_size=LONGEST_KEY, max_size=LONGEST_KEY + 50)))
def test_only_the_exact_key_has_an_owner(key: str):
    if key != KEY:
        with pytest.raises(Unauthenticated):
            owner(GATEWAY, key, 0.0)


def test_a_key_of_a_mebibyte_is_refused_unread():
    with pytest.raises(Unauthenticated, match="not an API key"):
        owner(GATEWAY, "x" * 1024 * 1024, 0.0)
