"""Changes are noticed however files are changed."""

import asyncio
from contextlib import suppress

import pytest

from omniroute.config import watch


class Heard:
    """Counts calls and waits for the next one."""

    def __init__(self):
        self.calls = 0
        self._event = asyncio.Event()

    async def __call__(self):
        self.calls += 1
        self._event.set()

    async def next(self, seconds=5.0):
        await asyncio.wait_for(self._event.wait(), seconds)
        self._event.clear()


def watching(watched, scenario):
    """Runs a scenario while a watch runs, once it has begun and has said so."""

    async def run():
        heard = Heard()
        task = asyncio.create_task(watch.watch(watched, heard))
        try:
            await heard.next()
            heard.calls = 0
            await scenario(heard)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    asyncio.run(run())


def replace(file, text):
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(text)
    fresh.replace(file)


def test_an_edit_in_place_is_noticed(tmp_path):
    file = tmp_path / "main.yaml"
    file.write_text("1")

    async def scenario(heard):
        file.write_text("2")
        await heard.next()

    watching(lambda: [file], scenario)


def test_atomic_replaces_are_noticed_every_time(tmp_path):
    file = tmp_path / "main.yaml"
    file.write_text("1")

    async def scenario(heard):
        for text in ("2", "3", "4"):
            replace(file, text)
            await heard.next()

    watching(lambda: [file], scenario)


def test_the_swap_of_a_config_map_is_noticed_every_time(tmp_path):
    for version in ("1", "2", "3"):
        (tmp_path / f"..{version}").mkdir()
        (tmp_path / f"..{version}" / "main.yaml").write_text(version)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "main.yaml").symlink_to("..data/main.yaml")

    async def scenario(heard):
        for version in ("2", "3"):
            (tmp_path / "..data_tmp").symlink_to(f"..{version}")
            (tmp_path / "..data_tmp").replace(tmp_path / "..data")
            await heard.next()
            assert (tmp_path / "main.yaml").read_text() == version

    watching(lambda: [tmp_path / "main.yaml"], scenario)


def test_a_burst_is_one_call(tmp_path):
    file = tmp_path / "main.yaml"

    async def scenario(heard):
        for number in range(20):
            file.write_text(str(number))
        await heard.next()
        await asyncio.sleep(0.4)
        assert heard.calls <= 2

    watching(lambda: [file], scenario)


def test_other_files_in_the_directory_are_none_of_its_business(tmp_path):
    file = tmp_path / "main.yaml"
    file.write_text("1")

    async def scenario(heard):
        for number in range(40):
            with (tmp_path / "gateway.log").open("a") as log:
                log.write("a line\n")
            (tmp_path / "omniroute.sqlite-wal").write_bytes(b"x" * number)
            (tmp_path / ".main.yaml.swp").write_text("an editor's")
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        assert heard.calls == 0
        replace(file, "2")
        await heard.next()

    watching(lambda: [file], scenario)


def test_a_main_file_of_any_name_is_noticed(tmp_path):
    file = tmp_path / "gateway.conf"
    file.write_text("1")

    async def scenario(heard):
        replace(file, "2")
        await heard.next()

    watching(lambda: [file], scenario)


def test_changes_leave_no_lines_in_the_log(tmp_path, caplog):
    file = tmp_path / "main.yaml"

    async def scenario(heard):
        file.write_text("1")
        await heard.next()

    caplog.set_level("DEBUG")
    watching(lambda: [file], scenario)
    assert "watchfiles" not in {record.name.partition(".")[0] for record in caplog.records}


def test_a_directory_that_an_edit_adds_is_watched_from_then_on(tmp_path):
    places = [tmp_path / "config"]
    for name in ("config", "policies"):
        (tmp_path / name).mkdir()

    async def scenario(heard):
        places.append(tmp_path / "policies")
        (tmp_path / "config" / "main.yaml").write_text("include")
        await heard.next()
        await asyncio.sleep(0.4)
        before = heard.calls
        (tmp_path / "policies" / "a.yaml").write_text("1")
        await heard.next()
        assert heard.calls > before

    watching(lambda: places, scenario)


def test_a_directory_that_is_replaced_is_found_again(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "LOOK", 200)
    folder = tmp_path / "config"
    folder.mkdir()

    async def scenario(heard):
        folder.rename(tmp_path / "old")
        await asyncio.sleep(0.3)
        folder.mkdir()
        (folder / "main.yaml").write_text("1")
        await heard.next()
        await asyncio.sleep(0.8)
        before = heard.calls
        (folder / "main.yaml").write_text("2")
        await heard.next()
        await asyncio.sleep(0.5)
        assert heard.calls > before

    watching(lambda: [folder / "main.yaml"], scenario)


def test_a_callback_that_fails_does_not_end_the_watch(tmp_path, caplog):
    file = tmp_path / "main.yaml"

    async def scenario(heard):
        file.write_text("1")
        await heard.next()
        replace(file, "2")
        await heard.next()
        assert heard.calls >= 2

    async def failing(heard):
        await heard()
        raise OSError("the disk is gone")

    async def run():
        heard = Heard()
        task = asyncio.create_task(watch.watch(lambda: [file], lambda: failing(heard)))
        await asyncio.sleep(0.25)
        await scenario(heard)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert "could not be read again" in caplog.text


def test_what_changes_while_a_new_directory_is_taken_up_is_not_missed(tmp_path):
    places = [tmp_path / "config"]
    for name in ("config", "policies"):
        (tmp_path / name).mkdir()
    file = tmp_path / "policies" / "a.yaml"
    seen = []

    async def read():
        """What is there, as a reload reads it; and an edit right after every reading but the last two."""
        seen.append(file.read_text() if file.exists() else "")
        if (tmp_path / "config" / "main.yaml").exists():
            places[1:] = [tmp_path / "policies"]
        if 1 < len(seen) < 5:
            file.write_text(str(len(seen)))

    async def run():
        task = asyncio.create_task(watch.watch(lambda: places, read))
        async with asyncio.timeout(5):
            while not seen:
                await asyncio.sleep(0.01)
            (tmp_path / "config" / "main.yaml").write_text("include")
            while "4" not in seen:
                await asyncio.sleep(0.01)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())
