"""The examples for CI, GitOps, Kubernetes and containers do what they say: their own steps are run, against a forge that
records what it is told and against gateways of this machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.gateway import ROOT, Gateway, environment, free_port
from support.git_server import git

from omniroute import catalog, cli
from omniroute.config import bundle

CI, KUBERNETES = ROOT / "examples" / "ci", ROOT / "examples" / "kubernetes"
START = "version: 1\nproviders: {demo: {}}\naliases:\n  fast: demo/echo\n"
POLICY = "policies:\n  calm:\n    rules: [{max_tokens: {output: 100}}]\n    tests: [{given: {model: fast}, expect: {status: 200}}]\n"


class Forge(ThreadingHTTPServer):
    """A GitHub or GitLab, as far as comments go."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Comments)
        self.comments: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str]] = []
        self.tokens: set[str] = set()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Comments(BaseHTTPRequestHandler):
    server: Forge

    def _serve(self) -> None:
        forge, length = self.server, int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        forge.asked.append((self.command, self.path.partition("?")[0]))
        forge.tokens.add(self.headers.get("authorization") or self.headers.get("private-token") or "")
        if self.command == "POST":
            forge.comments.append({"id": len(forge.comments) + 7, **body})
        elif self.command != "GET":
            number = int(self.path.rpartition("/")[2])
            next(one for one in forge.comments if one["id"] == number).update(body)
        content = json.dumps(forge.comments if self.command == "GET" else {}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_PUT = _serve  # noqa: N815 - the names that the library looks for

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def forge() -> Iterator[Forge]:
    with closing(Forge()) as forge:
        yield forge


@pytest.fixture
def change(tmp_path: Path) -> Path:
    """A repository with a branch that is to be merged, and what CI calls on the PATH: pip does nothing."""
    origin, work = tmp_path / "origin.git", tmp_path / "work"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    git(tmp_path, "clone", "--quiet", str(origin), str(work))
    git(work, "checkout", "--quiet", "-b", "main")
    (work / "config").mkdir()
    (work / "policies").mkdir()
    (work / "examples").symlink_to(ROOT / "examples")
    (work / ".git" / "info" / "exclude").write_text("examples\n")
    (work / "config" / "omniroute.yaml").write_text(f"{START}  slow: demo/agent\ninclude: [../policies/*.yaml]\n")
    (work / "policies" / "calm.yaml").write_text(POLICY)
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "-m", "Begin")
    git(work, "push", "--quiet", "origin", "main")
    git(work, "checkout", "--quiet", "-b", "change")
    shims = tmp_path / "bin"
    shims.mkdir()
    for name, line in {
        "pip": "exit 0",
        "omniroute": f'exec "{sys.executable}" -m omniroute "$@"',
        "python": f'exec "{sys.executable}" "$@"',
    }.items():
        (shims / name).write_text(f"#!/bin/sh\n{line}\n")
        (shims / name).chmod(0o755)
    return work


def edited(work: Path, old: str, new: str) -> None:
    file = work / "config" / "omniroute.yaml"
    file.write_text(file.read_text().replace(old, new))
    git(work, "commit", "--quiet", "--all", "-m", "Change")


def ran(work: Path, script: str, said: dict[str, str]) -> subprocess.CompletedProcess[str]:
    path = f"{work.parent / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=work,
        env={**environment(), "PATH": path, "PYTHONPATH": str(ROOT), **said},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def github(work: Path, forge: Forge, only: str = "") -> tuple[int, str]:
    """Runs the steps of the workflow, or one by its name, as far as they succeed; the last exit code, and all output."""
    steps = yaml.load((CI / "github.yaml").read_text(), yaml.BaseLoader)["jobs"]["plan"]["steps"]
    said = {
        "GITHUB_BASE_REF": "main",
        "GITHUB_API_URL": forge.url,
        "GITHUB_REPOSITORY": "platform/gateway",
        "GITHUB_TOKEN": "ghs-test",
        "PULL_REQUEST": "42",
    }
    output = ""
    for step in steps:
        if "run" in step and only in ("", step["name"]):
            done = ran(work, step["run"], said)
            output += done.stdout + done.stderr
            if done.returncode:
                return done.returncode, output
    return 0, output


