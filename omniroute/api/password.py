"""Compares a typed password with the administrator's argon2id hash."""

from __future__ import annotations


def matches(stored: str, typed: str) -> bool:
    """Takes tens of milliseconds and megabytes, which is its purpose: call it in a thread, one at a time."""
    # Most processes never see a login, and the library costs more to load than the rest of this package.
    from argon2 import PasswordHasher  # noqa: PLC0415
    from argon2.exceptions import VerifyMismatchError  # noqa: PLC0415

    try:
        return PasswordHasher().verify(stored, typed)
    except VerifyMismatchError:
        return False
