"""What the tests of a command-line tool stand on: the tool, a gateway, and a desk for the tool to work at."""

from __future__ import annotations

import pytest
from agents.tools import Desk, installed
from support.rig import Rig
from support.tap import Tap
from support.upstream import Upstream


@pytest.fixture(scope="session")
def tools():
    return installed()


@pytest.fixture(scope="module")
def rig(tools):
    with Rig(aliases=", claude-house: anth/chat, js-anth: anth/chat, js-open: open/chat") as one:
        yield one


@pytest.fixture
def desk(tools, rig, tmp_path):
    with Tap(rig.gateway.port) as tap, Upstream() as fence:
        yield Desk(tools, tmp_path, tap, fence)
