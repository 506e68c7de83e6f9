"""The rules of a circuit breaker with a cooldown, read off the whole history of one name each time they are asked."""

from __future__ import annotations

from omniroute.state.base import Outcome, Permit, Profile
from omniroute.state.memory import COOLING, PROBE_LEASE

PROFILE = Profile(failure_threshold=3, reset_timeout=16, cooldown=2, max_cooldown=8)


class Rules:
    """What must be so for one name. `probe_since` is when the probe under way was given."""

    def __init__(self) -> None:
        self.history: list[tuple[float, Outcome, float | None]] = []
        self.probe_since: float | None = None

    def pause(self) -> tuple[bool, float]:
        """Whether a probe has to succeed first, and when it may be called."""
        in_a_row, pause, probing, until = 0, 0.0, False, 0.0
        for at, outcome, retry_after in self.history:
            free = at >= until
            if outcome == "success":
                in_a_row, pause = 0, 0.0
                probing = probing and not free
                continue
            in_a_row += 1
            ends = [until]
            cools = outcome in COOLING
            if cools and free:
                pause = min(8.0, 2 * pause) if pause else 2.0
            if cools and retry_after:
                ends.append(at + retry_after)
            elif cools and free:
                ends.append(at + pause)
            if in_a_row >= 3 and (free or not probing):
                ends.append(at + 16)
                probing = True
            elif free and probing and not cools:
                ends.append(at + 16)
            probing = probing or outcome in {"auth", "quota"}
            until = max(ends)
        return probing, until

    def blocked_until(self, now: float) -> float:
        """0 where it may be called."""
        probing, until = self.pause()
        if now < until:
            return until
        if probing and self.probe_since is not None and now < self.probe_since + PROBE_LEASE:
            return now + 1
        return 0.0

    def permit(self, now: float) -> Permit | None:
        """What `admit` must give."""
        if self.blocked_until(now):
            return None
        return "probe" if self.pause()[0] else "go"

    def ended(self, outcome: Outcome, now: float, retry_after: float | None, *, probe: bool) -> None:
        if outcome in {"invalid", "abandoned"}:
            if probe:
                self.probe_since = None
            return
        if outcome != "success" or now >= self.pause()[1]:
            self.probe_since = None
        self.history.append((now, outcome, retry_after))
