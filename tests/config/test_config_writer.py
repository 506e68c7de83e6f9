"""Changes that the gateway makes itself: on disk they are whole or not at all, and nobody's change is lost."""

from __future__ import annotations

import asyncio
import errno
import multiprocessing
import os
import re
import stat
import subprocess
import time
from contextlib import suppress

import pytest
from document import storm

from omniroute import catalog
from omniroute.app import Service
from omniroute.config import bundle, storage
from omniroute.config.overrides import Overrides
from omniroute.config.writer import Proposal, Writer, etag
from omniroute.document import Delete, Document, Rename, Set
from omniroute.errors import ConfigError, ConfigLocked, Conflict, EditRefused, StaleEdit, Unavailable

MAIN = """\
version: 1
include: [../policies/*.yaml]
server: {data_dir: "%s"}
# where models are
providers:
  demo: {type: demo}   # free
aliases:
  fast: demo/echo   # quick
"""
POLICY = "# ours\npolicies:\n  length:\n    rules: [{max_tokens: {output: 10}}]\n"
CATALOG = catalog.load()


@pytest.fixture
def main(tmp_path):
    for name, text in {"config/main.yaml": MAIN % (tmp_path / "data"), "policies/a.yaml": POLICY}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path / "config" / "main.yaml"


def writer(path, *, swapped=None, commit=None):
    """A writer of its own, whose snapshots are bundles."""

    async def swap(_, compiled):
        if swapped is not None:
            swapped.append(compiled)

    def read(**others):
        return bundle.read(path, CATALOG, insecure=True, **others)

    return Writer(path, read=read, check=lambda made: made, swap=swap, lock=asyncio.Lock(), commit=commit)


def edit(path, *edits, **others):
    """The outcome of an edit, made by a writer of its own."""
    return asyncio.run(writer(path).edit(lambda _: edits, **others))


def here(path):
    """All that is in the directories of the configuration, apart from the lock."""
    return sorted(
        str(each.relative_to(path.parents[1])) for each in path.parents[1].rglob("*.*") if each.suffix != ".lock"
    )


FILES = ["config/main.yaml", "policies/a.yaml"]


# ----------------------------------------------------------------------------------------------------------- what it does


def test_an_edit_is_written_told_as_a_diff_and_put_to_use(main):
    swapped = []
    before = main.read_text()
    made = asyncio.run(writer(main, swapped=swapped).edit(lambda _: [Set(("aliases", "fast"), "demo/agent")]))
    assert main.read_text() == before.replace("demo/echo", "demo/agent")
    assert made.changed
    assert made.files == ("config/main.yaml",)
    assert made.paths == ("aliases.fast",)
    assert made.rewritten == ()
    assert made.revision == swapped[0].digest[:12] == bundle.read(main, CATALOG).digest[:12]
    assert made.diff == (
        "--- a/config/main.yaml\n+++ b/config/main.yaml\n@@ -5,4 +5,4 @@\n providers:\n   demo: {type: demo}   # free\n"
        " aliases:\n-  fast: demo/echo   # quick\n+  fast: demo/agent   # quick\n"
    )
    assert here(main) == FILES


def test_an_object_is_edited_where_it_stands_and_a_new_one_goes_to_its_siblings(main):
    policy = main.parents[1] / "policies" / "a.yaml"
    before = main.read_bytes()
    made = edit(
        main,
        Set(("policies", "length", "rules", 0, "max_tokens", "output"), 20),
        Set(("policies", "short"), {"rules": [{"max_tokens": {"output": 5}}]}),
    )
    assert main.read_bytes() == before
    assert policy.read_text() == (
        "# ours\npolicies:\n  length:\n    rules: [{max_tokens: {output: 20}}]\n"
        "  short:\n    rules:\n      - max_tokens:\n          output: 5\n"
    )
    assert made.files == ("policies/a.yaml",)


def test_several_files_change_in_one_diff_that_git_takes(main):
    root = main.parents[1]
    old = {name: (root / name).read_bytes() for name in FILES}
    made = edit(
        main,
        Delete(("aliases", "fast")),
        Delete(("policies", "length")),
        Set(("combos", "c"), {"targets": ["demo/echo"]}),
    )
    new = {name: (root / name).read_bytes() for name in FILES}
    for name in FILES:
        (root / name).write_bytes(old[name])
    (root / "change.diff").write_text(made.diff)
    subprocess.run(["git", "apply", "--unsafe-paths", "change.diff"], cwd=root, check=True)
    assert {name: (root / name).read_bytes() for name in FILES} == new != old


