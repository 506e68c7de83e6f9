"""Every example is sound, starts, and its client prints what its README shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.gateway import ROOT, Gateway

from omniroute import catalog, cli
from omniroute.config import bundle

EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/omniroute.yaml"))
each = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)


def shown(example: Path) -> str:
    """What the README says that the client prints."""
    found = re.findall(r"^```text\n(.*?)^```", (example / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 1
    return found[0]


def commands(example: Path) -> list[list[str]]:
    """The lines that the README tells people to type."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (example / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return [line.split() for block in blocks for line in block.splitlines() if line]


def test_there_are_examples_and_each_is_complete():
    assert len(EXAMPLES) >= 3
    folders = [path for path in (ROOT / "examples").iterdir() if path.is_dir() and any(path.iterdir())]
    assert sorted(folders) == EXAMPLES
    for example in EXAMPLES:
        assert {"README.md", "client.py"} <= {path.name for path in example.iterdir()}


@each
def test_an_example_has_no_findings(example):
    assert bundle.read(example / "omniroute.yaml", catalog.load()).warnings == ()


@each
def test_what_a_readme_says_to_type_can_be_typed(example, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    verbs = set()
    for program, *arguments in commands(example):
        if program == "omniroute":
            verbs.add(arguments[0])
            if arguments[0] != "serve":
                assert cli.main(arguments) == 0, capsys.readouterr().err
            else:
                assert cli._parser().parse_args(arguments).config.is_file()
        else:
            assert program == "python"
            assert Path(arguments[0]).is_file()
    assert "serve" in verbs


@each
def test_the_client_of_an_example_prints_what_its_readme_shows(example):
    with Gateway(example / "omniroute.yaml") as gateway:
        client = subprocess.run(
            [sys.executable, example / "client.py"],
            env=os.environ | {"OMNIROUTE_URL": gateway.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert client.stderr == ""
    assert client.stdout == shown(example)
