"""Where things are tried out: the services that call a provider to see whether it works, and leave nothing behind."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from omniroute.catalog import Catalog
from omniroute.config.bundle import Bundle
from omniroute.routing.inquiry import Ask
from omniroute.routing.live import Live
from omniroute.services.models import Models
from omniroute.services.probes import Probes
from omniroute.services.proxies import Proxies
from omniroute.services.trial_combos import Combos
from omniroute.services.trials import Trials
from omniroute.state.base import Clock
from omniroute.upstream.client import Client


class Bench:
    """All of them, made of what the application has."""

    def __init__(
        self,
        live: Live,
        bundle: Callable[[], Bundle],
        catalog: Catalog,
        client: Client,
        ask: Ask,
        tls: ssl.SSLContext,
        clock: Clock,
    ) -> None:
        self.models = Models(live, client, clock)
        self.probes = Probes(live, bundle, catalog, ask, self.models, clock)
        self.trials = Trials(bundle, catalog, self.probes, self.models, clock)
        self.proxies = Proxies(live, tls, clock)
        self.combos = Combos(live, ask, clock)