def gitlab(work: Path, forge: Forge) -> tuple[int, str]:
    """Runs the script of the job."""
    job = yaml.load((CI / "gitlab.yaml").read_text(), yaml.BaseLoader)["omniroute"]
    said = {
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "CI_API_V4_URL": forge.url,
        "CI_PROJECT_ID": "5",
        "CI_MERGE_REQUEST_IID": "42",
        "GITLAB_TOKEN": "glpat-test",
    }
    done = ran(work, "\n".join([*job["before_script"], *job["script"]]), said)
    return done.returncode, done.stdout + done.stderr


def test_a_pull_request_has_one_comment_that_follows_the_change(change: Path, forge: Forge):
    edited(change, "fast: demo/echo", "fast: demo/agent")
    code, output = github(change, forge)
    assert code == 0, output
    (comment,) = forge.comments
    assert "aliases.fast" in comment["body"]
    assert forge.asked[-1] == ("POST", "/repos/platform/gateway/issues/42/comments")
    edited(change, "fast: demo/agent", "fast: demo/agent\n  more: demo/echo")
    assert github(change, forge)[0] == 0
    (comment,) = forge.comments
    assert "aliases.more" in comment["body"]
    assert forge.asked[-1] == ("PATCH", "/repos/platform/gateway/issues/comments/7")
    assert forge.tokens == {"Bearer ghs-test"}


def test_a_merge_request_has_one_comment_that_follows_the_change(change: Path, forge: Forge):
    edited(change, "fast: demo/echo", "fast: demo/agent")
    code, output = gitlab(change, forge)
    assert code == 0, output
    assert gitlab(change, forge)[0] == 0
    (comment,) = forge.comments
    assert "aliases.fast" in comment["body"]
    notes = "/projects/5/merge_requests/42/notes"
    assert [one for one in forge.asked if one[0] != "GET"] == [("POST", notes), ("PUT", f"{notes}/7")]
    assert json.loads((change / "gl-code-quality.json").read_text()) == []
    assert "<testsuite" in (change / "scenarios.xml").read_text()


def test_a_finding_stands_beside_its_line_and_nothing_is_told_of_a_plan(change: Path, forge: Forge):
    edited(change, "fast: demo/echo", "fast: dmo/echo")
    code, output = github(change, forge)
    assert code == 1
    assert "::error file=config/omniroute.yaml,line=4,col=9,title=OR202::" in output
    assert forge.comments == []


def test_a_change_that_takes_too_much_away_is_told_and_fails(change: Path, forge: Forge):
    file = change / "config" / "omniroute.yaml"
    file.write_text("version: 1\nproviders: {demo: {}}\naliases: {fast: demo/echo}\n")
    (change / "policies" / "calm.yaml").unlink()
    git(change, "commit", "--quiet", "--all", "-m", "Tidy up")
    code, output = github(change, forge, "Plan")
    assert code == 4, output
    assert "aliases.slow" in forge.comments[0]["body"]


def test_the_hooks_for_pre_commit_do_their_work(change: Path):
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    for hook in hooks:
        assert {"id", "name", "entry", "language", "files", "pass_filenames"} <= hook.keys()
        verb = hook["entry"].split()[1:]
        assert cli.parser().parse_args(verb).run
        assert re.search(hook["files"], "config/omniroute.yaml")
    entries = {hook["id"]: hook["entry"] for hook in hooks}
    assert ran(change, entries["omniroute-validate"], {}).returncode == 0
    assert ran(change, entries["omniroute-test"], {}).returncode == 0
    config = change / "config" / "omniroute.yaml"
    laid_out = ran(change, entries["omniroute-fmt"], {})
    assert laid_out.returncode == 0, laid_out.stderr
    before = config.read_text()
    config.write_text(before.replace("fast: demo/echo", 'fast:   "demo/echo"'))
    assert ran(change, entries["omniroute-fmt"], {}).returncode == 0
    assert config.read_text() == before
    edited(change, "fast: demo/echo", "fast: dmo/echo")
    assert ran(change, entries["omniroute-validate"], {}).returncode == 1


