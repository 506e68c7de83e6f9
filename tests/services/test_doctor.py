"""The doctor sees what would keep a gateway from its work, and says what to do about each."""

from __future__ import annotations

import socket
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest
from support.gateway import Gateway

from omniroute import cli
from omniroute.services import doctor

CONFIG = "version: 1\nserver: {data_dir: DATA, port: PORT}\nproviders: {demo: {}}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    path = tmp_path / "omniroute.yaml"
    path.write_text(CONFIG.replace("DATA", str(tmp_path / "data")).replace("PORT", str(port)))
    return path


@pytest.fixture
def examined(capsys, monkeypatch):
    """The exit code, and what each check saw."""
    monkeypatch.delenv("PORT", raising=False)

    def examine(path: Path, *options: str):
        code = cli.main(["doctor", "--config", str(path), "--json", *options])
        rows = msgspec.json.decode(capsys.readouterr().out)
        assert all(row["hint"] for row in rows if row["outcome"] == "error"), "an error says what to do"
        return code, [(row["check"], row["outcome"]) for row in rows if row["outcome"] != "fine"], rows

    return examine


def test_a_machine_that_has_all_is_fine_and_left_as_it_was(file: Path, examined):
    code, found, rows = examined(file, "--strict")
    assert (code, found) == (0, [])
    assert [row["check"] for row in rows] == ["program", "config", "secrets", "port", "clock", "data", "database"]
    assert sorted(path.name for path in file.parent.iterdir()) == ["omniroute.yaml"]


def test_files_that_make_no_gateway_are_told_and_the_rest_still_looked_at(file: Path, examined):
    file.write_text("version: 1\nproviders: {demmo: {}}\naliases: {a: b}\n")
    code, found, rows = examined(file)
    assert (code, found) == (1, [("config", "error")])
    assert "OR201" in rows[1]["message"]
    assert "and 1 more" in rows[1]["message"]


def test_what_the_files_refer_to_has_to_be_there(file: Path, examined, monkeypatch):
    monkeypatch.delenv("NOT_SET", raising=False)
    file.write_text(file.read_text().replace("demo: {}", 'openai: {connections: {a: {api_key: "${env:NOT_SET}"}}}'))
    code, found, rows = examined(file)
    assert (code, found) == (1, [("secrets", "error")])
    assert "NOT_SET" in str(rows)


def test_a_port_that_somebody_else_has_is_an_error(file: Path, examined, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(doctor, "PATIENCE", 0.2)
        monkeypatch.setenv("PORT", str(taken.getsockname()[1]))
        code = cli.main(["doctor", "--config", str(file)])
    assert code == 1


def test_warnings_count_for_the_strict(file: Path, examined):
    file.write_text(f"{file.read_text()}aliases: {{fast: demo/echo, demo/fast: demo/echo}}\n")
    assert examined(file)[:2] == (0, [("config", "warning")])
    assert examined(file, "--strict")[0] == 3


def test_a_clock_that_cannot_be_right_is_an_error(file: Path, examined, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert examined(file)[1] == [("clock", "error")]


def test_a_full_disk_is_a_warning(file: Path, examined, monkeypatch):
    monkeypatch.setattr(doctor, "SPARE", 1 << 60)
    assert examined(file)[1] == [("data", "warning")]


def test_a_gateway_that_runs_is_fine_until_its_files_are_spoilt(examined):
    with Gateway("version: 1\nserver: {data_dir: {data_dir}}\nproviders: {demo: {}}\n") as gateway:
        gateway.path.write_text(gateway.path.read_text().replace("server: {", f"server: {{port: {gateway.port}, "))
        code, found, rows = examined(gateway.path)
        assert (code, found) == (0, [])
        assert [row["message"] for row in rows if row["check"] == "port"] == [
            f"a gateway answers on 127.0.0.1:{gateway.port}"
        ]
        gateway.stop()
        data = gateway.ledger.parent
        content = gateway.ledger.read_bytes()
        gateway.ledger.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
        (data / "audit.key").chmod(0o644)
        _, found, rows = examined(gateway.path)
        assert ("database", "error") in found
        assert ("data", "error") in found


def test_people_read_it_as_lines(file: Path, capsys, monkeypatch):
    monkeypatch.delenv("PORT", raising=False)
    assert cli.main(["doctor", "--config", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok       program    Python 3.")
    file.write_text("version: 2\n")
    assert cli.main(["doctor", "--config", str(file)]) == 1
    assert "= `omniroute validate` shows all findings with their lines." in capsys.readouterr().out


@pytest.mark.parametrize(("late", "outcome"), [(0, "fine"), (3600, "error"), (-3600, "error")])
def test_the_clock_is_held_against_a_providers(file: Path, examined, late: int, outcome: str):
    class Telling(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(404)
            self.send_header("Date", formatdate(time.time() + late, usegmt=True))
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - the names that the library looks for

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Telling) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1"
        own = f"lab: {{type: openai-compatible, base_url: '{url}', connections: {{main: {{}}}}, models: {{any: {{}}}}}}"
        file.write_text(file.read_text().replace("{demo: {}}", f"{{{own}}}"))
        _, _, rows = examined(file, "--online")
        server.shutdown()
    (found,) = [row for row in rows if row["check"] == "clock" and "provider's clock" in row["message"]]
    assert found["outcome"] == outcome


def test_providers_are_asked_only_when_told_to(file: Path, examined):
    own = (
        "lab: {type: openai-compatible, base_url: 'http://127.0.0.1:9/v1', connections: {main: {}}, models: {any: {}}}"
    )
    code, found, rows = examined(file, "--online")
    assert (code, found) == (0, [])
    assert (rows[-1]["check"], rows[-1]["outcome"]) == ("providers", "fine")
    file.write_text(file.read_text().replace("{demo: {}}", f"{{{own}}}"))
    assert examined(file)[:2] == (0, [])
    code, found, rows = examined(file, "--online")
    assert (code, found) == (1, [("providers", "error")])
    assert "OR501" in rows[-1]["message"]
