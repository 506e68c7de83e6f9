"""What limits, money, policies, combos and the cache cost a request: `make bench-engine`.

    python bench/engine.py                   the table, about a minute
    python bench/engine.py --quick           one short round

Four gateways in one run, each asked the same on eight connections, round by round, next to the bare relay: the core (a
required key, one target, prices, the ledger); the same with everything (two policies, three limits, a budget, a combo
of three, the cache looked into and missed, every question a new one); everything, asked what it was asked before, which
is a hit; and everything in one file with 10,000 keys, 1,000 combos and 5,000 policies.
"""

import argparse
import platform
import sys
import tempfile
import time
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from statistics import median

import msgspec
from load import NUMBER
from run import free_ports, new_key
from subject import CORES, LOAD_CORE, SERVER_CORE, Phase, Subject, running

HERE = Path(__file__).parent
GOAL_US, GOAL_HIT, GOAL_LARGE = 60.0, 3.0, 1.1
"""At most so many µs for everything; a hit so many times cheaper than a miss; a large file so many times as dear."""
QUESTION = "What does an AI gateway do, and why would one want it? Be brief."
CORE = """\
version: 1
server: {{data_dir: {data}}}
auth: {{require_api_key: true}}
providers:
"""
PROVIDER = """\
  {name}:
    type: openai-compatible
    base_url: http://127.0.0.1:{upstream}/v1
    connections: {{main: {{api_key: "${{env:BENCH_UPSTREAM_KEY}}"}}}}
    models: {{m: {{context: 128000, max_output: 4096, price: {{input: 0.15, output: 0.6}}}}}}
"""
KEY = """\
keys:
  bench: {{digest: "{digest}"{more}}}
"""
EVERYTHING = """\
combos:
  coding: {strategy: priority, targets: [one/m, two/m, three/m]}
budgets:
  team: {limit: 1000000, period: monthly}
limits:
  often: {requests: 100000000/1m, per: key}
  much: {tokens: 100000000000/1m, per: key}
  beside: {concurrent: 10000, per: key}
policies:
  short: {rules: [{max_tokens: {output: 4000}}]}
  at-home: {match: {tags: {team: a}}, rules: [{deny_models: {patterns: ["elsewhere/*"], reason: not here}}]}
cache: {exact: {ttl: 1h, max_entries: 500}}
"""
ATTACHED = ", tags: {team: a}, limits: [often, much, beside], budgets: [team]"
POLICIES, COMBOS, KEYS = 5_000, 1_000, 10_000


class Ask(Phase, frozen=True):
    """A question for a `model`, the same each time or `fresh`."""

    model: str = "one/m"
    fresh: bool = True


class Gateway(Subject):
    """Asked in OpenAI's format, with a temperature at which the cache may answer."""

    def request(self, phase: Phase) -> bytes:
        assert isinstance(phase, Ask)
        said = [{"role": "user", "content": f"{QUESTION} {NUMBER.decode() if phase.fresh else ''}"}]
        text = msgspec.json.encode({"model": phase.model, "messages": said, "max_tokens": 512, "temperature": 0})
        head = [
            "POST /v1/chat/completions HTTP/1.1",
            f"host: 127.0.0.1:{self.port}",
            f"authorization: Bearer {self.key or 'none'}",
            "content-type: application/json",
            f"content-length: {len(text)}",
        ]
        return "\r\n".join([*head, "", ""]).encode() + text


def everything(*, large: bool) -> str:
    """The sections of everything; in a large file with thousands of others beside them."""
    if not large:
        return EVERYTHING
    combos = "".join(f"  c{n}: {{targets: [one/m, two/m]}}\n" for n in range(COMBOS))
    policies = "".join(
        f"  p{n}: {{match: {{keys: [k{n % KEYS}]}}, rules: [{{max_tokens: {{output: 4000}}}}]}}\n"
        for n in range(POLICIES)
    )
    text = EVERYTHING.replace("combos:\n", f"combos:\n{combos}", 1)
    return text.replace("policies:\n", f"policies:\n{policies}", 1)


def keys(digest: str, more: str, *, large: bool) -> str:
    own = KEY.format(digest=digest, more=more)
    if not large:
        return own
    return own + "".join(f'  k{n}: {{digest: "sha256:{sha256(b"%d" % n).hexdigest()}"}}\n' for n in range(KEYS))


