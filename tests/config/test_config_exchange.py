"""Files of the configuration are exchanged as a whole: from what was seen, checked, and in each mode as it says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from omniroute import catalog
from omniroute.config import bundle
from omniroute.config.exchange import Files
from omniroute.config.writer import Proposal
from omniroute.errors import ConfigError, ConfigLocked, Conflict

MAIN, MORE = "omniroute.yaml", "aliases.yaml"
TEXT = "version: 1\nmode: {mode}\ninclude: [aliases.yaml]\nproviders: {demo: {}}\n"


class House:
    """A configuration of two files, and what the gateway would have of it."""

    def __init__(self, folder: Path, mode: str = "local") -> None:
        self.folder = folder
        (folder / MAIN).write_text(TEXT.replace("{mode}", mode))
        (folder / MORE).write_text("aliases: {quick: demo/echo}\n")
        self.books = catalog.load()
        self.running = self.read(folder / MAIN)
        self.proposals: list[Proposal] = []
        self.files = Files(lambda: self.running, self.read, self.reload, self.commit, asyncio.Lock())

    def read(self, main: Path) -> bundle.Bundle:
        return bundle.read(main, self.books)

    async def reload(self):
        self.running = self.read(self.folder / MAIN)
        return ()

    async def commit(self, proposal: Proposal) -> str:
        self.proposals.append(proposal)
        return "omniroute/change"

    def on_disk(self) -> dict[str, str]:
        return {name: (self.folder / name).read_text() for name in (MAIN, MORE)}


def test_a_change_is_made_of_what_was_seen(tmp_path: Path):
    house = House(tmp_path)
    seen = house.files.files()
    revision = asyncio.run(house.files.write({MORE: b"aliases: {slow: demo/echo}\n"}, seen))
    assert revision == house.running.revision
    assert house.on_disk()[MORE] == "aliases: {slow: demo/echo}\n"


def test_an_edit_since_then_is_not_lost(tmp_path: Path):
    """Between the look at the remote and the lock, somebody else's edit is taken up."""
    house = House(tmp_path)
    seen = house.files.files()
    (tmp_path / MORE).write_text("aliases: {mine: demo/echo}\n")
    asyncio.run(house.reload())
    with pytest.raises(Conflict) as told:
        asyncio.run(house.files.write({MORE: b"aliases: {theirs: demo/echo}\n"}, seen))
    assert told.value.fault.code == "config_changed"
    assert house.on_disk()[MORE] == "aliases: {mine: demo/echo}\n"
    assert asyncio.run(house.files.write({MAIN: seen[MAIN] + b"# theirs\n"}, seen)), "another file is another matter"


def test_an_edit_that_is_on_disk_and_does_not_run_yet_is_not_lost_either(tmp_path: Path):
    house = House(tmp_path)
    seen = house.files.files()
    (tmp_path / MORE).write_text("aliases: {mine: demo/echo}\n")
    with pytest.raises(Conflict):
        asyncio.run(house.files.write({MORE: b"aliases: {theirs: demo/echo}\n"}, seen))
    assert house.on_disk()[MORE] == "aliases: {mine: demo/echo}\n"


def test_files_that_make_no_gateway_are_not_written(tmp_path: Path):
    house = House(tmp_path)
    before = house.on_disk()
    with pytest.raises(ConfigError) as told:
        asyncio.run(house.files.write({MORE: b"aliases: {quick: nobody/x}\n"}, house.files.files()))
    assert told.value.problems[0].file == str(tmp_path / MORE)
    assert house.on_disk() == before


def test_what_is_locked_stays(tmp_path: Path):
    house = House(tmp_path, "locked")
    with pytest.raises(ConfigLocked):
        asyncio.run(house.files.write({MORE: b"aliases: {}\n"}, house.files.files()))


def test_in_git_a_change_is_proposed_and_nothing_written(tmp_path: Path):
    house = House(tmp_path, "git")
    before, seen = house.on_disk(), house.files.files()
    with pytest.raises(Conflict) as told:
        asyncio.run(house.files.write({MORE: b"aliases: {}\n"}, seen))
    assert told.value.fault.code == "config_in_git"
    changes = {MORE: None, MAIN: b"version: 1\nmode: git\nproviders: {demo: {}}\n"}
    assert asyncio.run(house.files.propose(changes, seen, "key admin", "Fewer files")) == "omniroute/change"
    (proposal,) = house.proposals
    assert (proposal.author, proposal.reason) == ("key admin", "Fewer files")
    assert proposal.files == {tmp_path / MORE: None, tmp_path / MAIN: changes[MAIN]}
    assert "--- a/aliases.yaml\n+++ /dev/null\n" in proposal.diff
    assert "-include: [aliases.yaml]\n" in proposal.diff
    assert house.on_disk() == before
    with pytest.raises(ConfigError):
        asyncio.run(house.files.propose({MORE: b"aliases: {quick: nobody/x}\n"}, seen, "key admin", ""))
