"""`omniroute doctor`: what a gateway needs of its machine, looked at one by one, each finding with the next step.

A check is a function and a row in `CHECKS`. Nothing is changed, and nobody else is asked: what the providers say
(`--online`, see `services/online.py`) the caller asks for, and it is told here like everything else.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import sys
import time
import zoneinfo
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from omniroute.catalog import Catalog
from omniroute.config import bundle, secrets
from omniroute.config.bundle import Bundle
from omniroute.config.compile import compile_gateway
from omniroute.errors import ConfigError, OmniRouteError, Problem, Unavailable
from omniroute.services.shelf import DATABASE
from omniroute.state import audit_file, audit_key, copies, database
from omniroute.upstream import instance

Outcome = Literal["fine", "warning", "error"]
OLDEST_SQLITE = (3, 35, 0)
"""What the database's statements need (`returning`)."""
SPARE = 512 << 20
"""Bytes on the disk of the run-time data below which one should look."""
EARLIEST = 1_790_000_000
"""A time (UNIX) before which no clock can be right: this program is younger."""
ASTRAY = 60.0
"""Seconds that the clock may be from a provider's: tokens that are valid for minutes are believed within one."""
PATIENCE = 2.0


class Finding(msgspec.Struct, frozen=True):
    """What a check saw; `hint` is what to do about it, empty where all is fine."""

    check: str
    outcome: Outcome
    message: str
    hint: str = ""


class Patient(msgspec.Struct, frozen=True):
    """What is looked at. `read` is None where the files make no configuration, and `problem` says why."""

    path: Path
    read: Bundle | None
    problem: str
    catalog: Catalog
    port: int | None

    @property
    def folder(self) -> Path | None:
        """Where run-time data is kept."""
        return None if self.read is None else Path(self.read.spec.server.data_dir)


def patient(path: Path, catalog: Catalog, port: int | None) -> Patient:
    """Reads the files. `port` is one that counts in place of the files'."""
    try:
        return Patient(path, bundle.read(path, catalog, insecure=True), "", catalog, port)
    except ConfigError as error:
        first, more = error.problems[0], len(error.problems) - 1
        told = f"{first.file}:{first.line}:{first.col}: {first.code} {first.message}"
        return Patient(path, None, f"{told}, and {more} more" if more else told, catalog, port)


def examine(one: Patient) -> Iterator[Finding]:
    """All findings, in the order of the checks; a check that needs a configuration is left out where there is none."""
    for name, check in CHECKS.items():
        for outcome, message, hint in check(one):
            yield Finding(name, outcome, message, hint)


def heard(problems: Sequence[Problem]) -> Iterator[Finding]:
    """What the providers said, as findings."""
    for problem in problems:
        told = f"{problem.file}:{problem.line}: {problem.code} {problem.message}"
        hint = problem.hint or "`omniroute validate --online` shows it with its lines."
        yield Finding("providers", problem.severity, told, hint)
    if not problems:
        yield Finding("providers", "fine", "all connections work, and their models are there")


def timed(ahead: float | None) -> Finding:
    """How far the clock is ahead of the providers', in seconds; None where none told the time."""
    if ahead is None:
        return Finding("clock", "fine", "no provider tells the time")
    told = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} a provider's clock"
    if abs(ahead) > ASTRAY:
        return Finding("clock", "error", told, "Set the clock, by NTP say: sign-ins and budgets go by it.")
    return Finding("clock", "fine", told)


Told = Iterator[tuple[Outcome, str, str]]


def _program(_one: Patient) -> Told:
    python, library = (".".join(map(str, version[:3])) for version in (sys.version_info, database.LIBRARY))
    if database.LIBRARY < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        yield "error", f"SQLite {library} is older than {wanted}", "Use a Python that is linked with a newer SQLite."
    else:
        yield "fine", f"Python {python}, SQLite {library}", ""


def _config(one: Patient) -> Told:
    if one.read is None:
        yield "error", one.problem, "`omniroute validate` shows all findings with their lines."
        return
    for problem in one.read.warnings:
        yield "warning", f"{problem.file}:{problem.line}: {problem.code} {problem.message}", problem.hint
    yield "fine", f"{len(one.read.files)} files, revision {one.read.revision}", ""


