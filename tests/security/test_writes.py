"""Many editors at once, and edits while clients call models: nothing is lost, nothing fails, nobody waits for long.

A few seconds of what `tests/reliability/editors.py` and `tests/reliability/writes.py` do for as long as one likes
(docs/reliability.md has what that gave). The bounds of time are those of the least of several edits, so that what else
the machine does is not held against the gateway.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from reliability import editors

BENCH = Path(__file__).parents[2] / "bench"
SECONDS = 3.0


def test_fifty_editors_lose_no_update_and_the_file_is_sound_at_every_moment():
    told = editors.run(SECONDS, 50)
    assert told.wrong == []
    assert told.writes > 20
    assert told.stale > 0, "nobody was in anybody's way"
    assert sum(told.counted) > 0
    assert told.looks > 0


def test_no_request_fails_while_the_configuration_is_edited(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(BENCH))
    told = importlib.import_module("reliability.writes").run(SECONDS, connections=8, rate=20, alone=6)
    assert (told.failures, told.wrong) == ([], [])
    assert told.answers > 100
    assert len(told.waits) > 2
    assert min(told.alone) < 0.250
    assert min(told.beside) - min(told.idle) < 0.020
