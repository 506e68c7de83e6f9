from __future__ import annotations

from collections.abc import Iterator

import pytest
import shared
from support.gateway import Gateway


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    with shared.gateway() as one:
        yield one
