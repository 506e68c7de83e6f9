"""What is measured: a process on a core of its own, and the chats that it is asked for."""

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from math import nan
from pathlib import Path
from statistics import median

import msgspec
import uvloop
from load import Tally, drive
from upstream import DELTAS

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]

CODE = {"role": "user", "content": "def handle(request):\n    return choose(request.model).send(request)\n" * 15}
REMARK = {"role": "assistant", "content": "It hands the request to the provider that is chosen.\n" * 15}
QUESTION = {"role": "user", "content": "What does an AI gateway do, and why would one want it? Be brief."}


class Phase(msgspec.Struct, frozen=True):
    name: str
    says: str
    lanes: int
    stream: bool = False
    paced: bool = False
    large: bool = False
    translated: bool = False


PROBE = Phase("probe", "one request", 1)


class Sample(msgspec.Struct):
    cpu_us: float  # per answer, or per delta of a stream
    answers: int
    ttft_ms: float


class Subject:
    """A server, what it is asked and what that cost it.

    The gateway has a `key` for us, is always asked in OpenAI's format and has to translate when the upstream speaks
    another. A relay cannot: it is asked in the upstream's format, and so has the same answer to hand back.
    """

    def __init__(self, process: subprocess.Popen[bytes], *, port: int, log: Path, key: str) -> None:
        self.process = process
        self.born = time.perf_counter()
        self.port = port
        self.log = log
        self.key = key
        self.samples: defaultdict[str, list[Sample]] = defaultdict(list)
        self.failures: Counter[str] = Counter()

    @property
    def name(self) -> str:
        return self.log.stem

    def tree(self) -> Iterator[int]:
        todo = [self.process.pid]
        while todo:
            pid = todo.pop()
            yield pid
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                todo += map(int, children.read_text().split())

    def cpu(self) -> float:
        """Seconds of user and system time, of the whole process tree."""
        # The id of another process's CPU clock, as clock_getcpuclockid(3) makes it: nanoseconds, where /proc has ticks.
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in self.tree())

    def settled_cpu(self) -> float:
        """The same once nothing is left to do: what is put off until after the answer counts as well."""
        before, now = 0.0, self.cpu()
        deadline = time.monotonic() + 3
        while now - before > 0.001 and time.monotonic() < deadline:
            time.sleep(0.15)
            before, now = now, self.cpu()
        return now

    def rss_mb(self) -> float:
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.tree())
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def speaks_anthropic(self, phase: Phase) -> bool:
        return phase.translated and not self.key

    def request(self, phase: Phase) -> bytes:
        model = ("claude-sonnet-4" if phase.translated else "gpt-4o-mini") + ("-paced" if phase.paced else "")
        if self.key:
            model = f"{'anthropic' if phase.translated else 'openai'}-mock/{model}"
        messages = [CODE, REMARK] * 29 + [QUESTION] if phase.large else [QUESTION]
        # A temperature above 0, so that no cache may answer for the upstream.
        options = {"max_tokens": 512, "temperature": 0.7, "stream": phase.stream}
        body = msgspec.json.encode({"model": model, "messages": messages, **options})
        head = [
            f"POST /v1/{'messages' if self.speaks_anthropic(phase) else 'chat/completions'} HTTP/1.1",
            f"host: 127.0.0.1:{self.port}",
            f"authorization: Bearer {self.key or 'none'}",
            "content-type: application/json",
            f"content-length: {len(body)}",
        ]
        return "\r\n".join([*head, "", ""]).encode() + body

    def mark(self, phase: Phase) -> bytes:
        """What an answer in the right format holds, and every delta of a stream."""
        if not self.speaks_anthropic(phase):
            return b'"chat.completion'
        return b'"content_block_delta"' if phase.stream else b'"end_turn"'

    def load(self, phase: Phase, *, lanes: int, seconds: float) -> Tally:
        mark, times = self.mark(phase), DELTAS if phase.stream else 1
        # Lanes start spread over the length of a stream: in step they would share their wake-ups.
        ramp = (1.0 if phase.paced else 0.1) if phase.stream else 0.0
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            request = self.request(phase)
            return runner.run(
                drive(self.port, request, lanes=lanes, seconds=seconds, ramp=ramp, mark=mark, times=times)
            )

    def complaint(self, phase: Phase) -> str:
        """What is wrong with the answer to one request."""
        try:
            return ", ".join(self.load(phase, lanes=1, seconds=0).failures)
        except OSError as error:
            return str(error)

    def check(self, phase: Phase) -> None:
        """Ends the run when the phase is not answered as it should: a fast error is no performance."""
        if what := self.complaint(phase):
            raise SystemExit(f"{self.name}, {phase.name}: {what}\n{self.log.read_text(errors='replace')[-2000:]}")

    def start_s(self) -> float:
        """Seconds from the start of the process to its first answer, for which this waits."""
        while self.complaint(PROBE):
            if self.process.poll() is not None or time.perf_counter() - self.born > 20:
                self.check(PROBE)
            time.sleep(0.005)
        return time.perf_counter() - self.born

    def measure(self, phase: Phase, seconds: float) -> None:
        before = self.settled_cpu()
        tally = self.load(phase, lanes=phase.lanes, seconds=seconds)
        cpu = self.settled_cpu() - before
        self.failures.update({f"{phase.name}: {reason}": n for reason, n in tally.failures.items()})
        if tally.answers:
            each = cpu / tally.answers / (DELTAS if phase.stream else 1)
            self.samples[phase.name].append(Sample(each * 1e6, tally.answers, median(tally.first_bytes) * 1e3))

    def cpu_us(self, phase: Phase) -> float:
        return median([sample.cpu_us for sample in self.samples[phase.name]] or [nan])

    def ttft_ms(self, phase: Phase) -> float:
        return median([sample.ttft_ms for sample in self.samples[phase.name]] or [nan])

    def answers(self) -> int:
        return sum(sample.answers for samples in self.samples.values() for sample in samples)


@contextmanager
def running(command: list[str], *, port: int, core: int, log: Path, key: str = "") -> Iterator[Subject]:
    """Python with `command`, from its start to its end."""
    os.sched_setaffinity(0, {core})  # for the child, which inherits it
    with log.open("wb") as out:
        env = {**os.environ, "BENCH_UPSTREAM_KEY": "sk-bench"}
        process = subprocess.Popen([sys.executable, *command], stdout=out, stderr=out, cwd=log.parent, env=env)
    os.sched_setaffinity(0, {LOAD_CORE})
    try:
        yield Subject(process, port=port, log=log, key=key)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
