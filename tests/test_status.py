"""Whether a running gateway runs what its files say, and whether these are what was reviewed: over HTTP and as exit codes."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest
from support.eventually import until
from support.gateway import Gateway
from support.git_server import git

from omniroute import cli

ADMIN = "or-admin-key-of-this-test"
CONFIG = """\
version: 1
mode: git
server: {data_dir: {data_dir}}
auth: {require_login: true}
providers: {demo: {}}
keys:
  admin: {digest: "sha256:DIGEST", roles: [admin.write]}
""".replace("DIGEST", sha256(ADMIN.encode()).hexdigest())


@pytest.fixture(scope="module")
def gateway():
    with Gateway(CONFIG) as gateway:
        git(gateway.folder, "init", "--quiet", "--initial-branch=main")
        (gateway.folder / ".gitignore").write_text("data\nlog\n.omniroute.yaml.lock\n")
        git(gateway.folder, "add", "--all")
        git(gateway.folder, "commit", "--quiet", "-m", "First")
        yield gateway


@pytest.fixture
def status(gateway, monkeypatch, capsys):
    """The exit code of the verb, what it printed, and the same as JSON."""
    monkeypatch.setenv("OMNIROUTE_TOKEN", ADMIN)

    def ask(*options: str):
        code = cli.main(["status", "--url", gateway.url, *options])
        text = capsys.readouterr().out
        cli.main(["status", "--url", gateway.url, "--json"])
        return code, text, msgspec.json.decode(capsys.readouterr().out)

    yield ask
    git(gateway.folder, "checkout", "--quiet", "--force", "main")
    until(lambda: ask()[0] == 0)


def test_what_runs_is_what_the_files_say(gateway, status):
    code, text, told = status("--strict")
    assert code == 0, text
    assert told["status"] == "synced"
    assert told["desired"] == told["digest"] == told["workers"][0]["digest"]
    assert told["workers"][0]["pid"] == gateway.process.pid
    assert told["checkout"] | {"root": ""} == {
        "root": "",
        "branch": "main",
        "commit": git(gateway.folder, "rev-parse", "HEAD"),
        "uncommitted": [],
        "proposals": [],
    }
    assert f"worker    {told['revision']}  pid {gateway.process.pid}" in text


def test_files_that_make_no_gateway_fail_since_they_were_written(gateway, status):
    before = status()[2]
    gateway.write(CONFIG.replace("demo: {}", "demo: {}, demoo: {}"))
    until(lambda: status()[0] == 4)
    _, text, told = status()
    assert (told["status"], told["desired"]) == ("failed", None)
    assert told["digest"] == before["digest"], "the old one goes on"
    assert told["since"] >= before["since"]
    assert "OR201" in text
    assert told["checkout"]["uncommitted"] == ["omniroute.yaml"]


def test_what_is_not_committed_runs_and_is_a_drift_for_the_strict(gateway, status):
    gateway.write(f"{CONFIG}# by hand\n")
    until(lambda: status()[2]["status"] == "synced" and status()[2]["generation"] > 1)
    assert status()[0] == 0
    code, text, _ = status("--strict")
    assert code == 3
    assert "omniroute.yaml, not committed" in text


def test_a_proposal_is_told_until_it_is_merged(gateway, status):
    import httpx

    body = {"alias": "quick", "model": "demo/echo"}
    heads = {"authorization": f"Bearer {ADMIN}"}
    reply = httpx.put(f"{gateway.url}/api/models/alias", json=body, headers=heads)
    branch = reply.json()["commit"]
    assert status()[2]["checkout"]["proposals"] == [branch]
    assert status("--strict")[0] == 3
    git(gateway.folder, "merge", "--quiet", branch)
    until(lambda: status("--strict")[0] == 0)
    assert "quick: demo/echo" in gateway.path.read_text()


def test_who_cannot_be_asked_is_an_error(gateway, monkeypatch, capsys):
    monkeypatch.setenv("OMNIROUTE_TOKEN", "wrong")
    assert cli.main(["status", "--url", gateway.url]) == 1
    assert "does not take the token" in capsys.readouterr().err
    assert cli.main(["status", "--url", "http://127.0.0.1:9"]) == 1


def test_without_an_address_the_one_of_the_files_is_asked(gateway, monkeypatch, capsys):
    monkeypatch.setenv("OMNIROUTE_TOKEN", ADMIN)
    monkeypatch.setenv("PORT", str(gateway.port))
    assert cli.main(["status", "--config", str(gateway.path)]) == 0
    assert capsys.readouterr().out.startswith(f"{gateway.url}: synced since ")
    assert cli.main(["status", "--config", "nowhere.yaml"]) == 1
