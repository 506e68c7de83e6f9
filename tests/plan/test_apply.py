"""Plans that are applied: to real gateways, and to one that does as it is told."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest
from support.gateway import Gateway
from support.git_server import git

from omniroute import catalog
from omniroute.cli import main
from omniroute.config.plan import version
from omniroute.config.plan.plan import Plan, made
from omniroute.errors import Conflict, Unavailable
from omniroute.services.apply import apply
from omniroute.upstream.instance import Standing
from omniroute.upstream.remote import Moved, Proposed, Tip

CATALOG = catalog.load()
ADMIN = "or-admin-key-of-this-test"
CONFIG = """\
version: 1
include: [parts/*.yaml]
server: {data_dir: {data_dir}}
providers: {demo: {}}
aliases: {fast: demo/echo}
keys:
  admin: {digest: "sha256:DIGEST", roles: [admin.write]}
""".replace("DIGEST", sha256(ADMIN.encode()).hexdigest())


@pytest.fixture(scope="module")
def gateway():
    with Gateway(CONFIG) as running:
        yield running


@pytest.fixture
def work(gateway, tmp_path, monkeypatch):
    """A copy of the files that the gateway runs, to be changed."""
    monkeypatch.setenv("OMNIROUTE_TOKEN", ADMIN)
    copy = tmp_path / "omniroute.yaml"
    copy.write_bytes(gateway.path.read_bytes())
    return copy


def planned(gateway: Gateway, work: Path, capsys, *options: str) -> Path:
    out = work.parent / "plan.json"
    assert main(["plan", "-c", str(work), "--against", gateway.url, "--out", str(out), *options]) == 0
    capsys.readouterr()
    return out


def test_a_running_gateway_takes_a_plan_of_several_files(gateway, work, capsys):
    work.write_text(f"{work.read_text().replace('fast: demo/echo', 'fast: demo/agent')}# from a plan\n")
    (work.parent / "parts").mkdir()
    (work.parent / "parts" / "more.yaml").write_text("combos: {pair: {targets: [demo/echo, demo/agent]}}\n")
    plan = planned(gateway, work, capsys)
    assert main(["apply", str(plan), "--to", gateway.url]) == 0
    assert "Every worker runs revision" in capsys.readouterr().out
    assert gateway.path.read_text() == work.read_text()
    assert (gateway.folder / "parts" / "more.yaml").exists()
    assert main(["apply", str(plan), "--to", gateway.url]) == 0
    assert "runs this already" in capsys.readouterr().out
    assert main(["plan", "-c", str(work), "--against", gateway.url, "--detailed-exitcode"]) == 0
    assert "No changes." in capsys.readouterr().out
    (work.parent / "parts" / "more.yaml").unlink()
    plan = planned(gateway, work, capsys, "--allow-destroy")
    assert main(["apply", str(plan), "--to", gateway.url, "--json"]) == 0
    assert '"outcome": "applied"' in capsys.readouterr().out
    assert not (gateway.folder / "parts" / "more.yaml").exists()


def test_what_somebody_changed_meanwhile_is_not_written_over(gateway, work, capsys):
    work.write_text(f"{work.read_text()}# mine\n")
    plan = planned(gateway, work, capsys)
    before = gateway.path.read_text()
    gateway.write(f"{before}# theirs\n")
    other = main(["plan", "-c", str(gateway.path), "--against", gateway.url, "--detailed-exitcode"])
    assert other in (0, 2)  # the gateway may have taken it up already
    _reload(gateway)
    capsys.readouterr()
    assert main(["apply", str(plan), "--to", gateway.url]) == 5
    assert "make a new one" in capsys.readouterr().err
    assert gateway.path.read_text() == f"{before}# theirs\n"


def _reload(gateway: Gateway) -> None:
    import urllib.request

    request = urllib.request.Request(
        f"{gateway.url}/api/config/reload", data=b"", method="POST", headers={"authorization": f"Bearer {ADMIN}"}
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        assert reply.status == 200


def test_files_that_make_no_gateway_there_are_taken_back(gateway, work, capsys):
    """The secret is not there where the gateway runs, which no look at the files could tell."""
    lab = 'lab: {type: openai-compatible, base_url: "http://127.0.0.1:9/v1", connections: {a: {api_key: "${env:NOWHERE}"}}}'
    work.write_text(work.read_text().replace("demo: {}", f"demo: {{}}, {lab}"))
    plan = planned(gateway, work, capsys)
    before = gateway.path.read_text()
    assert main(["apply", str(plan), "--to", gateway.url]) == 6
    assert "the environment variable `NOWHERE` is not set" in capsys.readouterr().err
    assert gateway.path.read_text() == before
    assert main(["plan", "-c", str(gateway.path), "--against", gateway.url, "--detailed-exitcode"]) == 0


def test_a_gateway_that_is_locked_says_so(gateway, work, capsys, monkeypatch):
    locked = CONFIG.replace("version: 1\n", "version: 1\nmode: locked\n")
    with Gateway(locked) as other:
        work.write_text(other.path.read_text().replace("fast: demo/echo", "fast: demo/agent"))
        plan = planned(other, work, capsys)
        assert main(["apply", str(plan), "--to", other.url]) == 6
        assert "`mode: locked` keeps the configuration from being changed here" in capsys.readouterr().err
        monkeypatch.setenv("OTHER", "wrong")
        assert main(["apply", str(plan), "--to", other.url, "--token-env", "OTHER"]) == 1
        assert "does not take the token" in capsys.readouterr().err
    assert main(["apply", str(plan), "--to", other.url]) == 1
    assert "cannot be reached" in capsys.readouterr().err


def test_a_gateway_that_makes_commits_says_which(work, capsys):
    with Gateway(CONFIG.replace("version: 1\n", "version: 1\nmode: git\n")) as other:
        git(other.folder, "init", "--quiet", "--initial-branch=main", ".")
        git(other.folder, "add", "omniroute.yaml")
        git(other.folder, "commit", "--quiet", "-m", "first")
        before = other.path.read_text()
        work.write_text(before.replace("fast: demo/echo", "fast: demo/agent"))
        plan = planned(other, work, capsys)
        assert main(["apply", str(plan), "--to", other.url]) == 6
        said = capsys.readouterr().err
        assert "(`mode: git`): it runs when that is merged" in said
        branch = git(other.folder, "branch", "--list", "omniroute/*").strip()
        assert f"the commit {branch} of it" in said or git(other.folder, "rev-parse", branch) in said
        assert other.path.read_text() == before


def test_what_is_no_plan_is_not_applied(tmp_path, capsys):
    (tmp_path / "plan.json").write_text("{}")
    assert main(["apply", str(tmp_path / "plan.json"), "--to", "http://127.0.0.1:9"]) == 1
    assert main(["apply", str(tmp_path / "none.json"), "--to", "http://127.0.0.1:9"]) == 1
    assert "it is no plan" in capsys.readouterr().err


# ------------------------------------------------------------------------------------- a gateway that does as it is told

FILES = {"config/omniroute.yaml": b"version: 1\nproviders: {demo: {}}\n"}


class Scripted:
    """A gateway with files, and with workers that say what they are told to say, the last of it for ever."""

    name = "http://gateway.test"

    def __init__(self, *said: Standing | Exception) -> None:
        self.files = dict(FILES)
        self.said = list(said)
        self.pushed: list[Mapping[str, bytes | None]] = []
        self.refuse: Exception | None = None
        self.time = 0.0

    def fetch(self) -> Tip:
        return Tip(self._revision(), dict(self.files))

    def push(self, onto: Tip, changes: Mapping[str, bytes | None], message: str, author: str) -> Tip:
        if self.refuse is not None:
            raise self.refuse
        assert onto.revision == self._revision()
        self.pushed.append(changes)
        kept = {name: content for name, content in self.files.items() if name not in changes}
        self.files = kept | {name: content for name, content in changes.items() if content is not None}
        return self.fetch()

    def standing(self) -> Standing:
        said = self.said.pop(0) if len(self.said) > 1 else self.said[0] if self.said else Standing({"": ""})
        if isinstance(said, Exception):
            raise said
        return Standing({who: digest or self._revision() for who, digest in said.workers.items()}, said.problem)

    def _revision(self) -> str:
        return version.of_files(self.files, "config/omniroute.yaml", CATALOG, "", Path()).digest

    def apply(self, plan: Plan):
        return apply(plan, self, timeout=5.0, monotonic=lambda: self.time, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.time += seconds


def _plan(before: Mapping[str, bytes] = FILES, name: str = "parts/more.yaml") -> Plan:
    folder = "config"
    main_file = b"version: 1\ninclude: [parts/*.yaml]\nproviders: {demo: {}}\n"
    after = {f"{folder}/omniroute.yaml": main_file, f"{folder}/{name}": b"aliases: {x: demo/echo}\n"}
    sides = [version.of_files(files, "config/omniroute.yaml", CATALOG, "", Path()) for files in (before, after)]
    return made(*sides, 0.0)


def test_it_waits_until_every_worker_runs_it():
    late = Standing({"1": "", "2": "another"})
    gateway = Scripted(Unavailable("busy"), late, late, Standing({"1": "", "2": ""}))
    done = gateway.apply(_plan())
    assert (done.outcome, done.seconds) == ("applied", pytest.approx(0.6))
    assert sorted(gateway.files) == ["config/omniroute.yaml", "config/parts/more.yaml"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (Standing({"1": "", "2": "another"}), "1 of 2 workers do not run it yet"),
        (
            Standing({"1": ""}, "omniroute.yaml:3 no such provider"),
            "refuses the files: omniroute.yaml:3 no such provider",
        ),
        (Unavailable("It does not answer."), "It does not answer."),
    ],
)
def test_what_not_every_worker_takes_is_put_back(said, told):
    gateway = Scripted(said)
    done = gateway.apply(_plan())
    assert done.outcome == "rolled_back"
    assert told in done.message
    assert gateway.files == FILES
    assert len(gateway.pushed) == 2
    assert done.revision == gateway.fetch().revision


def test_what_cannot_be_put_back_either_is_said():
    class Stubborn(Scripted):
        def push(self, *arguments, **named):
            tip = super().push(*arguments, **named)
            self.refuse = Unavailable("gone")
            return tip

    gateway = Stubborn(Standing({"1": "another"}))
    with pytest.raises(Conflict, match="could not be put back either: gone"):
        gateway.apply(_plan())


def test_who_was_faster_and_who_keeps_it_for_a_merge_are_told_apart():
    gateway = Scripted()
    gateway.refuse = Moved("The other instance has changed meanwhile.")
    assert gateway.apply(_plan()).outcome == "moved"
    gateway.refuse = Proposed("It has made the commit abc of it.")
    assert gateway.apply(_plan()).outcome == "proposed"
    gateway.refuse = Conflict("No.")
    assert gateway.apply(_plan()).outcome == "refused"
    assert gateway.files == FILES


def test_files_outside_of_what_the_gateway_reads_are_refused():
    gateway = Scripted()
    gateway.files = {"omniroute.yaml": FILES["config/omniroute.yaml"]}
    gateway._revision = lambda: version.of_files(gateway.files, "omniroute.yaml", CATALOG, "", Path()).digest  # type: ignore[method-assign]
    main_file = b"version: 1\ninclude: [../parts/*.yaml]\nproviders: {demo: {}}\n"
    after = {"config/omniroute.yaml": main_file, "parts/more.yaml": b"aliases: {x: demo/echo}\n"}
    new = version.of_files(after, "config/omniroute.yaml", CATALOG, "", Path())
    old = version.of_files(gateway.files, "omniroute.yaml", CATALOG, "", Path())
    done = gateway.apply(made(old, new, 0.0))
    assert (done.outcome, gateway.pushed) == ("refused", [])
    assert "outside of the folder" in done.message
