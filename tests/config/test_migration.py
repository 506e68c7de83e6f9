"""Migrations: the frame with a made-up one, and what is said where there is nothing to do."""

from __future__ import annotations

import pytest

from omniroute import cli
from omniroute.config import migration
from omniroute.document import Document, Rename, Set
from omniroute.errors import ConfigError

OLD = """\
version: 1   # of the language
# where
nodes:       # once called so
  demo: {type: demo}
"""
NEW = """\
version: 3   # of the language
# where
providers:       # once called so
  demo: {type: demo}
aliases:
  fast: demo/echo
"""
MADE_UP = {
    1: lambda document: [Rename(("nodes",), "providers")] if "nodes" in document.data else [],
    2: lambda document: [Set(("aliases", "fast"), "demo/echo")] if "providers" in document.data else [],
}


def said(text: str, current: int = 1) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        migration.version_of(Document.parse(text, "file"), current=current)
    problem = caught.value.problems[0]
    return problem.code, problem.message


def test_each_step_is_made_in_every_file_and_keeps_its_comments():
    documents = [Document.parse(OLD, "main"), Document.parse("# a part\nnodes: {}\n", "part")]
    main, part = migration.migrated(documents, migrations=MADE_UP, current=3)
    assert main.text == NEW
    assert part.data == {"providers": {}, "aliases": {"fast": "demo/echo"}}
    assert part.text.startswith("# a part\nproviders: {}\n")


def test_what_is_current_stays_as_it_is():
    document = Document.parse("version: 3\nproviders: {}\n", "main")
    assert migration.migrated([document], migrations=MADE_UP, current=3) == [document]


def test_versions_that_cannot_be_migrated_are_told():
    assert said("version: 4\n", 3) == ("OR104", "version 4 is newer than this program, which knows 3")
    assert said("providers: {}\n") == ("OR102", "the file does not say which version of the language it is in")
    for version in ("0", "one", "1.0", "true", "[1]"):
        assert said(f"version: {version}\n")[0] == "OR104"


def test_the_table_leads_from_every_version_to_the_current_one():
    assert set(migration.MIGRATIONS) == set(range(1, migration.CURRENT))


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "omniroute.yaml"
    path.write_text("version: 1\nproviders: {demo: {}}\n")
    return path


def test_the_command_says_that_there_is_nothing_to_do(file, capsys):
    assert cli.main(["migrate", "-c", "omniroute.yaml", "--check"]) == 0
    assert "is in the current version of the language, 1" in capsys.readouterr().err
    file.write_text("version: 7\n")
    assert cli.main(["migrate", "-c", "omniroute.yaml"]) == 1
    assert "version 7 is newer than this program" in capsys.readouterr().err


def test_the_command_writes_what_a_migration_makes(file, monkeypatch, capsys):
    step = {0: lambda _: [Set(("aliases", "fast"), "demo/echo")]}
    monkeypatch.setattr(migration, "version_of", lambda *_, **__: 0)
    monkeypatch.setattr(migration.migrated, "__kwdefaults__", {"migrations": step, "current": 1})
    assert cli.main(["migrate", "-c", "omniroute.yaml", "--diff"]) == 0
    assert "+  fast: demo/echo" in capsys.readouterr().out
    assert cli.main(["migrate", "-c", "omniroute.yaml", "--check"]) == 1
    assert "fast" not in file.read_text()
    assert cli.main(["migrate", "-c", "omniroute.yaml"]) == 0
    assert file.read_text() == "version: 1\nproviders: {demo: {}}\naliases:\n  fast: demo/echo\n"


def test_a_migration_that_makes_no_sound_file_writes_nothing(file, monkeypatch, capsys):
    step = {0: lambda _: [Set(("nothing",), 1)]}
    monkeypatch.setattr(migration, "version_of", lambda *_, **__: 0)
    monkeypatch.setattr(migration.migrated, "__kwdefaults__", {"migrations": step, "current": 1})
    before = file.read_text()
    assert cli.main(["migrate", "-c", "omniroute.yaml"]) == 1
    assert "OR101" in capsys.readouterr().err
    assert file.read_text() == before
