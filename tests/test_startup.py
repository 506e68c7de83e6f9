"""What has to be so before the gateway serves, what it says where it is not, and what it serves in spite of."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from support.gateway import ROOT, Gateway, environment, free_port

from omniroute import api, catalog
from omniroute.config import bundle
from omniroute.config.overrides import Overrides, overridden
from omniroute.errors import ConfigError
from omniroute.secret import Secret

DEMO = 'version: 1\nserver: {data_dir: "{data_dir}"}\nproviders: {demo: {}}\n'
KEYS = 'keys: {a: {digest: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}\n'
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQxMjM0$Jm1sR0Zb5oZ8K0jB2h0V5g"
EVERYWHERE = "0.0.0.0"


def configured(path: Path, text: str) -> Path:
    path.write_text(text.replace("{data_dir}", str(path.parent / "data")))
    return path


@contextmanager
def running(*arguments: object, port: int, cwd: Path, **said: str) -> Iterator[str]:
    """A gateway by its command line; gives its address once it answers."""
    command = [sys.executable, "-m", "omniroute", *map(str, arguments)]
    log = cwd / "log"
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=cwd, env=environment() | said, stdout=out, stderr=out)
        try:
            deadline = time.monotonic() + 20
            while get(f"http://127.0.0.1:{port}/readyz")[0] != 200:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def refused(*arguments: object, cwd: Path, **said: str) -> str:
    """What a gateway says that does not start."""
    ended = subprocess.run(
        [sys.executable, "-m", "omniroute", "serve", *map(str, arguments)],
        cwd=cwd,
        env=environment() | said,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 78, ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    return ended.stderr


def get(url: str, body: Any = None, method: str | None = None, **headers: str) -> tuple[int, Any]:
    """Status and JSON; status 0 where nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"} | headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError:
        return 0, None


def chat(url: str, **headers: str) -> int:
    body = {"model": "demo/echo", "messages": [{"role": "user", "content": "hi"}]}
    return get(f"{url}/v1/chat/completions", body, **headers)[0]


# --------------------------------------------------------------------------------------------------- open to strangers


@pytest.mark.parametrize("public", [False, True], ids=["loopback", "public"])
def test_only_a_gateway_that_keeps_strangers_out_starts_on_a_public_address(tmp_path, public):
    outcomes = {}
    for keyed, keys, hashed, insecure, given in product([False, True], repeat=5):
        auth = {"require_api_key": keyed} | ({"password_hash": HASH} if hashed else {})
        server = {"host": EVERYWHERE if public else "127.0.0.1"}
        text = f"version: 1\nserver: {json.dumps(server)}\nauth: {json.dumps(auth)}\n{KEYS if keys else ''}"
        read = bundle.read(configured(tmp_path / "omniroute.yaml", text), catalog.load(), insecure=True)
        overrides = Overrides(insecure=insecure, initial_password=Secret("a password") if given else None)
        try:
            overridden(read, overrides)
        except ConfigError as error:
            (problem,) = error.problems
            assert (problem.code, problem.path) == ("OR305", "server.host")
            assert ("require_api_key" in problem.message) is not keyed
            assert ("`keys`" in problem.message) is not keys
            assert ("password_hash" in problem.message) is not (hashed or given)
            starts = False
        else:
            starts = True
        outcomes[keyed, keys, hashed, insecure, given] = starts
    assert len(outcomes) == 32
    for (keyed, keys, hashed, insecure, given), starts in outcomes.items():
        assert starts is (not public or insecure or (keyed and keys and (hashed or given)))


@pytest.mark.parametrize("missing", ["require_api_key", "password_hash", "keys", "require_login"])
def test_the_process_ends_with_78_and_names_what_to_set(tmp_path, missing):
    auth = {"require_api_key": True, "password_hash": HASH, "require_login": True}
    if missing == "require_login":
        auth[missing] = False
    else:
        auth.pop(missing, None)
    text = f"version: 1\nserver: {{host: {EVERYWHERE}}}\nauth: {json.dumps(auth)}\n{'' if missing == 'keys' else KEYS}"
    told = refused("-c", configured(tmp_path / "omniroute.yaml", text), cwd=tmp_path)
    line = told.splitlines()[0]
    assert re.search(r"omniroute\.yaml:2:16: error OR305 server\.host: ", line)
    assert missing in line


def test_a_process_of_this_machine_has_no_rights_by_being_here():
    with Gateway(DEMO) as gateway:
        guarded = [row for row in api.ENDPOINTS if row.access != "public"]
        assert guarded
        for row in guarded:
            assert get(gateway.url + row.path, {} if row.body_limit else None, row.method)[0] == 401, row.path


def test_an_option_opens_no_door_that_the_file_keeps_shut(tmp_path):
    file = configured(tmp_path / "omniroute.yaml", DEMO)
    assert "OR305" in refused("-c", file, "--host", EVERYWHERE, cwd=tmp_path)


def test_insecure_starts_and_warns(tmp_path):
    with Gateway(DEMO, "--host", EVERYWHERE, "--insecure") as gateway:
        assert chat(gateway.url) == 200
        assert "WARNING omniroute: started with --insecure" in gateway.said()


