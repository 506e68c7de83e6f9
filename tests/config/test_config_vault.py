"""The secrets that the gateway is handed: kept for its owner alone, sealed where there is a key, never half written."""

import os
import stat
import threading

import pytest

from omniroute import catalog
from omniroute.config import bundle, secrets
from omniroute.config.vault import Vault, VaultError
from omniroute.secret import Secret

CANARY = "sk-canary-0123456789"
KEY = Secret("a key of the operator")


def test_what_was_put_is_there_for_the_next_process_and_gone_when_deleted(tmp_path):
    Vault(tmp_path, None).put("openai.team-1", CANARY)
    other = Vault(tmp_path, None)
    assert (other.get("openai.team-1"), other.get("nothing"), other.names()) == (CANARY, None, ["openai.team-1"])
    other.delete("openai.team-1", "nothing")
    assert (Vault(tmp_path, None).get("openai.team-1"), other.names()) == (None, [])


def test_only_the_owner_can_read_the_file(tmp_path):
    before = os.umask(0)
    try:
        Vault(tmp_path / "data", None).put("a", CANARY)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "data" / "secrets").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["secrets", "secrets.lock"]


def test_with_a_key_no_value_stands_in_the_file(tmp_path):
    Vault(tmp_path, KEY).put_all({"a": CANARY, "b": CANARY})
    raw = (tmp_path / "secrets").read_text()
    assert CANARY not in raw
    assert Vault(tmp_path, KEY).get("a") == CANARY
    assert Vault(tmp_path, KEY).names() == ["a", "b"]


def test_a_file_of_before_the_key_is_sealed_with_the_next_write(tmp_path):
    Vault(tmp_path, None).put("a", CANARY)
    vault = Vault(tmp_path, KEY)
    assert vault.get("a") == CANARY
    vault.put("b", "other")
    assert CANARY not in (tmp_path / "secrets").read_text()
    assert (vault.get("a"), vault.get("b")) == (CANARY, "other")


@pytest.mark.parametrize(("key", "said"), [(None, "is not set"), (Secret("wrong"), "another `OMNIROUTE_SECRET_KEY`")])
def test_a_wrong_or_missing_key_is_told_and_nothing_is_lost(tmp_path, key, said):
    Vault(tmp_path, KEY).put("a", CANARY)
    before = (tmp_path / "secrets").read_bytes()
    vault = Vault(tmp_path, key)
    for act in (lambda: vault.get("a"), lambda: vault.put("b", "x"), lambda: vault.delete("a")):
        with pytest.raises(VaultError, match=said) as caught:
            act()
        assert CANARY not in str(caught.value)
    assert vault.names() == ["a"]
    assert (tmp_path / "secrets").read_bytes() == before


def test_an_entry_does_not_pass_for_another(tmp_path):
    Vault(tmp_path, KEY).put_all({"a": CANARY, "b": "other"})
    raw = (tmp_path / "secrets").read_text()
    one, two = (raw.split(f'"{name}": "')[1].split('"')[0] for name in "ab")
    (tmp_path / "secrets").write_text(raw.replace(one, "-").replace(two, one).replace('"-"', f'"{two}"'))
    with pytest.raises(VaultError):
        Vault(tmp_path, KEY).get("b")


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"values": {"a": 1}}', b"\xff\xfe", b'{"salt": "x", "values": {"a": "?"}}']
)
def test_a_damaged_file_is_told_and_left_alone(tmp_path, content):
    (tmp_path / "secrets").write_bytes(content)
    vault = Vault(tmp_path, KEY)
    with pytest.raises(VaultError):
        vault.get("a")
    with pytest.raises(VaultError):
        vault.put("b", "x")
    assert (tmp_path / "secrets").read_bytes() == content


@pytest.mark.parametrize("name", ["", "../x", "a b", "a\n", "x" * 129])
def test_a_name_that_a_reference_cannot_have_is_refused(tmp_path, name):
    with pytest.raises(VaultError):
        Vault(tmp_path, None).put(name, "x")
    assert not (tmp_path / "secrets").exists()


def test_what_is_only_offered_is_known_meanwhile_and_on_no_disk(tmp_path):
    vault = Vault(tmp_path, None)
    vault.offer({"a": CANARY})
    assert vault.get("a") == CANARY
    vault.withdraw(["a", "b"])
    assert vault.get("a") is None
    assert list(tmp_path.iterdir()) == []


def test_writers_at_the_same_time_lose_nothing(tmp_path):
    def write(number: int) -> None:
        vault = Vault(tmp_path, None)  # a handle of its own, as another process has
        for each in range(10):
            vault.put(f"w{number}-{each}", "x")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Vault(tmp_path, None).names()) == 40


@pytest.fixture
def config(tmp_path):
    def make(reference):
        file = tmp_path / "main.yaml"
        file.write_text(
            f"version: 1\nserver: {{data_dir: {tmp_path}/data}}\nproviders:\n  lab:\n    type: openai-compatible\n"
            f'    base_url: http://lab:1\n    connections:\n      main: {{api_key: "{reference}"}}\n'
        )
        return bundle.read(file, catalog.load())

    return make


def test_a_reference_leads_to_the_kept_secret(config, tmp_path):
    Vault(tmp_path / "data", None).put("lab.main-1", CANARY)
    read = config("${secret:lab.main-1}")
    assert secrets.missing(read) == []
    assert secrets.kept(read) == {"lab.main-1"}
    place = ("providers", "lab", "connections", "main", "api_key")
    assert secrets.Resolver(read).secret("${secret:lab.main-1}", place).reveal() == CANARY


def test_a_reference_to_nothing_is_a_problem_with_its_line(config):
    (problem,) = secrets.missing(config("${secret:gone}"))
    assert (problem.code, problem.line) == ("OR111", 8)
    assert "gone" in problem.message


def test_a_sealed_secret_without_the_key_is_a_problem_with_its_line(config, tmp_path, monkeypatch):
    Vault(tmp_path / "data", KEY).put("a", CANARY)
    (problem,) = secrets.missing(config("${secret:a}"))
    assert problem.code == "OR111"
    assert "OMNIROUTE_SECRET_KEY" in problem.message
    monkeypatch.setenv("OMNIROUTE_SECRET_KEY", KEY.reveal())
    assert secrets.missing(config("${secret:a}")) == []
