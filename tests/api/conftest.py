from __future__ import annotations

import pytest
from fake_application import Application, Browser


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def browser(application: Application) -> Browser:
    return Browser(application)