def test_a_section_in_several_files_is_set_as_a_whole_where_each_of_its_objects_stands(main):
    second = main.parents[1] / "policies" / "b.yaml"
    second.write_text(POLICY.replace("length", "other"))
    made = bundle.read(main, CATALOG)
    policies = {"length": {"rules": [{"max_tokens": {"output": 7}}]}, "new": {"rules": [{"max_tokens": {"output": 9}}]}}
    edit(main, Set(("policies",), policies))
    made = bundle.read(main, CATALOG)
    assert sorted(made.spec.policies) == ["length", "new"]
    assert second.read_text() == "# ours\npolicies: {}\n"


def test_a_dry_run_says_all_and_writes_nothing(main):
    before = main.read_bytes()
    swapped = []
    dry = asyncio.run(writer(main, swapped=swapped).edit(lambda _: [Set(("aliases", "x"), "demo/echo")], dry_run=True))
    assert (main.read_bytes(), swapped, dry.changed) == (before, [], False)
    assert "+  x: demo/echo\n" in dry.diff
    assert list(main.parent.iterdir()) == [main]
    assert edit(main, Set(("aliases", "x"), "demo/echo")).diff == dry.diff


def test_an_edit_that_changes_nothing_is_none(main):
    before = main.stat()
    made = edit(main, Set(("aliases", "fast"), "demo/echo"))
    assert (made.changed, made.diff, main.stat().st_ino) == (False, "", before.st_ino)
    assert not edit(main).changed


@pytest.mark.parametrize(
    ("change", "code", "line"),
    [
        (Set(("aliases", "new"), "dmo/echo"), "OR202", 9),
        (Set(("alises",), {"a": "b"}), "OR101", 9),
        (Set(("server", "port"), "x"), "OR103", 3),
        (Delete(("version",)), "OR102", 1),
        (Rename(("providers", "demo"), "lab"), None, None),
    ],
    ids=str,
)
def test_what_would_not_make_a_gateway_changes_nothing_and_is_told_with_lines_of_the_edited_text(
    main, change, code, line
):
    before = main.read_bytes()
    with pytest.raises(ConfigError) as caught:
        edit(main, change)
    problem = caught.value.problems[0]
    assert problem.file == str(main)
    if code:
        assert (problem.code, problem.line) == (code, line)
    assert main.read_bytes() == before
    assert here(main) == FILES


def test_an_edit_inside_an_anchor_is_refused_with_its_line(main):
    main.write_text(main.read_text() + "combos:\n  a: &a {targets: [demo/echo]}\n  b: *a\n")
    with pytest.raises(EditRefused) as caught:
        edit(main, Set(("combos", "b", "strategy"), "random"))
    assert caught.value.line == 11


def test_no_secret_stands_in_a_diff(main):
    hashed = "$argon2id$v=19$m=65536,t=3,p=4$CANARYsaltCANARY$CANARYhashCANARYhashCANARYhashCANARYhashCAN"
    made = edit(main, Set(("auth", "password_hash"), hashed))
    assert made.diff
    assert "CANARY" not in made.diff
    again = edit(
        main, Set(("auth", "password_hash"), hashed.replace("hash", "more")), Set(("auth", "session_ttl"), "1h")
    )
    assert "CANARY" not in again.diff
    assert "+  password_hash: ***" in again.diff


# ------------------------------------------------------------------------------------------------------------------ modes


def test_locked_files_are_not_written_and_the_diff_is_told(main):
    main.write_text("mode: locked\n" + main.read_text())
    before = main.read_bytes()
    with pytest.raises(ConfigLocked) as caught:
        edit(main, Set(("aliases", "fast"), "demo/agent"))
    assert caught.value.fault.status == 409
    assert caught.value.fault.code == "config_locked"
    assert "+  fast: demo/agent" in caught.value.diff
    assert main.read_bytes() == before
    assert edit(main, Set(("aliases", "fast"), "demo/agent"), dry_run=True).diff == caught.value.diff
    with pytest.raises(ConfigLocked):
        edit(main, Set(("mode",), "local"))