def run(home: Path, rounds: int, seconds: float) -> dict[str, tuple[float, float]]:
    """By what was asked: CPU time in µs, and as a multiple of the relay's in the same rounds."""
    relay_port, upstream_port, *ports = free_ports(5)
    client = new_key(home)
    with ExitStack() as stack:

        def start(name: str, command: list[str], port: int, core: int, key: str = "") -> Gateway:
            it = stack.enter_context(running(command, port=port, core=core, log=home / f"{name}.log", key=key))
            return Gateway(it.process, port=port, log=it.log, key=key)

        def gateway(name: str, port: int, *, full: bool, large: bool = False) -> Gateway:
            providers = "".join(PROVIDER.format(name=each, upstream=upstream_port) for each in ("one", "two", "three"))
            file = home / f"{name}.yaml"
            file.write_text(
                CORE.format(data=home / name)
                + providers
                + keys(client.digest, ATTACHED if full else "", large=large)
                + (everything(large=large) if full else "")
            )
            serve = f"-m omniroute serve --config {file} --host 127.0.0.1 --port {port}".split()
            return start(name, serve, port, SERVER_CORE, client.key)

        start("upstream", [str(HERE / "upstream.py"), str(upstream_port)], upstream_port, LOAD_CORE)
        relay = start("relay", [str(HERE / "relay.py"), str(relay_port), str(upstream_port)], relay_port, SERVER_CORE)
        core = gateway("core", ports[0], full=False)
        full = gateway("everything", ports[1], full=True)
        large = gateway("large", ports[2], full=True, large=True)
        asked = {
            "core": (core, Ask("core", "the core", 8)),
            "everything": (full, Ask("everything", "everything, a miss", 8, model="coding")),
            "hit": (full, Ask("hit", "everything, a hit", 8, model="coding", fresh=False)),
            "large": (large, Ask("large", "everything, a large file, a miss", 8, model="coding")),
        }
        bare = Ask("relay", "the relay", 8)
        for it, phase in ((relay, bare), *asked.values()):
            wait(it, phase)
            it.load(phase, lanes=8, seconds=0.5)
        for _ in range(rounds):
            relay.measure(bare, seconds)
            for it, phase in asked.values():
                it.measure(phase, seconds)
        for it in (relay, core, full, large):
            if it.failures:
                raise SystemExit(f"{it.name} failed: {dict(it.failures)}")
        found = {"relay": (relay.cpu_us(bare), 1.0)}
        for name, (it, phase) in asked.items():
            both = zip(it.samples[phase.name], relay.samples[bare.name], strict=True)
            found[name] = it.cpu_us(phase), median(ours.cpu_us / theirs.cpu_us for ours, theirs in both)
        return found


def wait(it: Gateway, phase: Ask) -> None:
    """Until it answers."""
    while it.complaint(phase):
        if it.process.poll() is not None or time.perf_counter() - it.born > 60:
            it.check(phase)
        time.sleep(0.05)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--require", action="store_true", help="exit status 1 where a goal is missed")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="omniroute-bench-") as home:
        found = run(Path(home), *((1, 0.5) if arguments.quick else (7, 0.8)))
    machine = f"Python {platform.python_version()}, {len(CORES)} cores"
    print(f"{time.strftime('%Y-%m-%d')}, {time.monotonic() - began:.0f} s, {machine}\n")
    print("| what | CPU, µs | × relay |\n|---|--:|--:|")
    for name, (cpu, times) in found.items():
        print(f"| {name} | {cpu:.1f} | {times:.2f} |")
    added = found["everything"][0] - found["core"][0]
    hit = found["everything"][0] / found["hit"][0]
    large = found["large"][0] / found["everything"][0]
    print(f"\neverything adds {added:.0f} µs (goal {GOAL_US:.0f})", end=", ")
    print(f"a hit is {hit:.1f} times cheaper than a miss (goal {GOAL_HIT:g})", end=", ")
    print(f"a large file takes {large:.2f} times as much (goal {GOAL_LARGE:g})")
    missed = added > GOAL_US or hit < GOAL_HIT or large > GOAL_LARGE
    return 1 if missed and arguments.require else 0


if __name__ == "__main__":
    sys.exit(main())
