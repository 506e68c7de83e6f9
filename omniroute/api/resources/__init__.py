"""The editable things of the management plane, a row each: what stands in the YAML, and can be changed through `/api`."""

from __future__ import annotations

from omniroute.api.crud import Resource, Section, endpoints, section_endpoints
from omniroute.api.endpoint import Endpoint
from omniroute.api.resources import budgets, keys, login, policies, pricing, proxies, rate_limits, resilience, settings
from omniroute.api.resources.combos import COMBOS
from omniroute.api.resources.keys import KEYS
from omniroute.api.resources.models import ALIASES, MODELS
from omniroute.api.resources.nodes import NODES
from omniroute.api.resources.policies import POLICIES
from omniroute.api.resources.providers import PROVIDERS
from omniroute.api.resources.resilience import RESILIENCE

RESOURCES: tuple[Resource, ...] = (PROVIDERS, NODES, MODELS, ALIASES, COMBOS, KEYS, POLICIES)
SECTIONS: tuple[Section, ...] = (*settings.SECTIONS, RESILIENCE)

_OWN: tuple[Endpoint, ...] = (
    *keys.ENDPOINTS,
    *policies.ENDPOINTS,
    *pricing.ENDPOINTS,
    *budgets.ENDPOINTS,
    *login.ENDPOINTS,
    *proxies.ENDPOINTS,
    *resilience.ENDPOINTS,
    *rate_limits.ENDPOINTS,
)
"""What no row can say: a key that is shown once, peers beside policies, prices of many models at once."""
_TAKEN = {(row.method, row.path) for row in _OWN}

ENDPOINTS: tuple[Endpoint, ...] = (
    *(row for resource in RESOURCES for row in endpoints(resource) if (row.method, row.path) not in _TAKEN),
    *(row for section in SECTIONS for row in section_endpoints(section)),
    *_OWN,
)