def test_in_git_mode_a_change_is_proposed_and_not_written(main):
    main.write_text("mode: git\n" + main.read_text())
    before, proposals = main.read_bytes(), []

    async def commit(proposal: Proposal) -> str:
        proposals.append(proposal)
        return "4be5c1d"

    change = writer(main, commit=commit).edit(
        lambda _: [Set(("aliases", "x"), "demo/echo")], author="ann", reason="more"
    )
    made = asyncio.run(change)
    assert (made.commit, made.changed, main.read_bytes()) == ("4be5c1d", True, before)
    assert made.revision == bundle.read(main, CATALOG).digest[:12]
    assert proposals == [
        Proposal(files={main: before + b"  x: demo/echo\n"}, diff=made.diff, author="ann", reason="more")
    ]
    with pytest.raises(Conflict, match="repository"):
        edit(main, Set(("aliases", "x"), "demo/echo"))


# --------------------------------------------------------------------------------------------------------------- the tags


def fast(made):
    value = made.document(("aliases", "fast")).data["aliases"].get("fast")
    return None if value is None else etag(value)


@pytest.mark.parametrize("given", ["*", etag("demo/echo"), f'"x", {etag("demo/echo")}', f'W/"y",{etag("demo/echo")}'])
def test_an_edit_of_what_one_has_seen_is_made(main, given):
    assert edit(main, Set(("aliases", "fast"), "demo/agent"), if_match=given, etag_of=fast).changed


@pytest.mark.parametrize("given", ['"x"', "", f"W/{etag('demo/echo')}", etag("demo/agent")])
def test_an_edit_of_what_has_changed_is_refused_with_the_tag_that_it_has_now(main, given):
    before = main.read_bytes()
    with pytest.raises(StaleEdit) as caught:
        edit(main, Set(("aliases", "fast"), "demo/agent"), if_match=given, etag_of=fast)
    assert caught.value.etag == etag("demo/echo")
    assert caught.value.fault.status == 412
    assert main.read_bytes() == before


def test_what_is_gone_matches_nothing(main):
    with pytest.raises(StaleEdit) as caught:
        edit(main, Set(("aliases", "fast"), "demo/agent"), if_match="*", etag_of=lambda _: None)
    assert caught.value.etag is None


def test_without_a_resource_the_tag_is_that_of_all_files(main):
    now = f'"{bundle.read(main, CATALOG).digest[:32]}"'
    assert edit(main, Set(("aliases", "x"), "demo/echo"), if_match=now).changed
    with pytest.raises(StaleEdit):
        edit(main, Set(("aliases", "y"), "demo/echo"), if_match=now)


def test_a_tag_is_that_of_the_meaning():
    assert etag({"a": 1, "b": [1, 2]}) == etag({"b": [1, 2], "a": 1}) != etag({"a": 1, "b": [2, 1]})
    assert re.fullmatch(r'"[0-9a-f]{32}"', etag(None))


# --------------------------------------------------------------------------------------------------------------- the disk


def test_mode_and_owner_stay_and_a_link_stays_a_link(main):
    real = main.parents[1] / "elsewhere" / "real.yaml"
    real.parent.mkdir()
    main.rename(real)
    main.symlink_to("../elsewhere/real.yaml")
    real.chmod(0o640)
    assert edit(main, Set(("aliases", "x"), "demo/echo")).files == ("config/main.yaml",)
    assert main.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert "x: demo/echo" in real.read_text()


def failing(monkeypatch, name, error, times=99, skip=0):
    """Has a function of `os` fail so many times, after it worked so many times."""
    original, count = getattr(os, name), [0]

    def fail(*arguments, **others):
        count[0] += 1
        if skip < count[0] <= skip + times:
            raise OSError(error, os.strerror(error), str(arguments[0]))
        return original(*arguments, **others)

    monkeypatch.setattr(os, name, fail)
    return count


@pytest.mark.parametrize("error", [errno.EBUSY, errno.EXDEV, errno.EACCES])
def test_a_file_that_cannot_be_replaced_is_written_in_place(main, monkeypatch, error):
    inode = main.stat().st_ino
    failing(monkeypatch, "replace", error)
    assert edit(main, Set(("aliases", "x"), "demo/echo"), Delete(("aliases", "fast"))).changed
    assert main.stat().st_ino == inode
    assert main.read_text().endswith("aliases:\n  x: demo/echo\n")
    assert here(main) == FILES


def test_a_file_in_a_directory_that_takes_no_other_is_written_in_place(main, monkeypatch):
    original = os.open

    def refuse(path, flags, *rest, **others):
        if flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "no", str(path))
        return original(path, flags, *rest, **others)

    monkeypatch.setattr(os, "open", refuse)
    assert edit(main, Set(("aliases", "x"), "demo/echo")).changed
    assert main.read_text().endswith("  x: demo/echo\n")
    assert list(main.parent.iterdir()) == [main]