def test_the_whole_story_of_gitops_can_be_played(tmp_path: Path, change: Path):
    script = str(ROOT / "examples" / "gitops" / "story.sh")
    done = ran(change, f"exec sh {script}", {"PORT": str(free_port()), "HOME": str(tmp_path), "TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("assistant is")]
    assert said == ["assistant is echo", "assistant is agent", "assistant is still agent", "assistant is echo"]
    assert not list(tmp_path.glob("tmp.*"))


# ----------------------------------------------------------------------------------------------------------- Kubernetes


@pytest.fixture(scope="module")
def manifests() -> dict[str, Any]:
    return {one["kind"]: one for one in yaml.safe_load_all((KUBERNETES / "gateway.yaml").read_text())}


def test_the_config_map_has_no_findings(monkeypatch: pytest.MonkeyPatch):
    assert bundle.read(KUBERNETES / "omniroute.yaml", catalog.load()).warnings == ()


def test_what_the_configuration_names_is_mounted(manifests: dict[str, Any]):
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {one["mountPath"]: one for one in container["volumeMounts"]}
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert {one["name"] for one in mounts.values()} == set(volumes)
    text = (KUBERNETES / "omniroute.yaml").read_text()
    spec = bundle.read(KUBERNETES / "omniroute.yaml", catalog.load()).spec
    arguments = cli.parser().parse_args(container["args"])
    assert str(arguments.config.parent) in mounts
    assert "subPath" not in mounts["/config"]
    assert spec.server.data_dir in mounts
    assert not mounts[spec.server.data_dir].get("readOnly")
    for folder, name in re.findall(r"\$\{file:(.+)/(.+?)\}", text):
        assert name in {item["path"] for item in volumes[mounts[folder]["name"]]["secret"]["items"]}
        assert name in manifests["Secret"]["stringData"]
    for name in re.findall(r"\$\{env:(.+?)\}", text):
        (given,) = [one for one in container["env"] if one["name"] == name]
        assert given["valueFrom"]["secretKeyRef"]["key"] in manifests["Secret"]["stringData"]
    assert container["ports"][0]["containerPort"] == spec.server.port
    assert pod["terminationGracePeriodSeconds"] > 30
    assert (
        volumes["data"]["persistentVolumeClaim"]["claimName"] == manifests["PersistentVolumeClaim"]["metadata"]["name"]
    )
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert manifests["Service"]["spec"]["selector"] == labels


def test_the_container_has_no_privileges(manifests: dict[str, Any]):
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


# ------------------------------------------------------------------------------------------------------------- container


def steps() -> list[tuple[str, str]]:
    lines = (ROOT / "Containerfile").read_text().splitlines()
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines if line and not line.startswith("#")]


def test_probes_and_the_health_check_hit_a_gateway_that_runs(manifests: dict[str, Any]):
    (container,) = manifests["Deployment"]["spec"]["template"]["spec"]["containers"]
    health = dict(steps())["HEALTHCHECK"].partition("CMD ")[2]
    _python, *arguments = json.loads(health)
    with Gateway("version: 1\nserver: {data_dir: {data_dir}}\nproviders: {demo: {}}\n") as gateway:
        for name in ("startupProbe", "livenessProbe", "readinessProbe"):
            with urllib.request.urlopen(gateway.url + container[name]["httpGet"]["path"], timeout=5) as reply:
                assert reply.status == 200
        asked = [one.replace("20128", str(gateway.port)) for one in arguments]
        assert subprocess.run([sys.executable, *asked], check=False, timeout=20).returncode == 0
    assert subprocess.run([sys.executable, *asked], check=False, timeout=20, capture_output=True).returncode != 0


def test_the_image_is_pinned_runs_as_nobody_and_starts_the_gateway():
    made = steps()
    told = dict(made)
    assert any("--require-hashes" in text for name, text in made if name == "RUN")
    for name, text in made:
        if name == "COPY" and "--from" not in text:
            assert (ROOT / text.split()[0]).exists()
    assert told["USER"] == "65532:65532"
    assert json.loads(told["ENTRYPOINT"]) == ["python", "-m", "omniroute"]
    assert cli.parser().parse_args(json.loads(told["CMD"])).run
    assert "OMNIROUTE_CONFIG=/config/omniroute.yaml" in told["ENV"]
