"""The codes of all findings, and what each is about. A code is for good: it stands in CI filters and in docs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

CODES: Mapping[str, str] = MappingProxyType(
    {
        # The file as text
        "OR001": "the file cannot be read",
        "OR002": "the file is not UTF-8",
        "OR003": "an invisible character",
        "OR004": "not YAML",
        "OR005": "a key stands twice in one map",
        "OR006": "a YAML tag",
        "OR007": "too large: bytes, values or depth",
        "OR008": "a YAML anchor, alias or merge key that cannot be used",
        "OR009": "a key that is not text",
        "OR010": "the file is not one document that is a map",
        "OR011": "an include that finds nothing, or that leads out of the configuration's directory",
        "OR012": "an object or section in two files",
        # The types
        "OR101": "unknown key",
        "OR102": "missing key",
        "OR103": "wrong type",
        "OR104": "not one of the possible values",
        "OR105": "text of the wrong form",
        "OR106": "number out of range",
        "OR107": "too few, or too many",
        "OR108": "a key without a value",
        "OR109": "a name of the wrong form",
        "OR110": "a literal secret",
        "OR111": "a reference to a variable or file that is not there",
        "OR112": "a reference to something that cannot hold a secret",
        "OR113": "what a reference leads to is of the wrong form",
        # References
        "OR201": "unknown provider",
        "OR202": "unknown model, alias or combo",
        "OR203": "a combo that contains itself",
        "OR204": "an alias that leads back to itself",
        "OR205": "unknown key in a policy",
        "OR206": "a part of a provider's address that no variable fills in",
        "OR207": "a model name that several providers have",
        "OR220": "unknown limit or budget",
        "OR230": "a proxy for something that is not there",
        "OR240": "unknown key in a group of the cache",
        "OR290": "something in a scenario that is not there",
        "OR291": "something in an eval that is not there",
        # Meaning
        "OR301": "an alias and a combo of the same name",
        "OR302": "a connection without the key that its provider needs",
        "OR303": "two keys with the same digest",
        "OR304": "no such day",
        "OR305": "open to strangers",
        "OR306": "an address that cannot be used",
        "OR308": "a node of one's own that is not complete",
        "OR309": "a format that the provider does not speak",
        "OR310": "an alias with more stars on the right than on the left",
        "OR311": "a header that is not for setting",
        "OR312": "limits the wrong way round",
        "OR313": "combos and aliases nested too deeply",
        "OR320": "a limit that limits nothing",
        "OR321": "no such time zone",
        "OR322": "a model without a price under a budget",
        "OR330": "neither an IP address nor a network",
        "OR331": "a filter that lets nobody in",
        "OR332": "a password without a user",
        "OR333": "a provider that cannot be called through a proxy",
        "OR334": "two remotes",
        "OR340": "a key that shares its answers with two groups",
        "OR341": "questions that are compared for nothing",
        "OR350": "policies that route in a circle",
        "OR351": "a window of time without time",
        "OR352": "a regular expression that cannot be used",
        "OR353": "nothing to redact",
        "OR360": "a connection that signs in where nothing says how",
        "OR361": "an OAuth that is not complete",
        "OR362": "a connection with a key and a sign-in",
        "OR370": "telemetry that cannot be had",
        "OR390": "a scenario that cannot be played",
        "OR391": "an eval that cannot be run",
        # Warnings
        "OR401": "an alias that never applies",
        "OR402": "a target that is never reached",
        "OR403": "an expired key",
        "OR404": "plain http outside of private networks",
        "OR405": "a model that the catalogue does not know",
        "OR406": "a pattern that matches nothing",
        "OR408": "a variable that nothing uses",
        "OR409": "a provider that cannot be called, for it has no connection",
        "OR420": "a wait that no request can last for",
        "OR421": "a limit or budget that holds for nobody",
        "OR430": "a network inside another of its list",
        "OR431": "a list of addresses that is not read, or without effect",
        "OR432": "a filter that shuts this machine itself out",
        "OR441": "a combo with nothing to hedge with",
        "OR442": "an order by what is not known",
        "OR443": "a quota that is shared with nobody",
        "OR444": "requests that no target takes",
        "OR450": "a condition that is never met",
        "OR451": "a rule behind one that denies everything",
        "OR452": "a setting that does nothing",
        "OR490": "a policy that no test exercises",
    }
)

ONLINE: Mapping[str, str] = MappingProxyType(
    {
        "OR501": "a connection that does not work",
        "OR502": "a model that its provider does not list",
    }
)
"""What only the providers can tell (`omniroute validate --online`)."""


def suggestion(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """A hint that names what was probably meant; empty where nothing is near."""
    near = get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"did you mean `{near[0]}`?" if near else ""
