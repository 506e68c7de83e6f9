"""Real gateways whose files are kept in step: with a git repository, and with each other."""

from __future__ import annotations

import urllib.error
import urllib.request
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.eventually import until
from support.gateway import Gateway
from support.git_server import TOKEN, GitServer, git

ADMIN = "or-admin-key-of-this-test"
CONFIG = """\
version: 1  # ours
server: {data_dir: {data_dir}}
auth: {require_login: true}
providers: {demo: {}}
keys:
  admin: {digest: "sha256:DIGEST", roles: [admin.write]}
""".replace("DIGEST", sha256(ADMIN.encode()).hexdigest())


def call(gateway: Gateway, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    content = msgspec.json.encode(body) if body is not None else None
    heads = {"authorization": f"Bearer {ADMIN}", "content-type": "application/json", **headers}
    request = urllib.request.Request(f"{gateway.url}{path}", data=content, method=method, headers=heads)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, msgspec.json.decode(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, msgspec.json.decode(error.read())


def sync(gateway: Gateway, action: str = "sync", **more: str) -> tuple[int, Any]:
    return call(gateway, "POST", "/api/sync/cloud", {"action": action, **more})


def test_a_gateway_follows_a_git_branch_and_tells_conflicts(tmp_path: Path):
    with GitServer(tmp_path) as server:
        config = f'{CONFIG}sync: {{remote: "{server.url}", token: "${{env:GIT_TOKEN}}"}}\n'
        with Gateway(config, GIT_TOKEN=TOKEN) as gateway:
            status, told = sync(gateway)
            assert (status, told["outcome"]["pushed"]) == (200, ["omniroute.yaml"])
            text = server.files()["omniroute.yaml"]
            assert text == gateway.path.read_text()
            server.commit({"omniroute.yaml": f"{text}aliases: {{quick: demo/echo}}\n"})
            assert sync(gateway)[1]["outcome"]["pulled"] == ["omniroute.yaml"]
            assert call(gateway, "GET", "/api/config")[1]["config"]["aliases"] == {"quick": "demo/echo"}
            server.commit({"omniroute.yaml": f"{text}aliases: {{quick: nobody/nothing}}\n"})
            status, told = sync(gateway)
            assert (status, told["error"]["code"]) == (422, "config_invalid")
            assert told["error"]["problems"][0]["file"] == str(gateway.path)
            server.commit({"omniroute.yaml": f"{text}# theirs\n"})
            gateway.write(f"{gateway.path.read_text()}# mine\n")
            call(gateway, "POST", "/api/config/reload")
            before = gateway.path.read_text()
            status, told = sync(gateway)
            assert (status, told["error"]["code"]) == (409, "sync_conflict")
            assert "+# theirs" in told["conflicts"][0]["diff"]
            assert gateway.path.read_text() == before
            assert sync(gateway, keep="remote")[0] == 200
            assert gateway.path.read_text() == server.files()["omniroute.yaml"]
            assert call(gateway, "GET", "/api/sync/cloud")[1]["connected"]
            assert TOKEN not in gateway.said()


def test_two_gateways_exchange_their_files():
    with ExitStack() as stack:
        first = stack.enter_context(Gateway(CONFIG))
        config = f'{CONFIG}sync: {{instance: "{first.url}", token: "${{env:OTHER}}"}}\n'
        second = stack.enter_context(Gateway(config, OTHER=ADMIN))
        status, told = sync(second)
        assert (status, told["error"]["code"]) == (409, "sync_conflict")
        assert sync(second, "compare")[1]["conflicts"][0]["name"] == "omniroute.yaml"
        ours = second.path.read_text()
        assert sync(second, keep="local")[0] == 200
        assert first.path.read_text() == ours
        revision = call(first, "GET", "/api/cloud/bundle")[1]["revision"]
        files = {"omniroute.yaml": f"{ours}# more\n"}
        assert call(first, "PUT", "/api/cloud/bundle", {"files": files}, **{"if-match": '"old"'})[0] == 412
        assert call(first, "PUT", "/api/cloud/bundle", {"files": files}, **{"if-match": f'"{revision}"'})[0] == 200
        assert sync(second)[1]["outcome"]["pulled"] == ["omniroute.yaml"]
        assert second.path.read_text() == files["omniroute.yaml"]


@pytest.mark.parametrize(
    "name", ["../out.yaml", "/etc/x.yaml", "a/../../b.yaml", ".hidden.yaml", "x.txt", "", "a//b.yaml"]
)
def test_a_bundle_cannot_lead_out_of_its_folder(one: Gateway, name: str):
    before = sorted(path.name for path in one.folder.rglob("*"))
    status, told = call(one, "PUT", "/api/cloud/bundle", {"files": {name: "version: 1\n"}})
    assert (status, told["error"]["code"]) == (409, "config_bad_name")
    assert sorted(path.name for path in one.folder.rglob("*")) == before


@pytest.fixture(scope="module")
def one():
    with Gateway(CONFIG) as gateway:
        yield gateway


def test_without_a_remote_it_says_what_to_set(one: Gateway):
    assert call(one, "GET", "/api/sync/cloud")[1]["enabled"] is False
    status, told = sync(one)
    assert (status, told["error"]["code"]) == (409, "sync_not_configured")


def test_instances_are_told_what_is_here_and_no_secret(one: Gateway):
    status, told = call(one, "POST", "/api/cloud/auth")
    assert (status, told["connections"][0]["provider"]) == (200, "demo")
    assert call(one, "POST", "/api/cloud/model/resolve", {"alias": "demo/echo"})[1]["model"] == "echo"
    assert call(one, "POST", "/api/cloud/model/resolve", {"alias": "nothing"})[0] == 404


def test_a_gateway_follows_its_remote_by_the_clock(tmp_path: Path):
    with GitServer(tmp_path) as server:
        config = f'{CONFIG}sync: {{remote: "{server.url}", token: "${{env:GIT_TOKEN}}", every: 1s}}\n'
        with Gateway(config, GIT_TOKEN=TOKEN) as gateway:
            assert until(lambda: server.files().get("omniroute.yaml")) == gateway.path.read_text()
            server.commit({"omniroute.yaml": f"{gateway.path.read_text()}aliases: {{quick: demo/echo}}\n"})
            assert until(lambda: call(gateway, "GET", "/api/config")[1]["config"].get("aliases"))
            assert sync(gateway, "disable")[1]["state"]["enabled"] is False
            rows = call(gateway, "GET", "/api/compliance/audit-log?action=sync.run")[1]
            assert {row["actor"] for row in rows} == {"omniroute"}


def checked_out(gateway: Gateway) -> None:
    """Makes the folder of its files a repository, in which they are committed."""
    git(gateway.folder, "init", "--quiet", "--initial-branch=main")
    (gateway.folder / ".gitignore").write_text("data\nlog\n.omniroute.yaml.lock\n")
    git(gateway.folder, "add", "--all")
    git(gateway.folder, "commit", "--quiet", "-m", "First")


def test_in_git_mode_a_bundle_is_a_commit_on_a_branch_with_its_author_and_reason():
    with Gateway(f"mode: git\n{CONFIG}") as gateway:
        checked_out(gateway)
        before = gateway.path.read_text()
        files = {"omniroute.yaml": f"{before}aliases: {{quick: demo/echo}}\n"}
        status, told = call(gateway, "PUT", "/api/cloud/bundle", {"files": files, "reason": "Name the quick one"})
        assert status == 202, told
        assert told["files"]["omniroute.yaml"] == gateway.path.read_text() == before
        assert git(gateway.folder, "show", f"{told['commit']}:omniroute.yaml") == files["omniroute.yaml"].rstrip()
        written = git(gateway.folder, "log", "-1", "--format=%an|%s|%b", told["commit"])
        assert written.startswith("admin|Name the quick one|")
        assert "+aliases: {quick: demo/echo}" in written


def test_in_git_mode_nothing_is_pulled_over_the_files(tmp_path: Path):
    with GitServer(tmp_path) as server:
        config = f'mode: git\n{CONFIG}sync: {{remote: "{server.url}", token: "${{env:GIT_TOKEN}}"}}\n'
        with Gateway(config, GIT_TOKEN=TOKEN) as gateway:
            assert sync(gateway)[0] == 200
            text = gateway.path.read_text()
            server.commit({"omniroute.yaml": f"{text}# theirs\n"})
            status, told = sync(gateway)
            assert (status, told["error"]["code"]) == (409, "config_in_git")
            assert gateway.path.read_text() == text


def test_in_git_mode_an_edit_is_a_commit_on_a_branch():
    with Gateway(f"mode: git\n{CONFIG}") as gateway:
        checked_out(gateway)
        before = gateway.path.read_text()
        status, told = call(gateway, "PUT", "/api/models/alias", {"alias": "quick", "model": "demo/echo"})
        assert status == 202, told
        branch = told["commit"]
        assert "quick: demo/echo" in git(gateway.folder, "show", f"{branch}:omniroute.yaml")
        assert gateway.path.read_text() == before
        assert "admin" in git(gateway.folder, "log", "-1", "--format=%an", branch)
