"""The management plane of one process: the application behind it, and what it remembers itself."""

from __future__ import annotations

import asyncio

from omniroute.api.control import Control
from omniroute.api.sessions import Sessions
from omniroute.api.throttle import Throttle


class Plane:
    """What every handler is given."""

    def __init__(self, control: Control) -> None:
        clock = control.state.clock
        self.control = control
        self.sessions = Sessions(clock.now)
        self.throttle = Throttle(clock.monotonic)
        self.password_check = asyncio.Lock()
        """Held while a password is compared: argon2 takes 64 MiB each time, and strangers may ask for it."""