def test_a_disk_that_fails_half_way_in_place_leaves_what_was_there(main, monkeypatch):
    before = main.read_bytes()
    failing(monkeypatch, "replace", errno.EBUSY)
    failing(monkeypatch, "ftruncate", errno.EIO, times=1, skip=1)
    with pytest.raises(Unavailable, match="Nothing was changed"):
        edit(main, Set(("aliases", "x"), "demo/echo"))
    assert main.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "skip"),
    [("pwrite", 0), ("pwrite", 1), ("fsync", 0), ("fsync", 1), ("fsync", 2), ("replace", 0), ("replace", 1)],
)
def test_a_disk_that_fails_leaves_all_files_as_they_were(main, monkeypatch, name, skip):
    before = {each: (main.parents[1] / each).read_bytes() for each in FILES}
    count = failing(monkeypatch, name, errno.ENOSPC, times=1, skip=skip)
    with pytest.raises(Unavailable) as caught:
        edit(main, Set(("aliases", "x"), "demo/echo"), Delete(("policies", "length")))
    assert count[0] > skip
    assert caught.value.fault.status == 503
    assert {each: (main.parents[1] / each).read_bytes() for each in FILES} == before
    assert here(main) == FILES


def test_what_can_neither_be_made_nor_taken_back_is_told_with_the_file(main, monkeypatch):
    failing(monkeypatch, "replace", errno.EIO, skip=1)
    with pytest.raises(Unavailable) as caught:
        edit(main, Set(("aliases", "x"), "demo/echo"), Delete(("policies", "length")))
    assert caught.value.fault.code == "config_half_written"
    assert str(main) in str(caught.value)


def test_a_file_that_nobody_may_write_is_a_conflict_that_says_what_to_do(main, monkeypatch):
    original = os.open

    def refuse(path, flags, *rest, **others):
        if flags & (os.O_CREAT | os.O_WRONLY):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return original(path, flags, *rest, **others)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(Conflict) as caught:
        edit(main, Set(("aliases", "x"), "demo/echo"))
    assert caught.value.fault.code == "config_read_only"
    assert "mode: locked" in str(caught.value)
    assert str(main) in str(caught.value)


def crash(path):
    """What a process does that dies when all is written and nothing replaced."""
    os.replace = lambda *_: os._exit(7)
    edit(path, Set(("aliases", "x"), "demo/echo"))


def test_a_process_that_dies_before_it_replaces_leaves_the_old_file_and_no_lock(main):
    before = main.read_bytes()
    process = multiprocessing.get_context("fork").Process(target=crash, args=(main,))
    process.start()
    process.join(20)
    assert process.exitcode == 7
    assert main.read_bytes() == before
    assert len(here(main)) == 3
    assert edit(main, Set(("aliases", "x"), "demo/echo")).changed
    assert here(main) == FILES


def test_an_editor_that_saves_meanwhile_is_not_overwritten(main, monkeypatch):
    prepared, saves = storage._prepared, iter([b"# by hand\n"])

    def and_saved(*arguments):
        main.write_bytes(next(saves, b"") + main.read_bytes())
        return prepared(*arguments)

    monkeypatch.setattr(storage, "_prepared", and_saved)
    assert edit(main, Set(("aliases", "x"), "demo/echo")).changed
    assert main.read_text().startswith("# by hand\n")
    assert main.read_text().endswith("  x: demo/echo\n")


# ------------------------------------------------------------------------------------------------------- many at one time


def add(path, name, count):
    """Counts up an alias of its own and one of all, as often as that; gives way where somebody was faster."""
    made = writer(path)

    def shared(read):
        return etag(read.documents[0].data["aliases"]["all"])

    async def run():
        for number in range(count):
            await made.edit(lambda _, number=number: [Set(("aliases", name), f"demo/{number}")])
            while True:
                seen = bundle.read(path, CATALOG, insecure=True).documents[0].data["aliases"]["all"]
                change = [Set(("aliases", "all"), f"demo/{int(seen.split('/')[1]) + 1}")]
                with suppress(StaleEdit):
                    await made.edit(lambda _, change=change: change, if_match=etag(seen), etag_of=shared)
                    break

    asyncio.run(run())


