"""A configuration that changes while it is in use: nobody notices, except that answers come from somewhere else."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import re
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.gateway import Gateway
from support.load import Load
from support.upstream import Upstream

from omniroute.app import Service
from omniroute.config import bundle
from omniroute.config.compile import compile_gateway
from omniroute.config.overrides import Overrides
from omniroute.document import Set
from omniroute.routing.caller import IpFilter, Networks
from omniroute.routing.policies import Policies, stranger
from omniroute.routing.tables import ANONYMOUS, Policy, Principal, Revision, Target
from omniroute.routing.tables import Gateway as Snapshot
from omniroute.secret import Secret

KEY = "sk-omni-of-the-administrator"
CONFIG = f"""\
version: 1
server: {{data_dir: "{{data_dir}}"}}
providers: {{demo: {{}}}}
keys: {{admin: {{digest: "sha256:{sha256(KEY.encode()).hexdigest()}", roles: [client, admin.write]}}}}
"""
BROKEN = {
    "OR101": ("aliases: {asked: demo/echo}\nalises: {}\n", 6, 1),
    "OR202": ("aliases: {asked: dmo/echo}\n", 5, 18),
    "OR005": ("aliases: {asked: demo/echo}\naliases: {}\n", 6, 1),
    "OR004": ("aliases: {asked: demo/echo\n", 5, 10),
    "OR103": ("aliases: [asked]\n", 5, 10),
}


def leading_to(model: str) -> str:
    return f"{CONFIG}aliases: {{asked: demo/{model}}}\n"


def api(gateway: Gateway, method: str, path: str) -> tuple[int, Any]:
    """Status and JSON of a call of the management plane."""
    request = urllib.request.Request(
        gateway.url + path,
        method=method,
        headers={"authorization": f"Bearer {KEY}"},
        data=b"" if method == "POST" else None,
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def status(gateway: Gateway) -> Any:
    code, told = api(gateway, "GET", "/api/config/status")
    assert code == 200
    return told


def until(true: Callable[[], bool], seconds: float = 2.0) -> float:
    """How long it takes until something is so; fails where it takes too long."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


