"""Several files read as one."""

import os
from pathlib import Path

import pytest

from omniroute import catalog
from omniroute.config import bundle
from omniroute.errors import ConfigError

DEMO = "version: 1\nproviders: {demo: {type: demo}}\n"
POLICY = "policies: {length: {rules: [{max_tokens: {output: 10}}]}}\n"


def tree(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root / "config" / "main.yaml"


def read(file):
    return bundle.read(file, catalog.load())


def codes(file):
    with pytest.raises(ConfigError) as caught:
        read(file)
    return [problem.code for problem in caught.value.problems]


def test_included_files_make_one_configuration(tmp_path):
    main = tree(tmp_path, {"config/main.yaml": DEMO + "include: [../policies/*.yaml]\n", "policies/a.yaml": POLICY})
    made = read(main)
    assert list(made.spec.policies) == ["length"]
    assert made.files == (main, tmp_path / "policies" / "a.yaml")
    assert made.watched == (tmp_path / "config", tmp_path / "policies")


def test_everything_is_located_in_the_file_where_it_stands(tmp_path):
    main = tree(tmp_path, {"config/main.yaml": DEMO + "include: [../policies/*.yaml]\n", "policies/a.yaml": POLICY})
    made = read(main)
    assert made.locate("providers.demo.type") == (str(main), 2, 26)
    assert made.locate(("policies", "length", "rules", 0, "max_tokens", "output")) == (
        str(tmp_path / "policies" / "a.yaml"),
        1,
        51,
    )
    assert made.locate("nothing.of.this") == (str(main), 1, 1)


def test_files_are_called_as_seen_from_where_one_stands(tmp_path, monkeypatch):
    tree(tmp_path, {"config/main.yaml": DEMO + "include: [../policies/*.yaml]\n", "policies/a.yaml": POLICY})
    monkeypatch.chdir(tmp_path)
    made = read("config/main.yaml")
    assert [document.name for document in made.documents] == ["config/main.yaml", "policies/a.yaml"]


def test_an_include_that_finds_nothing_yet_is_watched(tmp_path):
    (tmp_path / "policies").mkdir()
    made = read(tree(tmp_path, {"config/main.yaml": DEMO + "include: [../policies/*.yaml]\n"}))
    assert tmp_path / "policies" in made.watched


def test_the_digest_follows_every_byte_and_name_and_nothing_else(tmp_path):
    files = {"config/main.yaml": DEMO + "include: [../policies/*.yaml]\n", "policies/a.yaml": POLICY}
    one = read(tree(tmp_path / "one", files)).digest
    assert read(tree(tmp_path / "two", files)).digest == one
    assert read(tree(tmp_path / "three", {**files, "policies/a.yaml": POLICY + " "})).digest != one
    assert read(tree(tmp_path / "four", {**files, "policies/b.yaml": ""})).digest != one
    renamed = {"config/main.yaml": files["config/main.yaml"], "policies/b.yaml": POLICY}
    assert read(tree(tmp_path / "five", renamed)).digest != one


def test_all_files_are_judged_in_one_run_in_their_order(tmp_path):
    main = tree(
        tmp_path,
        {
            "config/main.yaml": "version: 1\nmodes: x\ninclude: [../p/*.yaml]\n",
            "p/a.yaml": "polices: {}\n",
            "p/b.yaml": "policies: [",
        },
    )
    with pytest.raises(ConfigError) as caught:
        read(main)
    places = [(Path(problem.file).name, problem.code) for problem in caught.value.problems]
    assert places == [("main.yaml", "OR101"), ("a.yaml", "OR101"), ("b.yaml", "OR004")]


def test_the_same_file_found_twice_is_read_once(tmp_path):
    text = DEMO + "include: [../policies/*.yaml, ../policies/a.yaml, '*.yaml', main.yaml]\n"
    made = read(tree(tmp_path, {"config/main.yaml": text, "policies/a.yaml": POLICY}))
    assert len(made.documents) == 2


def test_being_open_to_strangers_can_be_meant(tmp_path):
    main = tree(tmp_path, {"config/main.yaml": DEMO + "server: {host: 0.0.0.0}\n"})
    assert codes(main) == ["OR305"]
    assert [problem.code for problem in bundle.read(main, catalog.load(), insecure=True).warnings] == ["OR305"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_protection(tmp_path, host):
    main = tree(tmp_path, {"config/main.yaml": DEMO + f"server: {{host: '{host}'}}\n"})
    assert read(main).warnings == ()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.example.com", "1270.0.0.1", "192.168.1.1"])
def test_every_other_address_does(tmp_path, host):
    assert codes(tree(tmp_path, {"config/main.yaml": DEMO + f"server: {{host: '{host}'}}\n"})) == ["OR305"]


# --------------------------------------------------------------------------------------------------- staying inside


@pytest.mark.parametrize(
    "pattern",
    [
        "../../secret.yaml",
        "../../*.yaml",
        "/etc/hosts",
        "/{root}/secret.yaml",
        "**/*.yaml",
        "../config/../../secret.yaml",
        "link.yaml",
        "folder/secret.yaml",
        "loop.yaml",
        "notes.txt",
        "gone.yaml",
        "nul\\0.yaml",
    ],
)
def test_an_include_cannot_leave_the_parent_of_the_configuration(tmp_path, pattern):
    (tmp_path / "secret.yaml").write_text("canary-secret: [\n")
    main = tree(tmp_path / "repo", {"config/main.yaml": DEMO, "config/notes.txt": "canary-secret"})
    pattern = pattern.replace("{root}", str(tmp_path).strip("/"))
    main.write_text(f'{DEMO}include: ["{pattern}"]\n')
    (main.parent / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    (main.parent / "folder").symlink_to(tmp_path)
    (main.parent / "loop.yaml").symlink_to("loop.yaml")
    with pytest.raises(ConfigError) as caught:
        read(main)
    assert {problem.code for problem in caught.value.problems} <= {"OR001", "OR011"}
    assert "canary" not in repr(caught.value.problems)


def test_at_the_top_of_the_disk_only_the_configuration_itself_is_inside(tmp_path, monkeypatch):
    main = tree(tmp_path, {"config/main.yaml": DEMO + "include: [../other/a.yaml]\n", "other/a.yaml": POLICY})
    includes = bundle._Includes(main, bundle.Document.parse(main.read_text(), "main.yaml"))
    assert includes.problems == []
    assert bundle._Includes(Path("/main.yaml"), bundle.Document.parse("include: [etc/x.yaml]", "m"))._limit == Path("/")
    assert bundle._Includes(Path("/tmp/main.yaml"), bundle.Document.parse("", "m"))._limit == Path("/tmp").resolve()


@pytest.mark.parametrize("kind", ["missing", "directory", "pipe", "unreadable"])
def test_what_is_no_readable_file_is_a_problem_and_never_waited_for(tmp_path, kind):
    main = tmp_path / "main.yaml"
    if kind == "directory":
        main.mkdir()
    elif kind == "pipe":
        os.mkfifo(main)
    elif kind == "unreadable":
        main.symlink_to("main.yaml")
    with pytest.raises(ConfigError) as caught:
        read(main)
    (problem,) = caught.value.problems
    assert (problem.code, problem.file, problem.line) == ("OR001", str(main), 1)


def test_a_config_map_with_its_links_is_read_like_any_directory(tmp_path):
    versions = tmp_path / "omniroute"
    tree(versions, {"..2024/main.yaml": DEMO + "include: ['p-*.yaml']\n", "..2024/p-a.yaml": POLICY})
    (versions / "..data").symlink_to("..2024")
    for name in ("main.yaml", "p-a.yaml"):
        (versions / name).symlink_to(f"..data/{name}")
    made = read(versions / "main.yaml")
    assert list(made.spec.policies) == ["length"]
    assert made.watched == (versions,)


def test_there_is_an_end_to_the_number_of_files(tmp_path):
    files = {f"p/{number}.yaml": "" for number in range(bundle.MAX_FILES + 5)}
    assert set(codes(tree(tmp_path, {"config/main.yaml": DEMO + "include: [../p/*.yaml]\n", **files}))) == {"OR011"}