# --------------------------------------------------------------------------------------------------- what is not there


def test_a_port_that_is_taken_is_told_in_a_line(tmp_path):
    file = configured(tmp_path / "omniroute.yaml", DEMO)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        told = refused("-c", file, "--port", port, cwd=tmp_path)
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in told
    assert "--port" in told
    assert len(told.splitlines()) == 1


def test_a_host_that_is_not_ours_is_told_in_a_line(tmp_path):
    file = configured(tmp_path / "omniroute.yaml", DEMO)
    told = refused("-c", file, "--host", "203.0.113.7", "--insecure", cwd=tmp_path)
    assert "cannot listen on 203.0.113.7:20128: Cannot assign requested address" in told
    assert len(told.splitlines()) == 1


def test_port_0_takes_a_free_one_and_tells_which(tmp_path):
    file = configured(tmp_path / "omniroute.yaml", DEMO)
    process = subprocess.Popen(
        [sys.executable, "-m", "omniroute", "serve", "-c", str(file), "--port", "0"],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        address = re.search(r"http://127\.0\.0\.1:([1-9][0-9]*)", line)
        assert address is not None
        assert chat(address[0]) == 200
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_without_a_file_the_way_to_one_is_told(tmp_path):
    told = refused(cwd=tmp_path)
    assert "config/omniroute.yaml:1:1: error OR001" in told
    assert "omniroute init" in told


def test_a_broken_file_is_told_with_its_places(tmp_path):
    file = configured(tmp_path / "omniroute.yaml", f"{DEMO}sever: {{}}\n")
    assert f"{file}:4:1: error OR101" in refused("-c", file, cwd=tmp_path)


def test_secrets_that_are_not_there_are_told_with_their_places(tmp_path):
    providers = """\
providers:
  openai: {connections: {main: {api_key: "${env:NOT_SET_ANYWHERE}"}}}
  anthropic: {connections: {main: {api_key: "${file:/nowhere/key}"}}}
"""
    file = configured(tmp_path / "omniroute.yaml", f"version: 1\n{providers}")
    told = refused("-c", file, cwd=tmp_path)
    assert f"{file}:3:42: error OR111" in told
    assert f"{file}:4:45: error OR111" in told
    assert "`NOT_SET_ANYWHERE` is not set" in told


# ------------------------------------------------------------------------------------------------- in spite of its data


def is_degraded(gateway: Gateway) -> bool:
    return get(f"{gateway.url}/api/monitoring/health")[1]["status"] == "degraded"


def until(true: Any) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("damage", ["no directory", "no database", "a directory in its place"])
def test_a_ledger_that_cannot_be_written_degrades_and_does_not_stop(damage):
    gateway = Gateway(DEMO)
    data = gateway.folder / "data"
    match damage:
        case "no directory":
            data.write_text("a file where the directory should be")
        case "no database":
            data.mkdir()
            gateway.ledger.write_bytes(b"this is no database" * 1000)
        case _:
            gateway.ledger.mkdir(parents=True)
    with gateway:
        for _ in range(3):
            assert chat(gateway.url) == 200
        until(lambda: is_degraded(gateway))
        assert get(f"{gateway.url}/readyz")[0] == 200


def test_without_its_database_a_gateway_behaves_the_same():
    config = f"{DEMO}aliases: {{fast: demo/echo}}\ncombos: {{both: {{targets: [demo/agent, fast]}}}}\n"
    with Gateway(config) as gateway:
        before = behaviour(gateway)
        assert len(gateway.rows(len(before))) == 3
        gateway.stop()
        shutil.rmtree(gateway.folder / "data")
        gateway.start()
        assert behaviour(gateway) == before
        assert len(gateway.rows(3)) == 3


def behaviour(gateway: Gateway) -> list[Any]:
    """What three models answer, without what differs from call to call."""
    answers = []
    for model in ("fast", "both", "demo/agent"):
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
        code, told = get(f"{gateway.url}/v1/chat/completions", body)
        answers.append((code, told["choices"], told["usage"], told["model"]))
    return answers


ALONE = """
import ctypes, fcntl, os, socket, struct, sys
if ctypes.CDLL(None, use_errno=True).unshare(0x40000000 | (0 if os.geteuid() == 0 else 0x10000000)):
    sys.exit(77)
with socket.socket() as one:  # SIOCSIFFLAGS: the loopback interface up, and there is no other
    fcntl.ioctl(one, 0x8914, struct.pack("16sh", b"lo", 1))
sys.path.insert(0, sys.argv[1])
from support.gateway import Gateway
from test_startup import DEMO, chat
with Gateway(DEMO) as gateway:
    assert chat(gateway.url) == 200
"""


def test_a_machine_without_a_network_is_enough():
    ended = subprocess.run(
        [sys.executable, "-c", ALONE, str(ROOT / "tests")], capture_output=True, text=True, timeout=60, check=False
    )
    if ended.returncode == 77:
        pytest.skip("network namespaces are not allowed here")
    assert (ended.returncode, ended.stderr) == (0, "")


# ------------------------------------------------------------------------------------------------------ the environment


def test_omniroute_config_names_the_file(tmp_path):
    file = configured(tmp_path / "mine.yaml", DEMO)
    port = free_port()
    with running("serve", "--port", port, port=port, cwd=tmp_path, OMNIROUTE_CONFIG=str(file)) as url:
        assert chat(url) == 200


def test_port_is_listened_on_unless_an_option_says_otherwise(tmp_path):
    file = configured(tmp_path / "omniroute.yaml", DEMO)
    port, other = free_port(), free_port()
    with running("serve", "-c", file, port=port, cwd=tmp_path, PORT=str(port)) as url:
        assert chat(url) == 200
    with running("serve", "-c", file, "--port", other, port=other, cwd=tmp_path, PORT=str(port)) as url:
        assert chat(url) == 200
        assert chat(f"http://127.0.0.1:{port}") == 0


@pytest.mark.parametrize(("in_file", "said", "expected"), [("false", "true", 401), ("true", "false", 200)])
def test_require_api_key_counts_more_than_the_file(in_file, said, expected):
    with Gateway(f"{DEMO}{KEYS}auth: {{require_api_key: {in_file}}}\n", REQUIRE_API_KEY=said) as gateway:
        assert chat(gateway.url) == expected
        assert chat(gateway.url, authorization="Bearer anonymous") == expected
        gateway.write(gateway.path.read_text() + "aliases: {fast: demo/echo}\n")
        until(lambda: "generation 2" in gateway.said())
        assert chat(gateway.url) == expected


def test_initial_password_logs_in_as_long_as_the_file_has_none():
    with Gateway(DEMO, INITIAL_PASSWORD="of the first day") as gateway:
        assert login(gateway, "of the first day") == 200
        assert login(gateway, "of another day") == 401
        assert "of the first day" not in gateway.said()


def test_initial_password_counts_nothing_beside_a_hash():
    from argon2 import PasswordHasher

    digest = PasswordHasher(time_cost=1, memory_cost=1024).hash("of the file")
    with Gateway(f"{DEMO}auth: {{password_hash: '{digest}'}}\n", INITIAL_PASSWORD="of the first day") as gateway:
        assert login(gateway, "of the first day") == 401
        assert login(gateway, "of the file") == 200


def login(gateway: Gateway, password: str) -> int:
    return get(f"{gateway.url}/api/auth/login", {"password": password})[0]


def test_the_log_level_decides_what_is_told():
    with Gateway(DEMO) as gateway:
        assert "INFO omniroute: OmniRoute" in gateway.said()
    with Gateway(DEMO, OMNIROUTE_LOG_LEVEL="warning") as gateway:
        assert gateway.said() == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "eighty"), ("PORT", "65536"), ("REQUIRE_API_KEY", "maybe"), ("OMNIROUTE_LOG_LEVEL", "loud")],
)
def test_a_variable_that_makes_no_sense_is_refused_by_name(tmp_path, name, value):
    told = refused("-c", configured(tmp_path / "omniroute.yaml", DEMO), cwd=tmp_path, **{name: value})
    assert f"`{name}` must be" in told


