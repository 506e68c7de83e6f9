"""Golden files: what the code says now is compared with what was reviewed; `--update-goldens` writes it down anew."""

import pytest


def pytest_addoption(parser):
    parser.addoption("--update-goldens", action="store_true", help="write golden files instead of comparing with them")


@pytest.fixture
def golden(request):
    update = request.config.getoption("--update-goldens")

    def compare(path, text):
        if update:
            path.write_bytes(text.encode())
        assert path.exists(), f"{path} is not there: review and write it with --update-goldens"
        assert text == path.read_bytes().decode()

    return compare
