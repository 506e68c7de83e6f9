"""What providers quote of a request is told without its secrets."""

from __future__ import annotations

import pytest

from omniroute.errors import Fault
from omniroute.routing.tables import Auth
from omniroute.secret import Secret
from omniroute.upstream.auth import conceal
from omniroute.upstream.client import LONGEST_MESSAGE, retold

KEY = "sk-live-0123456789abcdef"
AUTH = Auth(scheme="bearer", secret=Secret(KEY), besides=(Secret("team-token-of-ours"),))


def test_the_key_and_the_secrets_of_other_headers_are_taken_out():
    assert conceal(AUTH, f"no {KEY}, and no team-token-of-ours") == "no <secret>, and no <secret>"


@pytest.mark.parametrize("size", range(8, len(KEY)))
def test_the_beginning_of_a_key_at_the_end_of_a_text_is_taken_out_too(size: int):
    assert conceal(AUTH, f"no {KEY[:size]}") == "no <secret>"
    assert conceal(AUTH, f"no {KEY[:size]} here") == f"no {KEY[:size]} here", "only what was cut off ends there"


@pytest.mark.parametrize("before", range(LONGEST_MESSAGE - len(KEY) - 2, LONGEST_MESSAGE))
def test_a_message_that_is_cut_off_within_a_key_holds_no_part_of_it(before: int):
    once = retold(Fault(kind="server", status=500, message="x" * before + KEY + "y" * 99), "lab")
    told = retold(once, "lab", AUTH).message
    assert KEY[:8] not in told


def test_a_type_or_a_code_of_several_words_is_none():
    fault = Fault(kind="server", status=500, message="no", type="you said hello", code="tell me a tale")
    told = retold(fault, "lab")
    assert (told.type, told.code) == ("", None)
    fault = Fault(kind="server", status=500, message="no", type="server_error", code="E-17")
    assert (retold(fault, "lab").type, retold(fault, "lab").code) == ("server_error", "E-17")
