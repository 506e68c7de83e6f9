from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from editing import Editor
from fake_application import Application, Browser


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def browser(application: Application) -> Browser:
    return Browser(application)


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Editor]:
    monkeypatch.setenv("LAB_KEY", "from-the-environment")
    one = Editor(tmp_path)
    yield one
    one.close()
