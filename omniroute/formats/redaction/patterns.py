"""Patterns that have a name: what personal data and credentials look like, and the checks that numbers of a kind pass.

A shape alone takes many an innocent number for a card or an account; where a kind has check digits they decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address

import msgspec


class Named(msgspec.Struct, frozen=True):
    """A pattern with what a reader should know of it. `check` says how many bytes of what has the shape are a find: a
    shape may reach too far, into the next number."""

    expression: str
    about: str
    check: Callable[[bytes], int] | None = None


def _leading(found: bytes, is_one: Callable[[bytes], bool]) -> int:
    """The longest beginning that is one and ends between two groups."""
    end = len(found)
    while end > 0:
        if is_one(found[:end]):
            return end
        end = max(found.rfind(b" ", 0, end), found.rfind(b"-", 0, end))
    return 0


_doubled = bytes(
    48 + (2 * digit - 9 * (digit > 4)) if (digit := code - 48) in range(10) else code for code in range(256)
)


def luhn(found: bytes) -> bool:
    """Whether a card's number is one (ISO/IEC 7812-1, annex B): 13 to 19 digits, not all the same."""
    digits = found.translate(None, b" -")
    count = len(digits)
    if not 13 <= count <= 19:
        return False
    total = sum(digits[-1::-2]) + sum(digits[-2::-2].translate(_doubled)) - 48 * count
    return total % 10 == 0 and digits.count(digits[:1]) < count


def iban(found: bytes) -> bool:
    """Whether an account's number is one (ISO 13616: modulo 97)."""
    text = found.replace(b" ", b"").decode().upper()
    return 15 <= len(text) <= 34 and int("".join(str(int(char, 36)) for char in text[4:] + text[:4])) % 97 == 1


def _card(found: bytes) -> int:
    return _leading(found, luhn)


def _account(found: bytes) -> int:
    return _leading(found, iban)


def _ssn(found: bytes) -> int:
    """All of what the Social Security Administration may give out."""
    area, group, serial = found[:3], found[4:6], found[7:]
    given = area not in (b"000", b"666") and area < b"900" and group != b"00" and serial != b"0000"
    return len(found) if given else 0


def _phone(found: bytes) -> int:
    """All of it, if it has as many digits as a number may have (ITU-T E.164)."""
    return len(found) if 8 <= sum(48 <= char <= 57 for char in found) <= 15 else 0


def _ipv4(found: bytes) -> int:
    return _address(IPv4Address, found)


def _ipv6(found: bytes) -> int:
    return _address(IPv6Address, found)


def _address(kind: type[IPv4Address | IPv6Address], found: bytes) -> int:
    try:
        kind(found.decode())
    except ValueError:
        return 0
    return len(found)


PATTERNS: Mapping[str, Named] = {
    "email": Named(
        r"[A-Za-z0-9](?:[A-Za-z0-9._%+-]{0,63})@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,6}[A-Za-z]{2,24}\b",
        "Addresses of e-mail.",
    ),
    "credit_card": Named(
        r"\b[2-6]\d{3}(?:[ -]?\d){9,15}\b", "Card numbers of 13 to 19 digits that pass Luhn's check.", _card
    ),
    "iban": Named(
        r"\b[A-Za-z]{2}\d{2}(?:[A-Za-z0-9]{11,30}|(?: [A-Za-z0-9]{4}){2,7}(?: [A-Za-z0-9]{1,3})?)\b",
        "International account numbers, in one or in groups of four, that pass their check.",
        _account,
    ),
    "phone": Named(
        r"(?:\+\d{1,3}(?:[ ./-]?\(?\d{1,5}\)?){2,6}|\(\d{2,5}\)(?:[ ./-]?\d{2,5}){2,4}|\b0\d{1,4}[ /-]\d{2,5}(?:[ -]?\d{2,5}){0,3}"
        r"|\b\d{3}[ .-]\d{3}[ .-]\d{4})\b",
        "Telephone numbers: with a country's code, with an area's code set apart, or as in North America.",
        _phone,
    ),
    "us_ssn": Named(r"\b\d{3}-\d{2}-\d{4}\b", "Social security numbers of the United States.", _ssn),
    "ipv4": Named(r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", "Addresses of IPv4.", _ipv4),
    "ipv6": Named(r"(?i)\b[0-9A-F]{0,4}(?::[0-9A-F]{0,4}){2,7}\b", "Addresses of IPv6.", _ipv6),
    "api_key": Named(
        r"\b(?:(?:sk|pk|rk|xai|gsk|ghp|gho|ghs|hf|r8|nvapi|glpat|xox[a-z]|pplx|csk)[-_][A-Za-z0-9_-]{16,200}"
        r"|(?:AIza|AKIA|github_pat_)[A-Za-z0-9_.-]{12,200})",
        "Keys of providers and of code hosts, by how they begin.",
    ),
    "jwt": Named(
        r"\beyJ[A-Za-z0-9_-]{8,400}\.eyJ[A-Za-z0-9_-]{8,400}\.[A-Za-z0-9_-]{8,190}",
        "JSON web tokens up to 1,000 characters.",
    ),
}
"""No match is wider than `expression.WIDEST`."""