def test_processes_that_edit_at_the_same_time_lose_nothing_and_the_file_is_valid_at_every_instant(main):
    main.write_text(
        main.read_text()
        .replace("providers:\n  demo: {type: demo}", "providers:\n  demo: {type: demo}")
        .replace("fast: demo/echo", "all: demo/0")
    )
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=add, args=(main, f"p{number}", 8)) for number in range(4)]
    for process in processes:
        process.start()
    looks = 0
    while any(process.is_alive() for process in processes):
        assert Document.parse(main.read_bytes(), "main").data["version"] == 1
        assert bundle.load(main).spec.aliases["all"]
        looks += 1
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    aliases = bundle.load(main).spec.aliases
    assert aliases["all"] == "demo/32"
    assert [aliases[f"p{number}"] for number in range(4)] == ["demo/7"] * 4
    assert looks > 10
    assert main.read_text().count("# quick") == 1


def test_edits_within_one_process_are_made_one_after_the_other(main):
    made = writer(main)

    async def run():
        await asyncio.gather(*(made.edit(lambda _, n=n: [Set(("aliases", f"a{n}"), "demo/echo")]) for n in range(20)))

    asyncio.run(run())
    assert len(bundle.load(main).spec.aliases) == 21


def test_a_lock_that_is_held_is_waited_for_and_not_for_ever(main, monkeypatch):
    monkeypatch.setattr(storage, "PATIENCE", 0.1)

    async def run():
        async with storage.exclusive(main):
            with pytest.raises(Unavailable, match="another process"):
                await writer(main).edit(lambda _: [Set(("aliases", "x"), "demo/echo")])
        await writer(main).edit(lambda _: [Set(("aliases", "x"), "demo/echo")])

    asyncio.run(run())


def test_what_was_begun_is_finished_when_nobody_waits_any_more(main):
    swapped = []
    made = writer(main, swapped=swapped)

    async def run():
        waiting = asyncio.ensure_future(made.edit(lambda _: [Set(("aliases", "x"), "demo/echo")]))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await made.edit(lambda _: [])

    asyncio.run(run())
    assert "x: demo/echo" in main.read_text()
    assert len(swapped) == 1


# ------------------------------------------------------------------------------------------------------------ the service


def long(tmp_path, lines=2000):
    path = tmp_path / "main.yaml"
    text = (
        storm.big(lines)
        .replace('api_key: "${env:KEY_', 'api_key: "${file:/dev/null}", weight: 1}}  # {{')
        .replace("KEY_", "")
    )
    path.write_text(
        f'server: {{data_dir: "{tmp_path / "data"}"}}\n' + re.sub(r"main: .*", "main: {}   # rotated in June", text)
    )
    return path


def test_a_service_runs_what_it_has_written_and_sees_nothing_new_in_it(main):
    async def run():
        service = Service(main, Overrides(insecure=True))
        before = service.live.current.revision
        made = await service.edit(lambda _: [Set(("aliases", "fast"), "demo/agent")])
        now = service.live.current.revision
        assert (now.label, now.generation) == (made.revision, before.generation + 1)
        assert service.bundle.spec.aliases["fast"] == "demo/agent"
        assert await service.reload() == ()
        assert service.live.current.revision is now
        with pytest.raises(ConfigError):
            await service.edit(lambda _: [Set(("aliases", "fast"), "nobody/x")])
        assert service.live.current.revision is now
        assert service.live.problems == ()

    asyncio.run(run())


def test_a_leaf_of_a_long_file_is_written_soon_and_the_loop_goes_on_meanwhile(tmp_path):
    path = long(tmp_path)

    async def run():
        service = Service(path, Overrides(insecure=True))
        stalls = []

        async def look():
            while True:
                before = time.perf_counter()
                await asyncio.sleep(0.001)
                stalls.append(time.perf_counter() - before - 0.001)

        looking = asyncio.create_task(look())
        took, worst = [], []
        for number in range(8):
            stalls.clear()
            began = time.perf_counter()
            change = [Set(("providers", f"node-{number + 3}", "base_url"), "http://10.9.9.9:8000/v1")]
            await service.edit(lambda _, change=change: change)
            took.append(time.perf_counter() - began)
            worst.append(max(stalls))
        looking.cancel()
        return min(took), min(worst)

    took, stalled = asyncio.run(run())
    assert path.read_text().count("10.9.9.9") == 8
    assert took < 0.250
    assert stalled < 0.020
