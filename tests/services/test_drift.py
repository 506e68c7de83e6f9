"""Files that no worker has taken yet are a drift, before any reload."""

from __future__ import annotations

from support.managed import Managed, run

CONFIG = """
version: 1
server: {data_dir: "{data_dir}"}
auth: {require_login: false}
providers: {demo: {}}
"""


def test_files_that_nobody_has_read_yet_are_a_drift_since_they_were_written(tmp_path):
    async def test(one: Managed) -> None:
        async def told():
            return (await one("GET", "/api/config/status")).json

        before = await told()
        assert (before["status"], before["since"], before["checkout"]) == ("synced", before["loadedAt"], None)
        one.service.path.write_text(one.service.path.read_text() + "aliases: {quick: demo/echo}\n")
        drifted = await told()
        assert drifted["status"] == "drifted"
        assert drifted["desired"] != drifted["digest"] == drifted["workers"][0]["digest"] == before["digest"]
        assert drifted["since"] > before["since"]
        await one("POST", "/api/config/reload")
        after = await told()
        assert (after["status"], after["digest"]) == ("synced", drifted["desired"])

    run(tmp_path, CONFIG, test)


def test_a_refusal_counts_from_the_first_attempt(tmp_path):
    async def test(one: Managed) -> None:
        live = one.service.live
        one.service.path.write_text("version: 2\n")
        await one("POST", "/api/config/reload")
        first = live.refused_at
        await one("POST", "/api/config/reload")
        assert live.last_attempt > first == live.refused_at
        assert (await one("GET", "/api/config/status")).json["status"] == "failed"

    run(tmp_path, CONFIG, test)
