"""Whose conversation a request belongs to, by what clients send."""

import msgspec
import pytest

from omniroute.formats.codec import Head
from omniroute.relay.session import session_of


def head(**fields):
    return Head(
        "m", stream=False, fields={name: msgspec.Raw(msgspec.json.encode(each)) for name, each in fields.items()}
    )


@pytest.mark.parametrize(
    ("headers", "fields", "name"),
    [
        ([], {}, ""),
        ([(b"x-session-id", b" s1 ")], {}, "s1"),
        ([(b"session_id", b"codex"), (b"x-session-id", b"own")], {"prompt_cache_key": "p"}, "own"),
        ([(b"x-claude-code-session-id", b"claude")], {}, "claude"),
        ([(b"session-id", b"new"), (b"session_id", b"old")], {}, "new"),
        ([(b"x-session-id", b"")], {"prompt_cache_key": "p"}, "p"),
        ([], {"prompt_cache_key": "p", "metadata": {"user_id": "u"}}, "p"),
        ([], {"prompt_cache_key": 5, "metadata": {"user_id": "user_x_account__session_y"}}, "y"),
        ([], {"metadata": {"user_id": '{"device_id": "d", "session_id": "z"}'}}, "z"),
        ([], {"metadata": {"user_id": "somebody"}}, "somebody"),
        ([], {"metadata": {"user_id": 7}}, ""),
        ([], {"metadata": "x"}, ""),
    ],
)
def test_a_session_is_named_by_a_header_or_by_the_clients_own_field(headers, fields, name):
    assert session_of(dict(headers), head(**fields)) == name


def test_a_request_without_a_head_has_no_fields():
    assert session_of({b"user-agent": b"curl/8"}, None) == ""
