"""The files looked at and not taken: checked, and held against what runs."""

from __future__ import annotations

from support.managed import Managed, run

CONFIG = """
version: 1
include: [parts/*.yaml]
server: {data_dir: "{data_dir}"}
auth: {require_login: false}
providers: {demo: {}}
combos:
  one: {targets: [demo/echo]}
  two: {targets: [demo/echo, demo/agent]}
"""


def test_the_files_are_checked_as_a_reload_would(tmp_path):
    async def test(one: Managed) -> None:
        told = (await one("POST", "/api/config/validate")).json
        assert told == {"valid": True, "errors": 0, "warnings": 0, "problems": []}
        wrong = one.service.path.read_text().replace("demo/agent", "demmo/agent").replace("demo: {}", "demoo: {}")
        one.service.path.write_text(wrong)
        told = (await one("POST", "/api/config/validate")).json
        assert not told["valid"]
        assert told["errors"] == len(told["problems"]) >= 2
        first = told["problems"][0]
        assert (first["code"], first["line"], first["path"]) == ("OR201", 6, "providers.demoo")
        assert one.service.live.current.revision.generation == 1
        assert not one.service.live.problems  # to look is no attempt

    run(tmp_path, CONFIG, test)


def test_a_text_is_checked_in_the_place_of_the_main_file(tmp_path, monkeypatch):
    monkeypatch.delenv("NOT_THERE", raising=False)

    async def test(one: Managed) -> None:
        async def codes(text: str) -> list[tuple[str, int]]:
            told = (await one("POST", "/api/config/validate", {"yaml": text})).json
            return [(each["code"], each["line"]) for each in told["problems"]]

        before = one.service.path.read_bytes()
        base = "version: 1\nauth: {require_login: false}\n"
        assert await codes(base + "providers: {demo: {}}\n") == []
        assert await codes(base + "providers: {demo: {}\n") == [("OR004", 3)]
        assert await codes(base + "providers: [demo]\n") == [("OR103", 3)]
        assert await codes(base + 'providers: {openai: {connections: {a: {api_key: "${env:NOT_THERE}"}}}}\n') == [
            ("OR111", 3)
        ]
        assert await codes(base + "server: {host: 0.0.0.0}\n") == [("OR305", 3)]
        assert await codes(base + 'providers: {demo: {}}\naliases: {"x": demo/echo, "x*": demo/nothing}\n') != []
        warned = (await one("POST", "/api/config/validate", {"yaml": base + "aliases: {'q*': 'demo/*'}\n"})).json
        assert warned["valid"] is not bool(warned["errors"])
        assert one.service.path.read_bytes() == before
        assert (await one("POST", "/api/config/validate", {"yaml": 3})).status == 400
        assert (await one("POST", "/api/config/validate", b"x: 1")).status == 400

    run(tmp_path, CONFIG, test)


def test_what_differs_is_told_by_objects_and_as_a_diff_without_secrets(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "old.yaml").write_text("aliases: {gone: demo/echo}\n")

    async def test(one: Managed) -> None:
        told = (await one("GET", "/api/config/diff")).json
        running = one.service.live.current.revision.label
        assert told == {
            "inSync": True,
            "revision": running,
            "onDisk": running,
            "objects": [],
            "diff": "",
            "problems": [],
        }
        text = one.service.path.read_text()
        text = text.replace("demo/agent]}", "demo/embed]}").replace("  one: {targets: [demo/echo]}\n", "")
        text = text.replace("auth: {require_login: false}", "auth: {require_login: false, session_ttl: 5m}")
        one.service.path.write_text(text + "# sk-live-0123456789abcdef\n")
        (tmp_path / "parts" / "old.yaml").unlink()
        (tmp_path / "parts" / "new.yaml").write_text("aliases: {fresh: demo/echo}\n")
        told = (await one("GET", "/api/config/diff")).json
        assert not told["inSync"]
        assert told["onDisk"] not in (None, running)
        assert {(each["path"], each["change"], tuple(each["places"])) for each in told["objects"]} == {
            ("auth", "changed", ("auth.session_ttl",)),
            ("combos.one", "removed", ()),
            ("combos.two", "changed", ("combos.two.targets",)),
            ("aliases.gone", "removed", ()),
            ("aliases.fresh", "added", ()),
        }
        lines = told["diff"].splitlines()
        assert "-  one: {targets: [demo/echo]}" in lines
        assert "+  two: {targets: [demo/echo, demo/embed]}" in lines
        assert "-aliases: {gone: demo/echo}" in lines
        assert "+aliases: {fresh: demo/echo}" in lines
        assert "sk-live" not in told["diff"]
        assert one.service.live.current.revision.label == running

    run(tmp_path, CONFIG, test)


def test_a_literal_secret_on_disk_is_blacked_out_and_the_rest_still_told(tmp_path):
    async def test(one: Managed) -> None:
        text = one.service.path.read_text()
        line = "  openai: {connections: {a: {api_key: very-secret-value}}}"
        one.service.path.write_text(text.replace("providers: {demo: {}}", f"providers:\n  demo: {{}}\n{line}"))
        reply = await one("GET", "/api/config/diff")
        assert b"very-secret" not in reply.body
        told = reply.json
        assert (told["onDisk"], told["inSync"]) == (None, False)
        assert [each["code"] for each in told["problems"]] == ["OR110"]
        assert [(each["path"], each["change"]) for each in told["objects"]] == [("providers.openai", "added")]
        one.service.path.write_text("version: [")
        told = (await one("GET", "/api/config/diff")).json
        assert told["problems"][0]["code"] == "OR004"
        one.service.path.unlink()
        told = (await one("GET", "/api/config/diff")).json
        assert told["problems"][0]["code"] == "OR001"
        assert not one.service.live.problems, "to look is no attempt"

    run(tmp_path, CONFIG, test)
