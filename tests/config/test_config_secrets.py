"""References and what stands behind them."""

import os

import pytest

from omniroute import catalog
from omniroute.config import bundle, secrets
from omniroute.errors import ConfigError

CANARY = "canary-0123456789-value"


@pytest.fixture
def config(tmp_path):
    def make(reference, base_url="http://lab:1"):
        file = tmp_path / "main.yaml"
        file.write_text(
            "version: 1\nproviders:\n  lab:\n    type: openai-compatible\n"
            f'    base_url: "{base_url}"\n    connections:\n      main: {{api_key: "{reference}"}}\n'
        )
        return bundle.read(file, catalog.load())

    return make


AT = "providers.lab.connections.main.api_key"


def problem_of(read):
    (problem,) = secrets.missing(read)
    assert CANARY not in repr(problem)
    assert problem.path in {AT, "providers.lab.base_url"}
    assert problem.line > 1
    return problem


def test_a_variable_is_resolved_to_a_secret(config, monkeypatch):
    monkeypatch.setenv("LAB_KEY", CANARY)
    read = config("${env:LAB_KEY}")
    resolver = secrets.Resolver(read)
    secret = resolver.secret("${env:LAB_KEY}", AT)
    resolver.check()
    assert secret.reveal() == CANARY
    assert CANARY not in repr(secret)
    assert secrets.missing(read) == []


def test_a_file_is_resolved_without_its_line_end(config, tmp_path):
    (tmp_path / "key").write_text(CANARY + "\r\n")
    read = config(f"${{file:{tmp_path}/key}}")
    assert secrets.Resolver(read).secret(f"${{file:{tmp_path}/key}}", AT).reveal() == CANARY


def test_a_mounted_secret_is_found_behind_its_links(config, tmp_path):
    (tmp_path / "..2024").mkdir()
    (tmp_path / "..2024" / "key").write_text(CANARY)
    (tmp_path / "..data").symlink_to("..2024")
    (tmp_path / "key").symlink_to("..data/key")
    assert secrets.missing(config(f"${{file:{tmp_path}/key}}")) == []


def test_text_that_is_no_reference_stays_as_it_is(config):
    assert secrets.Resolver(config("${env:X}")).text("plain ${env:X}", AT) == "plain ${env:X}"


def test_a_missing_variable_is_named_with_its_place_and_without_a_value(config, monkeypatch):
    monkeypatch.delenv("LAB_KEY", raising=False)
    problem = problem_of(config("${env:LAB_KEY}"))
    assert (problem.code, problem.line, problem.col) == ("OR111", 7, 23)
    assert "LAB_KEY" in problem.message


def test_an_empty_variable_is_as_good_as_none(config, monkeypatch):
    monkeypatch.setenv("LAB_KEY", "")
    assert problem_of(config("${env:LAB_KEY}")).code == "OR111"


@pytest.mark.parametrize("value", [f"{CANARY}\n{CANARY}", f"{CANARY}\r", f"{CANARY}\x7f", f"{CANARY}ü"])
def test_a_secret_that_would_break_a_header_is_refused(config, monkeypatch, value):
    monkeypatch.setenv("LAB_KEY", value)
    assert problem_of(config("${env:LAB_KEY}")).code == "OR113"


@pytest.mark.parametrize(
    "path", ["/proc/self/environ", "/proc/1/cmdline", "/sys/x", "/dev/stdin", "/dev/zero", "/proc"]
)
def test_files_that_are_no_files_are_refused(config, path):
    assert problem_of(config(f"${{file:{path}}}")).code == "OR112"


def test_a_link_to_such_a_file_is_refused_too(config, tmp_path):
    (tmp_path / "key").symlink_to("/proc/self/environ")
    assert problem_of(config(f"${{file:{tmp_path}/key}}")).code == "OR112"
    (tmp_path / "folder").symlink_to("/proc/self")
    assert problem_of(config(f"${{file:{tmp_path}/folder/environ}}")).code == "OR112"


def test_directories_pipes_and_large_files_are_refused_without_waiting(config, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_text("x" * (secrets.MAX_BYTES + 1))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "empty").write_text("\n")
    found = {
        name: problem_of(config(f"${{file:{tmp_path}/{name}}}")).code
        for name in ("", "pipe", "large", "binary", "empty")
    }
    assert found == {"": "OR112", "pipe": "OR112", "large": "OR112", "binary": "OR113", "empty": "OR111"}


def test_a_loop_of_links_is_a_missing_file(config, tmp_path):
    (tmp_path / "key").symlink_to("key")
    assert problem_of(config(f"${{file:{tmp_path}/key}}")).code == "OR111"


def test_an_address_behind_a_reference_must_be_one(config, monkeypatch):
    monkeypatch.setenv("LAB_KEY", CANARY)
    read = config("${env:LAB_KEY}", "${env:LAB_URL}")
    monkeypatch.setenv("LAB_URL", f"https://user:{CANARY}@host/")
    assert problem_of(read).code == "OR113"
    monkeypatch.setenv("LAB_URL", "http://10.0.0.7:8000/v1")
    assert secrets.missing(read) == []
    assert secrets.Resolver(read).address("${env:LAB_URL}", "providers.lab.base_url") == "http://10.0.0.7:8000/v1"


def test_all_problems_are_told_together_at_the_end(config):
    resolver = secrets.Resolver(config("${env:NOT_SET_1}"))
    resolver.secret("${env:NOT_SET_1}", AT)
    assert resolver.address("${env:NOT_SET_2}", "providers.lab.base_url") == secrets.UNRESOLVED
    with pytest.raises(ConfigError) as caught:
        resolver.check()
    assert len(caught.value.problems) == 2


def test_looking_does_not_need_the_secrets(config):
    resolver = secrets.Resolver(config("${env:NOT_SET_1}"), resolve=False)
    resolver.secret("${env:NOT_SET_1}", AT)
    resolver.address("${env:NOT_SET_2}", "providers.lab.base_url")
    resolver.check()


# ----------------------------------------------------------------------------------------------------- the environment

VARIABLES = ("OMNIROUTE_CONFIG", "PORT", "REQUIRE_API_KEY", "INITIAL_PASSWORD", "OMNIROUTE_LOG_LEVEL")


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_an_empty_environment_says_nothing():
    said = secrets.environment()
    assert (said.config, said.port, said.require_api_key, said.initial_password, said.log_level) == (None,) * 5


def test_the_documented_variables_are_read(monkeypatch):
    for name, value in zip(VARIABLES, ("a/b.yaml", "8080", "TRUE", CANARY, "debug"), strict=True):
        monkeypatch.setenv(name, value)
    said = secrets.environment()
    assert (str(said.config), said.port, said.require_api_key, said.log_level) == ("a/b.yaml", 8080, True, "DEBUG")
    assert said.initial_password.reveal() == CANARY
    assert CANARY not in repr(said)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "x"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "²"),
        ("REQUIRE_API_KEY", "maybe"),
        ("OMNIROUTE_LOG_LEVEL", "loud"),
    ],
)
def test_a_variable_that_cannot_be_understood_is_a_problem(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        secrets.environment()
    (problem,) = caught.value.problems
    assert (problem.code, problem.path) == ("OR113", name)
