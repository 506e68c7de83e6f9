"""Command-line tools are found without being started, pointed here with their comments kept, and put back byte for byte."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec
import pytest

from omniroute.errors import BadRequest, CallError, Forbidden, NotFound
from omniroute.services.clients import formats
from omniroute.services.clients.settings import Clients, Place
from omniroute.services.clients.tools import BY_NAME, TOOLS, Item, Setting

BASE = "http://127.0.0.1:20128"
BEFORE = {
    "claude": {
        ".claude/settings.json": '{\n  // my own\n  "permissions": {"allow": ["Bash(ls:*)"]},\n  "env": {\n    "FOO": "1"\n  }\n}\n'
    },
    "codex": {
        ".codex/config.toml": '# my settings\nmodel = "gpt-5.2-codex" # the good one\napproval_policy = "never"\n\n'
        '[mcp_servers.words] # a server\ncommand = "node"\nargs = ["a", "b"]\n\n[tui]\nnotifications = true\n'
    },
    "droid": {".factory/settings.json": '{"customModels": [{"model": "mine", "id": "custom:mine"}], "theme": "dark"}'},
    "openclaw": {
        ".openclaw/openclaw.json": "{\n  // JSON5, as its documentation has it\n  agents: { defaults: { workspace: '~/w', }, },\n}\n"
    },
    "gemini": {
        ".gemini/.env": "# keys\nexport GEMINI_API_KEY='old' # mine\nOTHER=1",
        ".gemini/settings.json": '{\n\t"ui": {\n\t\t"theme": "GitHub"\n\t}\n}\n',
    },
    "opencode": {
        ".config/opencode/opencode.json": '{\r\n  "$schema": "https://opencode.ai/config.json", // schema\r\n}\r\n'
    },
    "cline": {
        ".cline/data/settings/providers.json": '{"version":1,"providers":{"anthropic":{"settings":{"apiKey":"sk-x"}}}}'
    },
    "qwen": {
        ".qwen/settings.json": '{\n  "$version": 3,\n  "modelProviders": {\n    "openai": [\n      { "id": "a", "name": "A" } // first\n    ]\n  }\n}'
    },
    "aider": {".aider.conf.yml": "# mine\ndark-mode: true  # eyes\nread:\n  - CONVENTIONS.md\n"},
    "continue": {
        ".continue/config.yaml": "name: Mine # yes\nversion: 0.0.1\nschema: v1\n\nmodels:\n  # local\n  - name: Llama\n    provider: ollama\n    model: llama3\n"
    },
}
each_tool = pytest.mark.parametrize("name", [tool.name for tool in TOOLS])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def clients(tmp_path: Path, home: Path) -> Clients:
    seconds = iter(range(1_700_000_000, 1_800_000_000))
    return Clients(lambda: Place(home, (tmp_path / "bin",)), tmp_path / "store", lambda: float(next(seconds)))


def lay(home: Path, name: str) -> dict[Path, bytes]:
    """The user's own files of a tool."""
    files = {home / place: text.encode() for place, text in BEFORE[name].items()}
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return files


def words_of(text: str) -> list[str]:
    """What a comment says, wherever it is."""
    return re.findall(r"(?://|#)\s*(\w[\w' ]*)", text)


@each_tool
def test_a_tool_is_pointed_here_with_everything_else_kept(clients: Clients, home: Path, name: str):
    files = lay(home, name)
    assert not clients.points_to(name, BASE)
    clients.write(name, BASE, "or-key", "coding")
    assert clients.points_to(name, BASE)
    for path, before in files.items():
        after = path.read_text()
        for words in words_of(before.decode()):
            if words != "mine":  # beside a value that was replaced in an .env
                assert words in after
        form = next(file.format for file in BY_NAME[name].files if home / file.place == path)
        old, new = (formats.read(form, text, "x") for text in (before.decode(), after))
        assert {key: new[key] for key in old if key not in touched(name)} == {
            key: old[key] for key in old if key not in touched(name)
        }
    everything = "".join(path.read_text() for path in files)
    assert "or-key" in everything
    assert "coding" in everything


