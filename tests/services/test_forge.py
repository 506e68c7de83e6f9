"""In `mode: git` a change becomes a commit on a branch of its own, and nothing else moves."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.git_server import TOKEN, GitServer, git

from omniroute.errors import Conflict, Unavailable
from omniroute.secret import Secret
from omniroute.services.forge import Forge
from omniroute.upstream.git import GitRemote

NOW = 1_764_000_000.0
TEXT = "version: 1  # ours\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "omniroute.yaml").write_text(TEXT)
    (folder / "README.md").write_text("hello\n")
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "First")
    return folder


def proposed(checkout: Path, remote: GitRemote | None = None, text: str = "version: 1  # theirs\n") -> str:
    main = checkout / "config" / "omniroute.yaml"
    forge = Forge(main, lambda: remote, lambda: NOW)
    return forge.propose({main: text.encode()}, "key team-a", "combos.update coding", "Changed: combos.coding")


def test_a_change_is_one_commit_on_what_is_checked_out(checkout: Path):
    branch = proposed(checkout)
    assert branch.startswith("omniroute/20251124-160000-combos-update-coding-")
    assert git(checkout, "show", f"{branch}:config/omniroute.yaml") == "version: 1  # theirs"
    assert git(checkout, "show", f"{branch}:README.md") == "hello"
    log = git(checkout, "log", "-1", "--format=%an|%s|%b|%P", branch)
    assert log == f"key team-a|combos.update coding|Changed: combos.coding\n|{git(checkout, 'rev-parse', 'main')}"
    git(checkout, "fsck", "--strict")


def test_what_is_checked_out_stays_as_it_is(checkout: Path):
    proposed(checkout)
    assert (checkout / "config" / "omniroute.yaml").read_text() == TEXT
    assert git(checkout, "status", "--porcelain") == ""
    assert git(checkout, "branch", "--show-current") == "main"


def test_two_changes_do_not_know_each_other(checkout: Path):
    one, other = proposed(checkout), proposed(checkout, text="version: 1  # another\n")
    assert git(checkout, "rev-parse", f"{one}~1") == git(checkout, "rev-parse", f"{other}~1")


def test_the_branch_is_pushed_where_a_remote_is_declared(checkout: Path, tmp_path: Path):
    with GitServer(tmp_path) as server:
        branch = proposed(checkout, GitRemote(server.url, "main", "omniroute", Secret(TOKEN), "", lambda: NOW))
        assert server.files(branch)["config/omniroute.yaml"] == "version: 1  # theirs\n"


def test_a_branch_that_cannot_be_pushed_is_not_there(checkout: Path, tmp_path: Path):
    with GitServer(tmp_path) as server:
        server.failing = 500
        with pytest.raises(Unavailable):
            proposed(checkout, GitRemote(server.url, "main", "omniroute", Secret(TOKEN), "", lambda: NOW))
    assert git(checkout, "branch", "--format=%(refname:short)") == "main"


def test_changes_made_by_hand_are_not_carried_along(checkout: Path):
    (checkout / "config" / "omniroute.yaml").write_text("version: 1  # by hand\n")
    with pytest.raises(Conflict, match="not committed"):
        proposed(checkout)


def test_files_in_no_repository_and_one_without_a_commit_are_told(tmp_path: Path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "omniroute.yaml").write_text(TEXT)
    with pytest.raises(Conflict, match="in none"):
        proposed(tmp_path)
    git(tmp_path, "init", "--quiet")
    with pytest.raises(Conflict, match="no commit yet"):
        proposed(tmp_path)
