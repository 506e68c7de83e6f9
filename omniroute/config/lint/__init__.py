"""What the files mean together: rules over the typed configuration, one function and one code each.

Types say what a value looks like; these say whether it leads anywhere, whether it can work, and (OR4xx, warnings) whether
it does what its author thinks.  `compile` relies on the errors: after them every name leads to a target and none in a
circle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omniroute.catalog import Catalog
from omniroute.config.lint import (
    access,
    cache,
    combos,
    evals,
    limits,
    oauth,
    policies,
    providers,
    resilience,
    routes,
    scenarios,
    settings,
    telemetry,
)
from omniroute.config.lint.subject import Rule, Subject
from omniroute.errors import Problem

if TYPE_CHECKING:
    from omniroute.config.bundle import Bundle

RULES: tuple[Rule, ...] = (
    *providers.RULES,
    *oauth.RULES,
    *routes.RULES,
    *combos.RULES,
    *access.RULES,
    *policies.RULES,
    *resilience.RULES,
    *limits.RULES,
    *settings.RULES,
    *cache.RULES,
    *scenarios.RULES,
    *evals.RULES,
    *telemetry.RULES,
)


def findings(bundle: Bundle, catalog: Catalog, *, insecure: bool = False) -> list[Problem]:
    """What the rules find, errors and warnings."""
    subject = Subject(bundle, catalog, insecure=insecure)
    return [problem for rule in RULES for problem in rule(subject)]