def touched(name: str) -> set[object]:
    return {setting.path[0] for file in BY_NAME[name].files for setting in file.settings}


@each_tool
def test_an_undo_gives_the_bytes_back_however_often_it_was_written(clients: Clients, home: Path, name: str):
    files = lay(home, name)
    for model in ("coding", "fast", "coding"):
        clients.write(name, BASE, "or-key", model)
    assert set(clients.undo(name).values()) == {"bytes"}
    assert {path: path.read_bytes() for path in files} == files
    assert clients.undo(name) == {}


@each_tool
def test_an_undo_takes_away_files_that_were_not_there(clients: Clients, home: Path, name: str):
    paths = [Path(path) for path in clients.write(name, BASE, "or-key", "coding")]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in paths)
    assert set(clients.undo(name).values()) == {"removed"}
    assert not any(path.exists() for path in paths)


@each_tool
def test_what_the_user_has_changed_since_stays(clients: Clients, home: Path, name: str):
    files = lay(home, name)
    clients.write(name, BASE, "or-key", "coding")
    path = next(iter(files))
    form = BY_NAME[name].files[0].format
    path.write_text(formats.edited(form, path.read_text(), [Setting(("MINE",), "new")], "x"))
    assert clients.undo(name)[str(path)] == "settings"
    after = formats.read(form, path.read_text(), "x")
    assert after.pop("MINE") == "new"
    before = formats.read(form, files[path].decode(), "x")
    assert pruned(after) == pruned(before)


def pruned(data: object) -> object:
    """Without maps and lists that were made on the way to a value and are empty now."""
    if isinstance(data, dict):
        found = {key: pruned(value) for key, value in data.items()}
        return {key: value for key, value in found.items() if value not in ({}, [])}
    return [pruned(one) for one in data] if isinstance(data, list) else data


@each_tool
def test_the_settings_are_shown_without_what_is_secret(clients: Clients, home: Path, name: str):
    lay(home, name)
    clients.write(name, BASE, "or-secret-of-mine", "coding")
    shown = msgspec.json.encode(clients.shown(name)).decode()
    assert "or-secret-of-mine" not in shown
    assert "sk-x" not in shown
    assert "<hidden>" in shown


@pytest.mark.parametrize(
    ("name", "place", "text"),
    [
        ("claude", ".claude/settings.json", '{"env": '),
        ("claude", ".claude/settings.json", "[1, 2]"),
        ("claude", ".claude/settings.json", '{"env": "none"}'),
        ("claude", ".claude/settings.json", b"\xff\xfe"),
        ("codex", ".codex/config.toml", "model = \n"),
        ("codex", ".codex/config.toml", "model_providers = 3\n"),
        ("openclaw", ".openclaw/openclaw.json", "{agents: {defaults: {model: 'a/b'}}}"),
    ],
)
def test_a_file_that_cannot_be_edited_is_left_alone(
    clients: Clients, home: Path, name: str, place: str, text: str | bytes
):
    path = home / place
    path.parent.mkdir(parents=True)
    content = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(content)
    with pytest.raises(CallError) as told:
        clients.write(name, BASE, "k", "coding")
    assert told.value.fault.status == 409
    assert place in told.value.fault.message
    assert path.read_bytes() == content
    assert clients.backups(name) == []


def test_of_two_files_none_is_written_where_one_cannot_be(clients: Clients, home: Path):
    files = lay(home, "gemini")
    (home / ".gemini/settings.json").write_text("{")
    with pytest.raises(CallError):
        clients.write("gemini", BASE, "k", "coding")
    assert (home / ".gemini/.env").read_bytes() == files[home / ".gemini/.env"]


def test_a_link_stays_a_link(clients: Clients, home: Path, tmp_path: Path):
    real = tmp_path / "dotfiles.json"
    real.write_text("{}")
    (home / ".claude").mkdir(parents=True)
    (home / ".claude/settings.json").symlink_to(real)
    clients.write("claude", BASE, "k", "")
    assert (home / ".claude/settings.json").is_symlink()
    assert "ANTHROPIC_BASE_URL" in real.read_text()


