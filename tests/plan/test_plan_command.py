"""`omniroute plan` as it is run: what it compares with, how it ends, and what it writes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from support.git_server import git

from omniroute import catalog
from omniroute.cli import main
from omniroute.config.plan import shown, version
from omniroute.config.plan.plan import applied, decode, made

CATALOG = catalog.load()
CASES = Path(__file__).parent / "cases"
GOOD = sorted((Path(__file__).parents[1] / "config" / "good").glob("*.yaml"))
CONFIG = """\
version: 1
providers: {demo: {}}
aliases: {fast: demo/echo, slow: demo/agent}
combos: {coding: {targets: [demo/echo, demo/agent]}}
"""


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = main(["plan", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with the configuration in a folder, and a part of it in another one."""
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "--quiet", "--initial-branch=main", ".")
    for name, text in {
        "config/omniroute.yaml": CONFIG.replace("version: 1\n", "version: 1\ninclude: [../parts/*.yaml]\n"),
        "parts/keys.yaml": f"keys: {{team: {{digest: 'sha256:{'a' * 64}'}}}}\n",
        "elsewhere/other.yaml": "not: ours\n",
    }.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    return tmp_path


def test_the_files_are_compared_with_what_is_committed(repository, capsys):
    assert run(capsys)[:2] == (0, f"git:HEAD ({_head(repository)}) → config/omniroute.yaml\nNo changes.\n")
    main_file = Path("config/omniroute.yaml")
    main_file.write_text(main_file.read_text().replace("fast: demo/echo", "fast: demo/agent"))
    Path("parts/more.yaml").write_text(f"keys: {{second: {{digest: 'sha256:{'b' * 64}'}}}}\n")
    code, out, err = run(capsys, "--detailed-exitcode")
    assert (code, err) == (2, "")
    assert "~ aliases.fast    config/omniroute.yaml:4" in out
    assert "+ keys.second    parts/more.yaml:1" in out
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "second")
    assert run(capsys, "--detailed-exitcode")[0] == 0
    for revision in ("HEAD~1", "main^", "HEAD~", git(repository, "rev-parse", "HEAD~1")):
        code, out, _ = run(capsys, "--detailed-exitcode", "--against", f"git:{revision}")
        assert (code, "+ keys.second" in out) == (2, True)


def _head(repository: Path) -> str:
    return git(repository, "rev-parse", "HEAD")[:12]


def test_a_removed_file_of_a_revision_is_told_by_its_own_name(repository, capsys):
    Path("parts/keys.yaml").unlink()
    _, out, _ = run(capsys, "--allow-destroy")
    assert "- keys.team    parts/keys.yaml:1, before" in out
    assert "/tmp" not in out.replace(str(repository), "")


def test_a_configuration_that_is_not_committed_yet_is_added_as_a_whole(repository, capsys):
    Path("new.yaml").write_text(CONFIG)
    code, out, _ = run(capsys, "--config", "new.yaml", "--detailed-exitcode")
    assert code == 2
    assert "+ combos.coding    new.yaml:4" in out


def test_what_cannot_be_compared_with_says_why(repository, capsys, tmp_path_factory):
    code, _, err = run(capsys, "--against", "git:nothing")
    assert (code, err) == (1, "There is no revision `nothing` in the repository.\n")
    code, _, err = run(capsys, "--against", "git:HEAD~7")
    assert (code, err) == (1, "There is no revision `HEAD~7` in the repository.\n")
    alone = tmp_path_factory.mktemp("alone") / "omniroute.yaml"
    alone.write_text(CONFIG)
    code, _, err = run(capsys, "--config", str(alone))
    assert (code, "is in no git repository" in err) == (1, True)
    code, _, err = run(capsys, "--against", "not-there.yaml")
    assert (code, "OR001" in err) == (1, True)
    Path("parts/keys.yaml").write_text("keys: {team: {digest: wrong}}\n")
    git(repository, "commit", "--quiet", "-am", "broken")
    Path("parts/keys.yaml").unlink()
    code, _, err = run(capsys)
    assert (code, "parts/keys.yaml:1" in err) == (1, True)


def test_wrong_usage_is_not_taken_for_changes(capsys):
    with pytest.raises(SystemExit) as end:
        main(["plan", "--output", "nonsense"])
    assert end.value.code == 2
    with pytest.raises(SystemExit) as end:
        main(["plan", "--detailed-exitcode", "--output", "nonsense"])
    assert end.value.code == 1
    capsys.readouterr()


