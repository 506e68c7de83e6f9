from __future__ import annotations

import pytest

from omniroute.routing import request_id


def test_names_are_unique_and_sort_by_time():
    names = [request_id.new() for _ in range(1000)]
    assert len(set(names)) == 1000
    assert all(len(name) == 28 for name in names)
    assert [name[:12] for name in names] == sorted(name[:12] for name in names)


def test_a_client_names_its_own_request():
    assert request_id.given([(b"accept", b"*/*"), (b"x-request-id", b"job 7/3")]) == "job 7/3"
    assert request_id.given([(b"accept", b"*/*")]) == ""


@pytest.mark.parametrize("value", [b"", b"x" * 129, b"a\x1b[31m", b"\xc3\xbc", b"a\tb", b"a\r\nb: c", b"\x7f"])
def test_what_is_not_fit_for_a_header_and_a_log_is_not_taken(value: bytes):
    assert request_id.given([(b"x-request-id", value)]) == ""