def test_a_tool_that_needs_a_model_says_so(clients: Clients):
    with pytest.raises(BadRequest, match="wants a model"):
        clients.write("opencode", BASE, "k", "")
    clients.write("claude", BASE, "k", "")


def test_nothing_is_written_where_that_is_switched_off(tmp_path: Path, home: Path):
    clients = Clients(lambda: Place(home, writes=False), tmp_path / "store", lambda: 1.0)
    with pytest.raises(Forbidden):
        clients.write("claude", BASE, "k", "m")
    assert not home.exists()


def test_a_backup_can_be_put_back_and_deleted(clients: Clients, home: Path):
    files = lay(home, "codex")
    clients.write("codex", BASE, "k", "coding")
    (first, size), *_ = clients.backups("codex")
    assert size == sum(map(len, files.values()))
    clients.restore("codex", first.ident)
    assert {path: path.read_bytes() for path in files} == files
    assert len(clients.backups("codex")) == 2
    clients.remove("codex", first.ident)
    with pytest.raises(NotFound):
        clients.restore("codex", first.ident)
    for ident in ("../../etc", "", "x" * 500):
        with pytest.raises(NotFound):
            clients.remove("codex", ident)


def test_backups_do_not_pile_up_and_the_undo_still_finds_its_origin(clients: Clients, home: Path):
    files = lay(home, "claude")
    for number in range(25):
        clients.write("claude", BASE, "k", f"m{number}")
    assert len(clients.backups("claude")) == 25  # all of one chain: an undo needs the first
    clients.undo("claude")
    assert {path: path.read_bytes() for path in files} == files
    clients.write("claude", BASE, "k", "m")
    assert len(clients.backups("claude")) <= 20


def program(folder: Path, name: str, mode: int = 0o755) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\ntouch started\n")
    path.chmod(mode)
    return path


def test_a_tool_is_found_by_its_file_and_not_started(clients: Clients, tmp_path: Path):
    assert (clients.detect("droid").installed, clients.detect("droid").reason) == (False, "not_found")
    program(tmp_path / "bin", "droid", 0o644)
    assert (clients.detect("droid").installed, clients.detect("droid").reason) == (True, "not_executable")
    path = program(tmp_path / "bin", "droid")
    found = clients.detect("droid")
    assert (found.runnable, found.command_path) == (True, str(path))
    assert not list(tmp_path.rglob("started"))


def test_the_package_around_a_command_tells_which_program_it_is(clients: Clients, tmp_path: Path):
    for name, installed in (("@openai/codex", True), ("codex", False)):
        package = tmp_path / "lib" / name.replace("/", "-") / "node_modules" / name
        script = program(package / "bin", "codex.js")
        (package / "package.json").write_text(f'{{"name": "{name}", "version": "1.2.3"}}')
        link = tmp_path / "bin" / "codex"
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(script)
        found = clients.detect("codex")
        assert found.installed is installed
        assert (found.version, found.reason) == (("1.2.3", None) if installed else (None, "other_program"))


def test_an_unknown_tool_is_told_with_those_that_are_known(clients: Clients):
    with pytest.raises(NotFound, match="claude, codex"):
        clients.write("cursor", BASE, "k", "m")


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_an_item_of_a_list_is_found_by_its_name_or_added(form: str):
    path = ("models", Item("name", "ours"))
    text = formats.edited(form, "", [Setting(path, {"name": "ours", "n": 1})], "x")
    text = formats.edited(form, text, [Setting(path, {"name": "ours", "n": 2})], "x")
    assert formats.read(form, text, "x") == {"models": [{"name": "ours", "n": 2}]}


def test_links_in_the_path_of_a_tool_are_no_reason_to_fail(clients: Clients, tmp_path: Path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gemini").symlink_to(tmp_path / "nowhere")
    assert clients.detect("gemini").command_path in (
        None,
        *(str(Path(place) / "gemini") for place in os.get_exec_path()),
    )
