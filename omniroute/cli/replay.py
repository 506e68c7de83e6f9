"""`omniroute replay`: what another configuration would have made of the requests that were served."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from omniroute.cli.plan import against_option, compared
from omniroute.cli.words import (
    CHANGES,
    ERRORS,
    FINE,
    USAGE,
    Verbs,
    config_option,
    config_path,
    json_option,
    print_json,
    verb,
)

if TYPE_CHECKING:
    from omniroute.services.replay import Group, Replayed

SHOWN = 20
"""Pairs of a key and a model."""


def add(verbs: Verbs) -> None:
    example = "omniroute replay --since 24h --config new.yaml --against git:HEAD"
    command = verb(verbs, replay, "replay", "decide recorded requests by another configuration", example)
    config_option(command)
    against_option(command)
    command.add_argument("--since", default="24h", metavar="TIME", help="a duration, or a moment (default: 24h)")
    command.add_argument("--database", type=Path, metavar="FILE", help="the ledger (default: that of the old files)")
    command.add_argument("--detailed-exitcode", action="store_true", help="exit with 2 where anything differs")
    json_option(command)


def replay(arguments: argparse.Namespace) -> int:
    """Decides the recorded requests by two configurations and tells where they differ."""
    import time

    from omniroute import catalog
    from omniroute.config.plan import version
    from omniroute.services import replay as replaying
    from omniroute.services.shelf import DATABASE
    from omniroute.state.sqlite import replayed

    try:
        since = moment(arguments.since, time.time())
    except ValueError as error:
        print(error, file=sys.stderr)
        return USAGE
    known = catalog.load()
    new = version.of_file(config_path(arguments), known)
    old = compared(arguments, known)
    path = arguments.database or Path(old.bundle.spec.server.data_dir) / DATABASE
    if not path.exists():
        print(f"there is no ledger at {path}: `--database` names one", file=sys.stderr)
        return ERRORS
    found = replaying.replay(replayed(path, since), old, new, since)
    if arguments.json:
        print_json(found)
    else:
        print("\n".join(_text(found)))
    return CHANGES if arguments.detailed_exitcode and found.total.differing else FINE


def moment(text: str, now: float) -> float:
    """`24h` → a day before `now`; else a moment such as `2026-03-02T09:30:00Z`. Raises ValueError for neither."""
    from datetime import UTC, datetime

    from omniroute.config.spec.words import seconds

    try:
        return now - seconds(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no duration (`24h`) and no moment (`2026-03-02T09:30:00Z`)") from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def _text(found: Replayed) -> list[str]:
    from omniroute.config.plan.shown import counted

    total = found.total
    kinds = (
        ("the same", total.same),
        ("served elsewhere", total.moved),
        ("refused", total.refused),
        ("served that were not", total.served),
        ("at another price", total.repriced),
    )
    lines = [
        f"Replay: {found.old} → {found.new}",
        f"{total.requests:,} requests: {counted(kinds) or 'none'}",
        f"cost: {_usd(total.old_cost)} → {_usd(total.new_cost)} USD"
        + (f", without {total.unpriced:,} whose price is not known" if total.unpriced else ""),
    ]
    if found.cached or found.unreadable:
        lines.append(
            f"{found.cached:,} answered from the cache, {found.unreadable:,} refused before it was known for what"
        )
    differing = [group for group in found.groups if group.sums.differing]
    for group in differing[:SHOWN]:
        lines += ["", *_group(group)]
    if len(differing) > SHOWN:
        lines += ["", f"… and {len(differing) - SHOWN:,} more pairs of a key and a model (--json has them)"]
    return [*lines, "", "What this cannot know:", *(f"  {each}" for each in found.unknown)]


def _group(group: Group) -> list[str]:
    from omniroute.config.plan.shown import counted
    from omniroute.document import inert

    sums = group.sums
    kinds = (
        ("elsewhere", sums.moved),
        ("refused", sums.refused),
        ("newly served", sums.served),
        ("repriced", sums.repriced),
    )
    who = group.key or "no key"
    head = f"{who}, {group.model}: {counted(kinds)} of {sums.requests:,}; {_usd(sums.old_cost)} → {_usd(sums.new_cost)} USD"
    return [inert(head), *(inert(f"  {each.id}  {each.old} → {each.new}") for each in group.examples)]


def _usd(amount: object) -> str:
    return f"{amount:.4f}"
