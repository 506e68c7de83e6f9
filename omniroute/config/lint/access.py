"""Who may call, and whether that is what was meant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING

from omniroute.config.problems import suggestion
from omniroute.config.spec import Spec
from omniroute.document import quoted
from omniroute.errors import Problem

if TYPE_CHECKING:
    pass

from omniroute.config.lint.names import can_match
from omniroute.config.lint.subject import Rule, Subject


def same_digest(subject: Subject) -> Iterator[Problem]:
    """OR303"""
    first: dict[str, str] = {}
    for name, key in subject.spec.keys.items():
        other = first.setdefault(key.digest, name)
        if other != name:
            message = f"the same digest as the key {quoted(other)}: one of them would never be seen"
            yield subject.error("OR303", ("keys", name, "digest"), message, "`omniroute key new` makes another")


def no_such_day(subject: Subject) -> Iterator[Problem]:
    """OR304"""
    for name, key in subject.spec.keys.items():
        if key.expires is not None and _day(key.expires) is None:
            yield subject.error("OR304", ("keys", name, "expires"), f"there is no day {quoted(key.expires)}")


def expired(subject: Subject) -> Iterator[Problem]:
    """OR403"""
    today = datetime.now(UTC).date()
    for name, key in subject.spec.keys.items():
        day = _day(key.expires) if key.expires is not None else None
        if day is not None and day < today:
            yield subject.warning("OR403", ("keys", name, "expires"), f"the key {quoted(name)} has expired")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def allows_nothing(subject: Subject) -> Iterator[Problem]:
    """OR406"""
    for name, key in subject.spec.keys.items():
        for index, pattern in enumerate(key.allow):
            if not can_match(subject.names, subject.spec, pattern):
                near = suggestion(pattern, (*subject.names.all, *subject.spec.providers))
                place = ("keys", name, "allow", index)
                yield subject.warning("OR406", place, f"{quoted(pattern)} matches nothing that can be asked for", near)


def open_to_strangers(subject: Subject) -> Iterator[Problem]:
    """OR305"""
    lacking = exposure(subject.spec, subject.spec.server.host)
    if lacking:
        message = f"listens on more than this machine, and lacks: {', '.join(lacking)}"
        hint = "or keep `host: 127.0.0.1`; `omniroute serve --insecure` is for closed test networks"
        report = subject.warning if subject.insecure else subject.error
        yield report("OR305", ("server", "host"), message, hint)


def exposure(spec: Spec, host: str, *, password: bool = False) -> list[str]:
    """What is missing for listening on this host: nothing on loopback, everything that keeps strangers out elsewhere.
    `password` says that there is one beside the file."""
    if is_loopback(host):
        return []
    auth = spec.auth
    needed = {
        "`auth.require_api_key: true`": auth.require_api_key,
        "at least one entry in `keys`": bool(spec.keys),
        "`auth.password_hash`": password or auth.password_hash is not None,
        "`auth.require_login: true`": auth.require_login,
    }
    return [what for what, there in needed.items() if not there]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


RULES: tuple[Rule, ...] = (
    same_digest,
    no_such_day,
    expired,
    allows_nothing,
    open_to_strangers,
)
