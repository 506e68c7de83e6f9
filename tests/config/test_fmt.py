"""`omniroute fmt`: which files, what is written, and how it ends."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys

import pytest

from omniroute import cli

LOOSE = "providers: {demo: {}}   # one\nversion: 1\ninclude: [parts/*.yaml]\n"
TIDY = "version: 1\ninclude: [parts/*.yaml]\nproviders: {demo: {}}   # one\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMNIROUTE_CONFIG", "omniroute.yaml")
    (tmp_path / "omniroute.yaml").write_text(LOOSE)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.yaml").write_text("aliases:\n    fast:   demo/echo\n")
    return tmp_path


def test_without_files_the_main_one_and_its_includes_are_laid_out(folder, capsys):
    assert cli.main(["fmt"]) == 0
    assert (folder / "omniroute.yaml").read_text() == TIDY
    assert (folder / "parts" / "a.yaml").read_text() == "aliases:\n  fast: demo/echo\n"
    assert capsys.readouterr().err == "laid out omniroute.yaml\nlaid out parts/a.yaml\n"
    assert cli.main(["fmt"]) == 0
    assert capsys.readouterr().err == ""


def test_check_names_the_files_and_writes_nothing(folder, capsys):
    assert cli.main(["fmt", "--check"]) == 1
    assert capsys.readouterr().out == "omniroute.yaml\nparts/a.yaml\n"
    assert (folder / "omniroute.yaml").read_text() == LOOSE
    cli.main(["fmt"])
    assert cli.main(["fmt", "--check"]) == 0


def test_diff_shows_what_git_applies(folder, capsys):
    assert cli.main(["fmt", "--diff"]) == 0
    diff = capsys.readouterr().out
    assert (folder / "omniroute.yaml").read_text() == LOOSE
    subprocess.run(["git", "apply", "-"], input=diff.encode(), check=True, timeout=20)
    assert (folder / "omniroute.yaml").read_text() == TIDY


def test_standard_input_goes_to_standard_output(monkeypatch, capfdbinary):
    for given, made in ((LOOSE, TIDY), (TIDY, TIDY)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        assert cli.main(["fmt", "-"]) == 0
        assert capfdbinary.readouterr().out == made.encode()


def test_a_file_that_is_no_yaml_is_told_and_the_others_are_laid_out(folder, capsys):
    (folder / "parts" / "b.yaml").write_text("a: [\n")
    assert cli.main(["fmt"]) == 1
    assert "parts/b.yaml:1:5: error OR004" in capsys.readouterr().err
    assert (folder / "parts" / "b.yaml").read_text() == "a: [\n"
    assert (folder / "omniroute.yaml").read_text() == TIDY


def test_a_file_that_cannot_be_laid_out_is_left_alone(folder, capsys):
    text = f"version: 1\naliases:\n    ? {'x' * 1200}\n    : demo/echo\n"
    (folder / "omniroute.yaml").write_text(text)
    assert cli.main(["fmt", "omniroute.yaml"]) == 1
    assert "omniroute.yaml: this file cannot be laid out" in capsys.readouterr().err
    assert (folder / "omniroute.yaml").read_text() == text


def test_a_file_keeps_its_mode_its_mark_and_its_line_ends(folder):
    file = folder / "omniroute.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + LOOSE.replace("\n", "\r\n").encode())
    file.chmod(0o640)
    link = folder / "link.yaml"
    link.symlink_to(file)
    assert cli.main(["fmt", "link.yaml"]) == 0
    assert file.read_bytes() == b"\xef\xbb\xbf" + TIDY.replace("\n", "\r\n").encode()
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o640  # noqa: PTH116
    assert link.is_symlink()


def test_a_file_that_is_not_there_is_told(folder, capsys):
    assert cli.main(["fmt", "nothing.yaml"]) == 1
    assert "nothing.yaml:1:1: error OR001" in capsys.readouterr().err