def test_what_takes_too_much_away_is_refused_unless_it_is_meant(tmp_path, capsys):
    old, new, out = tmp_path / "old.yaml", tmp_path / "new.yaml", tmp_path / "plan.json"
    old.write_text(CONFIG)
    new.write_text(CONFIG.replace("fast: demo/echo, slow: demo/agent", "").replace("  ", " "))
    options = ("--config", str(new), "--against", str(old), "--out", str(out))
    code, said, _ = run(capsys, *options, "--detailed-exitcode")
    assert code == 4
    assert "Blast radius: 2 of 4 objects removed (50%, more than 30%)." in said
    assert "Refused" in said
    assert not out.exists()
    assert run(capsys, *options, "--destroy-threshold", "60%")[0] == 0
    out.unlink()
    code, said, _ = run(capsys, *options, "--allow-destroy", "--detailed-exitcode")
    assert code == 2
    assert "Refused" not in said
    assert decode(out.read_bytes()).blast.allowed
    one_less = tmp_path / "one-less.yaml"
    one_less.write_text(CONFIG.replace(", slow: demo/agent", ""))
    assert run(capsys, "--config", str(one_less), "--against", str(old), "--destroy-threshold", "20%")[0] == 0


def test_a_plan_that_is_written_leads_from_the_base_to_the_files_and_holds_no_secret(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LAB_KEY", "the-value-of-a-secret")
    old, new = (CASES / "connection-has-another-secret" / side / "omniroute.yaml" for side in ("before", "after"))
    out = tmp_path / "plan.json"
    assert run(capsys, "--config", str(new), "--against", str(old), "--out", str(out))[0] == 0
    plan = decode(out.read_bytes())
    assert applied({"omniroute.yaml": old.read_bytes()}, plan) == {"omniroute.yaml": new.read_bytes()}
    assert b"the-value-of-a-secret" not in out.read_bytes()
    assert out.stat().st_mode & 0o777 == 0o600
    for wrong in (b"{", b"{}", b'{"format": 2}', out.read_bytes().replace(b'"changed"', b'"painted"')):
        with pytest.raises(ValueError, match=r"plan"):
            decode(wrong)


def test_machines_get_the_same_plan_without_the_files(capsys):
    sides = [str(CASES / "price-up" / side / "omniroute.yaml") for side in ("before", "after")]
    code, out, _ = run(capsys, "--config", sides[1], "--against", sides[0], "--json")
    told = msgspec.json.decode(out)
    assert (code, told["summary"]["changed"], "files" in told) == (0, 1, False)
    assert told["effects"][0]["kind"] == "price_up"


def test_a_comment_on_a_pull_request_says_what_it_means_and_is_no_markup_of_others(golden, monkeypatch):
    for name in ("policy-denies-all", "text-that-a-terminal-would-obey", "nothing-differs", "comments-only"):
        monkeypatch.chdir(CASES / name)
        sides = [version.of_file(Path(side) / "omniroute.yaml", CATALOG) for side in ("before", "after")]
        told = shown.markdown(made(*sides, 0.0))
        golden(CASES / name / "plan.md", f"{told}\n")
    monkeypatch.chdir(CASES / "text-that-a-terminal-would-obey")
    assert "<b>" not in told.partition("```diff")[0]


def test_a_comment_is_no_longer_than_one_may_be(tmp_path):
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(CONFIG)
    names = "\n".join(f"  {'x' * 100}-{number}: {{targets: [{', '.join(['demo/echo'] * 20)}]}}" for number in range(30))
    keys = "\n".join(
        f"  {section}-{'y' * 100}-{number}: {{limit: 1, period: total}}" for section in "a" for number in range(400)
    )
    new.write_text(
        f"{CONFIG.replace('combos: {coding: {targets: [demo/echo, demo/agent]}}', '')}combos:\n{names}\nbudgets:\n{keys}\n"
    )
    sides = [version.of_file(path, CATALOG) for path in (old, new)]
    monstrous = made(*sides, 0.0)
    many = msgspec.structs.replace(monstrous, effects=monstrous.effects * 300, changes=monstrous.changes * 3)
    assert len(shown.markdown(many)) < 65_536
    assert shown.text(many, colour=True).count("\x1b[32m") > 10


@pytest.mark.parametrize("index", range(len(GOOD)), ids=[path.stem for path in GOOD])
def test_any_good_configuration_leads_to_the_next(index, tmp_path):
    """From each file of the corpus to the one after it, and to itself."""
    sides = []
    for number, path in enumerate((GOOD[index], GOOD[(index + 1) % len(GOOD)])):
        copy = tmp_path / str(number) / "config" / "omniroute.yaml"
        copy.parent.mkdir(parents=True)
        copy.write_bytes(path.read_bytes())
        for part in (path.parent / "parts").glob("*.yaml"):
            (copy.parent / "parts").mkdir(exist_ok=True)
            (copy.parent / "parts" / part.name).write_bytes(part.read_bytes())
        sides.append(version.of_file(copy, CATALOG, insecure=True))
    old, new = sides
    assert made(old, old, 0.0).empty
    plan = made(old, new, 0.0)
    files = applied(old.files, plan)
    assert files == dict(new.files)
    assert version.of_files(files, "omniroute.yaml", CATALOG, "", Path()).digest == new.digest
    assert decode(msgspec.json.encode(plan)) == plan