def serving(gateway: Gateway, model: str) -> Callable[[], bool]:
    """Whether `asked` leads to a model of the demo provider."""

    def now() -> bool:
        body = {"model": "asked", "messages": [{"role": "user", "content": "hi"}]}
        request = urllib.request.Request(
            f"{gateway.url}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.headers["x-omniroute-model"] == model

    return now


class Vitals:
    """What must not grow in a process."""

    def __init__(self, pid: int) -> None:
        process = Path(f"/proc/{pid}")
        self.descriptors = len(list((process / "fd").iterdir()))
        self.threads = len(list((process / "task").iterdir()))
        self.megabytes = int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


# ---------------------------------------------------------------------------------------------------------- under load


def test_an_edit_changes_the_routing_within_two_seconds_and_no_request_fails():
    with Gateway(leading_to("echo")) as gateway, Load(gateway.port, "asked") as load:
        for model in ("agent", "echo", "agent"):
            load.more(20)
            gateway.write(leading_to(model))
            written = time.monotonic()
            until(lambda model=model: load.answers[-1].model == model)
            load.more(20)
            late = [answer for answer in load.answers if answer.at > written + 2.0 and answer.model != model]
            assert late == []
    assert load.failures() == []
    assert len({answer.revision for answer in load.answers}) == 2


def test_a_storm_of_good_and_broken_edits_fails_no_request_and_leaves_nothing_behind(tmp_path):
    models = ("echo", "agent")
    spoilt = list(BROKEN.items())
    with Gateway(leading_to("echo")) as gateway, Load(gateway.port, "asked", threads=3) as load:
        labels = {}
        for model in models:
            gateway.write(leading_to(model))
            labels[bundle.load(gateway.path).digest[:12]] = model
        settled = None
        for number in range(300):
            model = models[number % 2]
            code, (lines, line, column) = spoilt[number % len(spoilt)]
            gateway.write(leading_to(model))
            if number % 25 == 24:  # by itself, as it notices the file
                until(lambda model=model: labels.get(status(gateway)["revision"]) == model)
            told, answer = api(gateway, "POST", "/api/config/reload")
            assert (told, labels[answer["revision"]]) == (200, model)
            gateway.write(CONFIG + lines)
            told, answer = api(gateway, "POST", "/api/config/reload")
            assert told == 422
            places = [(one["code"], one["line"], one["col"]) for one in answer["error"]["problems"]]
            assert (code, line, column) in places
            if number % 25 == 0:
                now = status(gateway)
                assert (now["status"], labels[now["revision"]]) == ("failed", model)
                assert now["problems"] == answer["error"]["problems"]
                assert f"{gateway.path}:{line}:{column} {code}" in gateway.said()
            if number == 100:
                settled = Vitals(gateway.process.pid)
        after = Vitals(gateway.process.pid)
    assert load.failures() == []
    assert len(load.answers) > 200
    assert {answer.revision for answer in load.answers} == set(labels)
    assert [answer for answer in load.answers if labels[answer.revision] != answer.model] == []
    assert settled is not None
    assert after.descriptors <= settled.descriptors + 8  # connections of the load come and go
    assert after.threads <= settled.threads + 2
    assert after.megabytes < settled.megabytes + 8


# --------------------------------------------------------------------------------------------------------- its triggers


def test_sighup_reads_files_that_nothing_watches(tmp_path):
    gateway = Gateway(leading_to("echo"))
    real = tmp_path / "elsewhere.yaml"
    gateway.path.rename(real)
    gateway.path.symlink_to(real)
    with gateway:
        real.write_text(real.read_text().replace("demo/echo", "demo/agent"))
        time.sleep(0.6)
        assert serving(gateway, "echo")()
        gateway.process.send_signal(signal.SIGHUP)
        until(serving(gateway, "agent"))


def test_the_swap_of_a_config_map_is_taken_up(tmp_path):
    gateway = Gateway(leading_to("echo"))
    folder, text = gateway.folder, gateway.path.read_text()
    for version, model in (("..1", "echo"), ("..2", "agent"), ("..3", "echo")):
        (folder / version).mkdir()
        (folder / version / "omniroute.yaml").write_text(text.replace("demo/echo", f"demo/{model}"))
    gateway.path.unlink()
    (folder / "..data").symlink_to("..1")
    gateway.path.symlink_to("..data/omniroute.yaml")
    with gateway:
        for version, model in (("..2", "agent"), ("..3", "echo")):
            (folder / "..data_tmp").symlink_to(version)
            (folder / "..data_tmp").replace(folder / "..data")
            until(serving(gateway, model))


def test_included_files_are_taken_up_when_they_change_come_and_go():
    gateway = Gateway(f"{CONFIG}include: [parts/*.yaml]\n")
    parts = gateway.folder / "parts"
    parts.mkdir()
    with gateway:
        (parts / "names.yaml").write_text("aliases: {asked: demo/agent}\n")
        until(lambda: status(gateway)["generation"] == 2)
        assert serving(gateway, "agent")()
        (parts / "names.yaml").write_text("aliases: {asked: demo/echo}\n")
        until(serving(gateway, "echo"))
        (parts / "more.yaml").write_text("aliases: {asked: demo/agent}\n")
        until(lambda: status(gateway)["status"] == "failed")
        assert [(one["code"], Path(one["file"]).name) for one in status(gateway)["problems"]] == [
            ("OR012", "names.yaml")
        ]
        (parts / "names.yaml").unlink()
        until(serving(gateway, "agent"))


def test_a_file_that_an_edit_has_just_included_is_watched_although_it_is_broken():
    with Gateway(leading_to("echo")) as gateway:
        parts = gateway.folder / "parts"
        parts.mkdir()
        (parts / "names.yaml").write_text("aliases: {asked: dmo/agent}\n")
        gateway.write(f"{CONFIG}include: [parts/*.yaml]\n")
        until(lambda: status(gateway)["status"] == "failed")
        (parts / "names.yaml").write_text("aliases: {asked: demo/agent}\n")
        until(serving(gateway, "agent"))


def test_a_file_that_an_edit_includes_before_it_is_there_is_waited_for():
    with Gateway(leading_to("echo")) as gateway:
        parts = gateway.folder / "parts"
        parts.mkdir()
        gateway.write(f"{CONFIG}include: [parts/names.yaml]\n")
        until(lambda: status(gateway)["status"] == "failed")
        (parts / "names.yaml").write_text("aliases: {asked: demo/agent}\n")
        until(serving(gateway, "agent"))


def test_a_secret_that_is_rotated_is_taken_up_by_itself(tmp_path):
    secret = tmp_path / "key"
    secret.write_text("sk-first")
    nodes = (
        "lab: {type: openai-compatible, base_url: %s/v1, connections: {main: {api_key: '${file:%s}'}}, models: {m: {}}}"
    )
    with Upstream() as upstream:
        config = CONFIG.replace("demo: {}", nodes % (upstream.url, secret)) + "aliases: {asked: lab/m}\n"
        with Gateway(config) as gateway:
            secret.write_text("sk-second")
            until(lambda: status(gateway)["generation"] == 2)
            with Load(gateway.port, "asked", threads=1):
                pass
        assert {asked.headers["authorization"] for asked in upstream.asked} == {"Bearer sk-second"}


def test_the_same_content_is_no_new_generation():
    with Gateway(leading_to("echo")) as gateway:
        before = status(gateway)
        gateway.write(leading_to("echo"))
        until(lambda: status(gateway)["lastAttemptAt"] != before["lastAttemptAt"])
        assert api(gateway, "POST", "/api/config/reload")[1]["changed"] is False
        after = status(gateway)
        assert (after["generation"], after["loadedAt"]) == (1, before["loadedAt"])


def test_what_only_a_start_decides_is_told():
    with Gateway(leading_to("echo")) as gateway:
        server = 'server: {data_dir: "{data_dir}", port: 1234, drain_timeout: 3s, body_limit: 1MiB}'
        gateway.write(re.sub("server: .*", server, leading_to("echo")))
        until(lambda: status(gateway)["generation"] == 2)
        told = re.findall(r"WARNING omniroute: (`.*)", gateway.said())
        assert told == ["`server.drain_timeout` has changed, which counts from the next start on"]


def test_noise_beside_the_configuration_costs_no_reading():
    with Gateway(leading_to("echo")) as gateway:
        time.sleep(0.5)
        before = status(gateway)["lastAttemptAt"]
        with (
            (gateway.folder / "other.log").open("a") as log,
            closing((gateway.folder / "other.sqlite").open("wb")) as data,
        ):
            for number in range(100):
                log.write("a line\n")
                log.flush()
                data.write(b"x" * number)
                data.flush()
                time.sleep(0.01)
        assert status(gateway)["lastAttemptAt"] == before
        assert "change" not in gateway.said()
        gateway.write(leading_to("agent"))
        until(serving(gateway, "agent"))


# ----------------------------------------------------------------------------------------------------------- in process


@pytest.fixture
def service(tmp_path):
    file = tmp_path / "omniroute.yaml"
    file.write_text(f"version: 1\nserver: {{data_dir: '{tmp_path}/data'}}\nproviders: {{demo: {{}}}}\n")
    service = Service(file, Overrides())
    yield service
    asyncio.run(service.client.close())
    assert service.state.ledger.close()


def counted(service, monkeypatch) -> list[str]:
    """Every time that files are looked at as a whole, or compiled."""
    seen: list[str] = []
    monkeypatch.setattr("omniroute.config.bundle.read", _counting("read", bundle.read, seen))
    monkeypatch.setattr("omniroute.app.compile_gateway", _counting("compile", compile_gateway, seen))
    return seen


def _counting(name: str, work: Callable[..., Any], seen: list[str]) -> Callable[..., Any]:
    def counting(*given: Any, **more: Any) -> Any:
        seen.append(name)
        return work(*given, **more)

    return counting


def test_what_the_gateway_wrote_itself_is_looked_at_and_compiled_once(service, monkeypatch):
    seen = counted(service, monkeypatch)
    asyncio.run(service.edit(lambda _: [Set(("aliases",), {"quick": "demo/echo"})]))
    assert seen == ["read", "compile"], "and not the file as it was before, too"
    assert asyncio.run(service.reload()) == (), "as the watcher asks for it then"
    assert seen == ["read", "compile"]
    assert service.live.current.revision.generation == 2


def test_equal_files_whose_secrets_are_others_are_compiled(service, monkeypatch, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("one")
    connections = f"{{main: {{api_key: '${{file:{secret}}}'}}}}"
    text = service.path.read_text().replace("{demo: {}}", f"{{demo: {{}}, groq: {{connections: {connections}}}}}")
    service.path.write_text(text)
    assert asyncio.run(service.reload()) == ()
    seen = counted(service, monkeypatch)
    assert asyncio.run(service.reload()) == ()
    assert seen == []
    secret.write_text("two")
    assert asyncio.run(service.reload()) == ()
    assert seen == ["compile"]
    (connection,) = service.live.current.upstreams["groq"].connections
    assert connection.auth.secret is not None
    assert connection.auth.secret.reveal() == "two"
    secret.unlink()
    assert [problem.code for problem in asyncio.run(service.reload())] == ["OR111"]
    secret.write_text("two")
    assert asyncio.run(service.reload()) == ()
    assert service.live.problems == ()


def test_a_directory_that_an_include_waits_for_is_noticed_in_equal_files(service, tmp_path):
    service.path.write_text(f"{service.path.read_text()}include: [more/*.yaml]\n")
    asyncio.run(service.reload())
    assert tmp_path / "more" not in service.bundle.watched
    (tmp_path / "more").mkdir()
    asyncio.run(service.reload())
    assert tmp_path / "more" in service.bundle.watched
    (tmp_path / "more" / "a.yaml").write_text("aliases: {quick: demo/echo}\n")
    asyncio.run(service.reload())
    assert len(service.bundle.files) == 2
    (tmp_path / "more" / "a.yaml").unlink()
    asyncio.run(service.reload())
    assert len(service.bundle.files) == 1


def test_three_hundred_reloads_leave_one_snapshot_and_no_task(service):
    text = service.path.read_text()

    async def storm():
        for number in range(300):
            service.path.write_text(f"{text}aliases: {{a{number}: demo/{('echo' if number % 3 else 'nothing',)}}}\n")
            await service.reload()
        return len(asyncio.all_tasks())

    assert asyncio.run(storm()) == 1
    gc.collect()
    assert [each for each in gc.get_objects() if type(each) is Snapshot] == [service.live.current]


def invented(chance: random.Random) -> str:
    """A sound configuration of some size. JSON is YAML."""
    nodes = {
        f"node-{number}": {
            "type": chance.choice(["openai-compatible", "anthropic-compatible"]),
            "base_url": f"https://host-{chance.randrange(5)}.example.com/v{chance.randrange(3)}",
            "connections": {
                f"c{each}": {"api_key": "${env:SOME_KEY}", "priority": each, "weight": chance.randrange(1, 9)}
                for each in range(chance.randrange(1, 4))
            },
            "selection": chance.choice(["fill-first", "random", "weighted"]),
            "models": {f"m{number}-{each}": {"context": chance.randrange(1, 9) * 1000} for each in range(2)},
            "timeouts": {"total": f"{chance.randrange(1, 90)}s"},
            "quirks": {"drop": chance.sample(["store", "seed", "metadata"], 2)},
        }
        for number in range(chance.randrange(1, 4))
    }
    models = [f"{node}/{model}" for node, told in nodes.items() for model in told["models"]]
    combos: dict[str, Any] = {}
    for number in range(chance.randrange(4)):
        targets = chance.sample([*models, "demo/echo", *combos], chance.randrange(1, 3))
        combos[f"combo-{number}"] = {
            "strategy": chance.choice(["priority", "weighted", "round-robin", "random"]),
            "targets": [{"model": target, "weight": chance.randrange(1, 9)} for target in targets],
            "retry": {"attempts": chance.randrange(3)},
        }
    names = [*models, *combos]
    keys = {
        f"key-{number}": {
            "digest": f"sha256:{chance.randbytes(32).hex()}",
            "tags": {"team": chance.choice("ab")},
            **({"allow": [chance.choice(names)]} if chance.random() < 0.5 else {}),
        }
        for number in range(chance.randrange(3))
    }
    rules = [
        {"max_tokens": {"output": chance.randrange(1, 99)}},
        {"deny_models": {"patterns": [chance.choice(models)], "reason": "no"}},
        {"allow_models": {"patterns": ["node-*", "demo/*"]}},
    ]
    policies = {
        f"policy-{number}": {
            "priority": chance.randrange(3),
            "match": {"tags": {"team": chance.choice("ab")}, "models": [chance.choice(names)]},
            "rules": chance.sample(rules, chance.randrange(1, 4)),
        }
        for number in range(chance.randrange(3))
    }
    return json.dumps(
        {
            "version": 1,
            "server": {"data_dir": "{data_dir}", "body_limit": f"{chance.randrange(1, 9)}MiB"},
            "auth": {"require_api_key": chance.random() < 0.5},
            "providers": {"demo": {}, **nodes},
            "aliases": {f"alias-{number}": chance.choice(names) for number in range(chance.randrange(3))},
            "combos": combos,
            "keys": keys,
            "policies": policies,
            "resilience": {"profiles": {"api_key": {"failure_threshold": chance.randrange(1, 9)}}},
            "pricing": {chance.choice(models): {"input": chance.randrange(9)}},
        }
    )


def effective(value: Any, subjects: tuple[list[Principal], list[str], list[Target]]) -> Any:
    """A snapshot as plain data that can be compared: what cannot be looked into is asked about everything there is."""
    match value:
        case Revision():
            return value.digest, value.source
        case Secret():
            return value.reveal()
        case re.Pattern():
            return value.pattern
        case Policy():
            callers, names, everything = subjects
            return (
                (value.name, value.shadow, value.place, value.keys, value.tags, value.operations),
                [stranger(value, principal, "chat") for principal in callers],
                [value.concerns("", name) for name in names],
                [[refuse(each, 0.0) for each in everything] for refuse in value.refuse],
                (value.route, value.prefer, value.orders),
            )
        case Networks():
            return value.texts
        case IpFilter():
            return value.listed.texts, value.blocks
        case Policies():
            return [effective(policy, subjects) for policy in value.all]
        case msgspec.Struct():
            return {name: effective(getattr(value, name), subjects) for name in value.__struct_fields__}
        case Mapping():
            return [(effective(key, subjects), effective(each, subjects)) for key, each in value.items()]
        case tuple() | list():
            return [effective(each, subjects) for each in value]
        case _:
            return value


def everybody(snapshot: Snapshot) -> tuple[list[Principal], list[str], list[Target]]:
    """Every caller, every name that leads somewhere, and every target."""
    callers = [ANONYMOUS, *snapshot.principals.values()]
    targets = [step for route in snapshot.routes.values() for step in route.steps if isinstance(step, Target)]
    return callers, list(snapshot.routes), targets


def test_a_reload_gives_the_snapshot_that_a_fresh_start_would(service, monkeypatch):
    monkeypatch.setenv("SOME_KEY", "sk-some")
    seed = 20261121
    chance = random.Random(seed)
    previous: Any = None

    async def go():
        nonlocal previous
        for number in range(300):
            text = invented(chance).replace("{data_dir}", str(service.path.parent / "data"))
            service.path.write_text(text)
            assert await service.reload() == (), f"seed {seed}, configuration {number}"
            fresh = compile_gateway(bundle.read(service.path, service.catalog), service.catalog)
            running = service.live.current
            subjects = everybody(fresh)
            told = effective(running, subjects)
            assert told == effective(fresh, subjects), f"seed {seed}, configuration {number}"
            assert told != previous
            assert running.revision.generation == number + 2
            previous = told

    asyncio.run(go())
