"""The files here and at a git remote come to the same, and what differs on both sides is told and never overwritten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from support.git_server import TOKEN, GitServer

from omniroute.errors import Conflict, Unavailable
from omniroute.secret import Secret
from omniroute.services.sync import Outcome, Side, Sync, SyncConflict, members
from omniroute.upstream.git import GitRemote
from omniroute.upstream.remote import Moved, Proposed, Tip

MAIN = "config/omniroute.yaml"
START = {MAIN: "version: 1\ninclude: [../policies/*.yaml]\n", "policies/a.yaml": "policies: {}\n"}


class Folder:
    """The files of a configuration, in memory."""

    main = MAIN

    def __init__(self, files: Mapping[str, str]) -> None:
        self.texts = dict(files)
        self.refusing = False
        self.written = 0

    def files(self) -> dict[str, bytes]:
        return {name: text.encode() for name, text in self.texts.items()}

    async def write(self, changes: Mapping[str, bytes | None], seen: Mapping[str, bytes]) -> str:
        assert seen == self.files()
        if self.refusing:
            raise Conflict("these files make no gateway")
        for name, content in changes.items():
            if content is None:
                del self.texts[name]
            else:
                self.texts[name] = content.decode()
        self.written += 1
        return "r1"


class Pair:
    """A folder and a remote, and what keeps them in step."""

    def __init__(self, server: GitServer, store: Path, files: Mapping[str, str], path: str = "") -> None:
        self.folder = Folder(files)
        self.remote = GitRemote(server.url, "main", "omniroute", Secret(TOKEN), path, lambda: 1.7e9)
        self.sync = Sync(self.folder, lambda: self.remote, store / "sync", lambda: 1.7e9)

    def run(self, keep: Side = ""):
        return asyncio.run(self.sync.run("key admin", keep))


@pytest.fixture
def server(tmp_path: Path):
    with GitServer(tmp_path) as server:
        yield server


@pytest.fixture
def pair(server: GitServer, tmp_path: Path) -> Pair:
    made = Pair(server, tmp_path / "one", START)
    made.run()
    return made


def test_the_first_run_fills_an_empty_remote(server: GitServer, pair: Pair):
    assert server.files() == START
    assert server.log() == ["key admin|Change config/omniroute.yaml, policies/a.yaml"]
    assert (pair.run().pushed, pair.run().pulled) == ([], [])
    assert len(server.log()) == 1


def test_what_changes_here_goes_there(server: GitServer, pair: Pair):
    pair.folder.texts[MAIN] += "# more\n"
    pair.folder.texts["policies/b.yaml"] = "policies: {b: {}}\n"
    del pair.folder.texts["policies/a.yaml"]
    assert pair.run().pushed == [MAIN, "policies/a.yaml", "policies/b.yaml"]
    assert server.files() == pair.folder.texts


def test_what_changes_there_comes_here(server: GitServer, pair: Pair):
    server.commit({"policies/b.yaml": "policies: {b: {}}\n", "policies/a.yaml": None})
    outcome = pair.run()
    assert (outcome.pulled, outcome.pushed) == (["policies/a.yaml", "policies/b.yaml"], [])
    assert pair.folder.texts == server.files()
    assert pair.folder.written == 1


def test_changes_of_different_files_are_exchanged(server: GitServer, pair: Pair):
    server.commit({"policies/a.yaml": "policies: {theirs: {}}\n"})
    pair.folder.texts[MAIN] += "# mine\n"
    outcome = pair.run()
    assert (outcome.pulled, outcome.pushed) == (["policies/a.yaml"], [MAIN])
    assert server.files() == pair.folder.texts
    assert "theirs" in pair.folder.texts["policies/a.yaml"]


def test_a_conflict_is_told_with_its_diff_and_nothing_is_written(server: GitServer, pair: Pair):
    server.commit({MAIN: f"{START[MAIN]}# theirs\n", "policies/a.yaml": "policies: {x: {}}\n"})
    pair.folder.texts[MAIN] += "# mine\n"
    there, here = server.files(), dict(pair.folder.texts)
    with pytest.raises(SyncConflict) as told:
        pair.run()
    (difference,) = told.value.differences
    assert difference.name == MAIN
    assert "-# mine\n+# theirs\n" in difference.diff
    assert (server.files(), pair.folder.texts) == (there, here)
    assert "config/omniroute.yaml" in pair.sync.last_error


@pytest.mark.parametrize(("keep", "word"), [("local", "mine"), ("remote", "theirs")])
def test_a_conflict_is_decided_by_who_says_so(server: GitServer, pair: Pair, keep: Side, word: str):
    server.commit({MAIN: f"{START[MAIN]}# theirs\n"})
    pair.folder.texts[MAIN] += "# mine\n"
    pair.run(keep)
    assert server.files() == pair.folder.texts
    assert word in pair.folder.texts[MAIN]
    assert pair.sync.last_error == ""


def test_what_the_remote_holds_besides_is_left_alone(server: GitServer, pair: Pair):
    server.commit({".github/workflows/ci.yaml": "on: push\n", "README.md": "hello\n"})
    assert pair.run().pulled == []
    pair.folder.texts[MAIN] += "# more\n"
    pair.run()
    assert {".github/workflows/ci.yaml", "README.md"} <= server.files().keys()
    assert ".github/workflows/ci.yaml" not in pair.folder.texts


def test_files_that_make_no_gateway_change_nothing(server: GitServer, pair: Pair):
    server.commit({MAIN: "version: 2\n"})
    pair.folder.refusing = True
    before = pair.sync.base()
    with pytest.raises(Conflict):
        pair.run()
    assert pair.sync.base() == before
    pair.folder.refusing = False
    assert pair.run().pulled == [MAIN]


def test_two_instances_follow_each_other(server: GitServer, pair: Pair, tmp_path: Path):
    other = Pair(server, tmp_path / "two", START)
    other.run()
    pair.folder.texts[MAIN] += "# from the first\n"
    pair.run()
    other.run()
    assert other.folder.texts == pair.folder.texts
    other.folder.texts["policies/a.yaml"] += "# from the second\n"
    other.run()
    pair.run()
    assert other.folder.texts == pair.folder.texts


def test_a_fresh_instance_does_not_overwrite_what_is_there(server: GitServer, pair: Pair, tmp_path: Path):
    fresh = Pair(server, tmp_path / "two", {MAIN: "version: 1\n"})
    with pytest.raises(SyncConflict):
        fresh.run()
    fresh.run("remote")
    assert fresh.folder.texts == START


def test_a_folder_of_the_repository_can_be_meant(server: GitServer, tmp_path: Path):
    server.commit({"other/omniroute.yaml": "theirs\n"})
    pair = Pair(server, tmp_path / "one", START, "gateways/eu")
    pair.run()
    assert server.files().keys() == {"other/omniroute.yaml", *(f"gateways/eu/{name}" for name in START)}
    server.commit({f"gateways/eu/{MAIN}": f"{START[MAIN]}# more\n"})
    assert pair.run().pulled == [MAIN]


def test_a_remote_that_moves_meanwhile_is_not_overwritten(server: GitServer, pair: Pair):
    tip = pair.remote.fetch()
    server.commit({MAIN: "faster\n"})
    with pytest.raises(Moved):
        pair.remote.push(tip, {MAIN: b"slower\n"}, "late", "somebody")
    assert server.files()[MAIN] == "faster\n"


def test_what_fails_at_the_remote_is_told_without_the_token(server: GitServer, pair: Pair):
    wrong = GitRemote(server.url, "main", "omniroute", Secret("the-wrong-token"), "", lambda: 1.7e9)
    with pytest.raises(Unavailable) as refused:
        wrong.fetch()
    assert refused.value.fault.code == "remote_unauthorized"
    for status in (302, 403, 404, 500):
        server.failing = status
        with pytest.raises(Unavailable) as failed:
            pair.run()
        assert TOKEN not in str(failed.value)
    assert not any("elsewhere" in line for line in server.asked)
    server.failing = None
    pair.run()


def test_a_paused_sync_says_so_and_forgets_nothing(pair: Pair):
    before = pair.sync.base()
    pair.sync.pause(paused=True)
    assert pair.sync.base().paused
    pair.sync.pause(paused=False)
    assert pair.sync.base() == before


def test_a_lost_memory_makes_of_equal_files_no_conflict(pair: Pair, tmp_path: Path):
    (tmp_path / "one" / "sync").write_bytes(b"rubbish")
    assert (pair.run().pulled, pair.run().pushed) == ([], [])


@pytest.mark.parametrize(
    ("include", "found"),
    [
        ("[../policies/*.yaml]", ["policies/a.yaml"]),
        ("[more.yaml]", ["config/more.yaml"]),
        ("['*.yaml']", ["config/more.yaml"]),
        ("[]", []),
        ("7", []),
    ],
)
def test_the_files_of_a_configuration_are_those_that_it_includes(include: str, found: list[str]):
    files = dict.fromkeys(["policies/a.yaml", "policies/deep/b.yaml", "config/more.yaml", "ci.yaml"], b"")
    main = f"version: 1\ninclude: {include}\n".encode()
    if include == "7":
        main = b"version: 1\n"
    assert members({MAIN: main, **files}, MAIN) == [MAIN, *found]


# ------------------------------------------------------------------------------------------------------- by the clock


class Clocked(Pair):
    """Runs by a clock that a test sets, every minute."""

    def __init__(self, server: GitServer, store: Path, files: Mapping[str, str]) -> None:
        super().__init__(server, store, files)
        self.time = 1000.0
        self.every = 60.0
        self.chance = 0.0
        self.heard: list[Outcome | Exception] = []
        self.again(store)

    def again(self, store: Path) -> None:
        """As after a start of the process."""

        async def heard(told: Outcome | Exception) -> None:
            self.heard.append(told)

        self.sync = Sync(
            self.folder,
            lambda: self.remote,
            store / "clocked",
            lambda: self.time,
            lambda: self.every,
            heard,
            lambda: self.chance,
        )

    def later(self, seconds: float) -> None:
        self.time += seconds
        asyncio.run(self.sync.what_is_due())


def test_the_clock_makes_a_run_when_it_is_due_and_not_before(server: GitServer, tmp_path: Path):
    clocked = Clocked(server, tmp_path / "one", START)
    clocked.later(0)
    assert server.files() == START
    clocked.folder.texts[MAIN] += "# more\n"
    clocked.later(59)
    assert server.files() == START
    clocked.again(tmp_path / "one")
    clocked.later(0.5)
    assert server.files() == START, "a start is no reason for a run"
    clocked.later(1)
    assert server.files() == clocked.folder.texts
    assert [told.pushed for told in clocked.heard] == [[MAIN, "policies/a.yaml"], [MAIN]]
    clocked.later(60)
    assert len(clocked.heard) == 2, "of what changed nothing, nobody hears"


def test_the_clock_rests_where_it_is_told_to(server: GitServer, tmp_path: Path):
    clocked = Clocked(server, tmp_path / "one", START)
    clocked.sync.pause(paused=True)
    clocked.later(100)
    assert server.files() == {}
    clocked.sync.pause(paused=False)
    clocked.every = 0
    clocked.later(100)
    assert server.files() == {}
    clocked.every = 60
    clocked.later(0)
    assert server.files() == START


def test_a_run_by_the_clock_that_fails_is_heard_of_once_and_tried_again(server: GitServer, tmp_path: Path):
    clocked = Clocked(server, tmp_path / "one", START)
    clocked.later(0)
    server.commit({MAIN: "version: 2\n"})
    clocked.folder.refusing = True
    for _ in range(3):
        clocked.later(60)
    assert [str(told) for told in clocked.heard[1:]] == [clocked.sync.last_error]
    assert "make no gateway" in clocked.sync.last_error
    clocked.folder.refusing = False
    clocked.later(60)
    assert clocked.sync.last_error == ""
    assert clocked.heard[-1].pulled == [MAIN]


class Careful:
    """A remote that keeps what it is sent for somebody to merge."""

    name = "https://other.example"

    def __init__(self) -> None:
        self.files = {MAIN: START[MAIN].encode()}
        self.pushed: list[Mapping[str, bytes | None]] = []

    def fetch(self) -> Tip:
        return Tip("r1", dict(self.files))

    def push(self, onto: Tip, changes: Mapping[str, bytes | None], message: str, author: str) -> Tip:
        self.pushed.append(changes)
        raise Proposed("a commit was made of it")


def test_what_waits_to_be_merged_is_not_proposed_again(tmp_path: Path):
    remote, folder = Careful(), Folder({MAIN: START[MAIN]})
    sync = Sync(folder, lambda: remote, tmp_path / "careful", lambda: 1.7e9)
    asyncio.run(sync.run("key admin"))
    folder.texts[MAIN] += "# more\n"
    for _ in range(3):
        with pytest.raises(Proposed):
            asyncio.run(sync.run("omniroute"))
    assert len(remote.pushed) == 1
    folder.texts[MAIN] += "# and more\n"
    with pytest.raises(Proposed):
        asyncio.run(sync.run("omniroute"))
    assert len(remote.pushed) == 2
    remote.files = dict(folder.files())
    assert asyncio.run(sync.run("omniroute")).pushed == []


def test_the_clock_runs_while_its_context_lasts(server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("omniroute.services.sync.LOOK", 0.01)
    clocked = Clocked(server, tmp_path / "one", START)

    async def a_while() -> None:
        async with clocked.sync.by_the_clock():
            for _ in range(500):
                if clocked.heard:
                    break
                await asyncio.sleep(0.02)

    asyncio.run(a_while())
    assert server.files() == START


def test_gateways_that_start_together_do_not_all_ask_at_once(server: GitServer, tmp_path: Path):
    clocked = Clocked(server, tmp_path / "one", START)
    clocked.later(0)
    clocked.chance = 0.5
    clocked.again(tmp_path / "one")
    clocked.folder.texts[MAIN] += "# more\n"
    clocked.later(62)
    assert server.files() == START
    clocked.later(2)
    assert server.files() == clocked.folder.texts


def test_the_clock_goes_on_after_a_failure_that_nobody_expected(
    server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("omniroute.services.sync.LOOK", 0.01)
    clocked = Clocked(server, tmp_path / "one", START)
    write, clocked.every = clocked.sync._write, 0.001

    def broken(_base: object) -> None:
        raise ValueError("what no library should do")

    async def a_while() -> None:
        async with clocked.sync.by_the_clock():
            monkeypatch.setattr(clocked.sync, "_write", broken)
            await until(lambda: clocked.sync.last_error != "")
            assert clocked.sync.last_error == "ValueError: what no library should do"
            clocked.time += 60
            await asyncio.sleep(0.05)
            clocked.time += 60
            monkeypatch.setattr(clocked.sync, "_write", write)
            await until(lambda: clocked.sync.last_error == "")

    async def until(true: Callable[[], bool]) -> None:
        for _ in range(500):
            clocked.time += 1
            if true():
                return
            await asyncio.sleep(0.02)
        raise AssertionError("it did not come to that")

    asyncio.run(a_while())
    assert server.files() == START
    assert caplog.text.count("ValueError: what no library should do") == 1
