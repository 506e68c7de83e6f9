"""Compares a typed password with the administrator's argon2id hash."""

from __future__ import annotations

import secrets

from omniroute.secret import Secret


def matches(stored: str, typed: str) -> bool:
    """Takes tens of milliseconds and megabytes, which is its purpose: call it in a thread, one at a time."""
    # Most processes never see a login, and the library costs more to load than the rest of this package.
    from argon2 import PasswordHasher  # noqa: PLC0415
    from argon2.exceptions import VerifyMismatchError  # noqa: PLC0415

    try:
        return PasswordHasher().verify(stored, typed)
    except VerifyMismatchError:
        return False


def hashed(typed: str) -> str:
    """The argon2id hash that the configuration holds. As slow as the comparison, and on purpose."""
    from argon2 import PasswordHasher  # noqa: PLC0415  # as above

    return PasswordHasher().hash(typed)


class FirstPassword:
    """The administrator's password as long as the configuration has none: the one that the operator gave for this, or
    one made up for this process. Its hash is made when somebody logs in, for it costs time and memory."""

    def __init__(self, given: Secret | None) -> None:
        self.made_up = given is None
        self.text = given.reveal() if given is not None else secrets.token_urlsafe(12)
        self._hash: str | None = None

    def hash(self) -> str:
        """The argon2id hash to compare with."""
        if self._hash is None:
            self._hash = hashed(self.text)
        return self._hash