def test_a_password_that_was_made_up_is_told_on_a_terminal_and_nowhere_else(tmp_path):
    with Gateway(DEMO) as gateway:
        assert "assword" not in gateway.said()
    ours, theirs = os.openpty()
    file, port = configured(tmp_path / "omniroute.yaml", DEMO), free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "omniroute", "serve", "-c", str(file), "--port", str(port)],
        cwd=tmp_path,
        env=environment(),
        stderr=theirs,
    )
    os.close(theirs)
    try:
        shown = ""
        while "Administrator password" not in shown or not shown.endswith("\n"):
            shown += os.read(ours, 4096).decode()
        typed = shown.rsplit(": ", 1)[1].strip()
        until(lambda: get(f"http://127.0.0.1:{port}/readyz")[0] == 200)
        assert get(f"http://127.0.0.1:{port}/api/auth/login", {"password": typed})[0] == 200
    finally:
        process.terminate()
        process.wait(30)
        os.close(ours)


# -------------------------------------------------------------------------------------------------------- how much of it


def queued(gateway: Gateway) -> float:
    """How long the process was ready and other ones had the cores, which says nothing about it."""
    return int(Path(f"/proc/{gateway.process.pid}/schedstat").read_text().split()[1]) / 1e9


def test_the_first_answer_comes_soon_and_an_idle_gateway_is_small():
    took, megabytes = [], []
    for _ in range(3):
        gateway = Gateway(ROOT / "config" / "omniroute.yaml")
        began = time.perf_counter()
        with gateway:
            assert chat(gateway.url) == 200
            took.append(time.perf_counter() - began - queued(gateway))
            time.sleep(0.3)
            pages = int(Path(f"/proc/{gateway.process.pid}/statm").read_text().split()[1])
            megabytes.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
    assert min(took) < 2.4  # 0.8 is the aim, three times that the alarm
    assert min(megabytes) < 110  # the aim is 80