def _secrets(one: Patient) -> Told:
    if one.read is None:
        return
    try:
        compile_gateway(one.read, one.catalog, vault=secrets.vault_of(one.read))
    except ConfigError as error:
        for problem in error.problems:
            yield "error", f"{problem.path}: {problem.message}", problem.hint or "Set it where the gateway is started."
        return
    except OmniRouteError as error:
        yield "error", str(error), "Look at `OMNIROUTE_SECRET_KEY` and at the files in `server.data_dir`."
        return
    yield "fine", "all that the files refer to are there", ""


def _port(one: Patient) -> Told:
    if one.read is None:
        return
    server = one.read.spec.server
    host, port = server.host, one.port or server.port
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as one_socket:
            one_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one_socket.bind((host, port))
    except OSError as error:
        told = f"{host}:{port}: {error.strerror or error}"
        if instance.answers(instance.near(host, port), PATIENCE):
            yield "fine", f"a gateway answers on {host}:{port}", ""
        else:
            yield "error", f"cannot listen on {told}", "End what listens there, or set `server.port` or `--port`."
        return
    yield "fine", f"{host}:{port} is free", ""


def _clock(_one: Patient) -> Told:
    now = time.time()
    if now < EARLIEST:
        told = time.strftime("%Y-%m-%d", time.gmtime(now))
        yield "error", f"the clock says {told}", "Set the clock: budgets, expiries and sign-ins go by it."
    else:
        yield "fine", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)), ""
    try:
        zoneinfo.ZoneInfo("Europe/Berlin")
    except zoneinfo.ZoneInfoNotFoundError:
        yield "warning", "there are no time zones", "Install `tzdata`: budgets may be counted in a time zone."


def _data(one: Patient) -> Told:
    folder = one.folder
    if folder is None:
        return
    there = folder
    while not there.exists():
        there = there.absolute().parent
    if not os.access(there, os.W_OK | os.X_OK):
        yield "error", f"{there} cannot be written", "Give it to the gateway's user, or set `server.data_dir`."
        return
    yield "fine", f"{folder} can be written", ""
    free = shutil.disk_usage(there).free
    if free < SPARE:
        yield "warning", f"{free >> 20} MiB are left on its disk", "Make room: usage and audit stop when it is full."
    for file in sorted(folder.rglob("*")) if folder.exists() else ():
        if file.is_file() and stat.S_IMODE(file.stat().st_mode) & 0o077 and _is_private(file, folder):
            yield "error", f"others can read {file}", f"chmod 600 {file}"


def _is_private(file: Path, folder: Path) -> bool:
    """Whether nobody else may read a file: those that hold secrets, and the key of the audit log."""
    return file.parent == folder and (file.name.startswith("secrets") or file.name == audit_key.NAME)


def _database(one: Patient) -> Told:
    if one.folder is None:
        return
    path = one.folder / DATABASE
    if not path.exists():
        yield "fine", "there is none yet: the first start makes it", ""
        return
    damage = copies.check(path)
    if damage:
        hint = "`omniroute backup list` and `omniroute backup restore` mend it, also while the gateway runs."
        yield "error", f"{path} is damaged: {damage}", hint
    else:
        yield "fine", f"{path} is sound, {path.stat().st_size >> 20} MiB", ""


def _audit(one: Patient) -> Told:
    if one.folder is None or not (one.folder / DATABASE).exists():
        return
    try:
        verdict = audit_file.verify(one.folder / DATABASE, one.folder / audit_key.NAME)
    except Unavailable as error:
        yield "error", str(error), "Restore a backup, or look at the file's permissions."
        return
    if verdict.ok:
        yield "fine", f"the audit log is whole: {verdict.rows} rows", ""
    else:
        hint = "Somebody has changed the log: keep the file, and compare it with a backup."
        yield "error", f"broken at row {verdict.broken_at}: {verdict.reason}", hint


CHECKS: dict[str, Callable[[Patient], Told]] = {
    "program": _program,
    "config": _config,
    "secrets": _secrets,
    "port": _port,
    "clock": _clock,
    "data": _data,
    "database": _database,
    "audit": _audit,
}
