"""Whose request it is, to upstreams that take no long name."""

from __future__ import annotations

import hashlib

import pytest

from omniroute.formats.codecs import CHAT
from omniroute.formats.ir import Chat, Text, Turn

HELLO = (Turn("user", (Text("Hi"),)),)


@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses"])
@pytest.mark.parametrize("name", ["a" * 65, "user_" + "0" * 64 + "_account__session_0f", "\ud800" * 100])
def test_a_long_name_is_told_by_its_digest(upstream: str, name: str):
    fields, losses = CHAT[upstream].encode_request(Chat(HELLO, user=name), "gpt-5")
    assert fields["user"] == hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    assert len(fields["user"]) == 64
    assert [loss.code for loss in losses] == ["user"]


@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses"])
def test_a_name_that_fits_is_told_as_it_is(upstream: str):
    fields, losses = CHAT[upstream].encode_request(Chat(HELLO, user="a" * 64), "gpt-5")
    assert fields["user"] == "a" * 64
    assert losses == []
