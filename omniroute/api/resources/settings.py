"""`/api/settings` and the sections below it: what counts for every request, and for the gateway as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from omniroute.api.crud import Body, Section, Shown
from omniroute.api.leaves import Steps, found
from omniroute.api.resources.combos import configured
from omniroute.api.resources.fields import Maybe, applied, changed, duration, milliseconds
from omniroute.api.write import Changes, Draft, View
from omniroute.config.spec.words import size
from omniroute.document import GONE
from omniroute.errors import BadRequest

MEBIBYTE = 1 << 20


# -------------------------------------------------------------------------------------------------------------- general


class GeneralShown(Shown, frozen=True, kw_only=True):
    """General settings. Times are in milliseconds."""

    require_login: bool
    has_password: bool
    setup_complete: bool
    require_api_key: bool
    login_ttl_ms: int
    session_ttl_ms: int
    strict_writes: bool
    strict_translation: bool
    max_body_size_mb: float
    max_audio_size_mb: float
    ping_interval_ms: int
    progress_interval_ms: int
    drain_timeout_ms: int
    idempotency_window_ms: int
    allowed_hosts: list[str]
    trusted_proxies: list[str]
    mode: str
    host: str
    port: int


class GeneralBody(Body, frozen=True, kw_only=True):
    """What is to change of the general settings."""

    require_login: bool | UnsetType = UNSET
    require_api_key: bool | UnsetType = UNSET
    login_ttl_ms: float | UnsetType = UNSET
    session_ttl_ms: float | UnsetType = UNSET
    strict_writes: bool | UnsetType = UNSET
    strict_translation: bool | UnsetType = UNSET
    max_body_size_mb: float | UnsetType = UNSET
    max_audio_size_mb: float | UnsetType = UNSET
    ping_interval_ms: float | UnsetType = UNSET
    progress_interval_ms: float | UnsetType = UNSET
    drain_timeout_ms: float | UnsetType = UNSET
    idempotency_window_ms: float | UnsetType = UNSET
    allowed_hosts: list[str] | UnsetType = UNSET
    trusted_proxies: list[str] | UnsetType = UNSET


def _mebibytes(text: str) -> float:
    return size(text) / MEBIBYTE


def _size(mebibytes: Any) -> Any:
    if mebibytes is UNSET:
        return UNSET
    whole = round(mebibytes * MEBIBYTE)
    for unit, each in (("MiB", MEBIBYTE), ("KiB", 1024)):
        if whole % each == 0:
            return f"{whole // each}{unit}"
    return f"{whole}B"


def _same(value: Any) -> Any:
    return value


PLACES: Mapping[str, tuple[Steps, Any]] = {
    "require_login": (("auth", "require_login"), _same),
    "require_api_key": (("auth", "require_api_key"), _same),
    "login_ttl_ms": (("auth", "session_ttl"), duration),
    "session_ttl_ms": (("settings", "session_ttl"), duration),
    "strict_writes": (("auth", "strict_writes"), _same),
    "strict_translation": (("server", "strict_translation"), _same),
    "max_body_size_mb": (("server", "body_limit"), _size),
    "max_audio_size_mb": (("server", "audio_limit"), _size),
    "ping_interval_ms": (("server", "ping_interval"), duration),
    "progress_interval_ms": (("server", "progress_interval"), duration),
    "drain_timeout_ms": (("server", "drain_timeout"), duration),
    "idempotency_window_ms": (("idempotency", "window"), duration),
    "allowed_hosts": (("server", "allowed_hosts"), _same),
    "trusted_proxies": (("server", "trusted_proxies"), _same),
}
"""Where each field stands in the files, and how it is written there."""


def general_shown(now: View) -> GeneralShown:
    spec = now.bundle.spec
    auth, server = spec.auth, spec.server
    return GeneralShown(
        require_login=auth.require_login,
        has_password=now.control.has_password,
        setup_complete=now.control.has_password,
        require_api_key=auth.require_api_key,
        login_ttl_ms=milliseconds(auth.session_ttl),
        session_ttl_ms=milliseconds(spec.settings.session_ttl),
        strict_writes=auth.strict_writes,
        strict_translation=server.strict_translation,
        max_body_size_mb=_mebibytes(server.body_limit),
        max_audio_size_mb=_mebibytes(server.audio_limit),
        ping_interval_ms=milliseconds(server.ping_interval),
        progress_interval_ms=milliseconds(server.progress_interval),
        drain_timeout_ms=milliseconds(server.drain_timeout),
        idempotency_window_ms=milliseconds(spec.idempotency.window),
        allowed_hosts=list(server.allowed_hosts),
        trusted_proxies=list(server.trusted_proxies),
        mode=spec.mode,
        host=server.host,
        port=server.port,
    )


def _general_changes(_draft: Draft, body: GeneralBody) -> Changes:
    values = {name: getattr(body, name) for name in PLACES}
    return {PLACES[name][0]: PLACES[name][1](value) for name, value in values.items() if value is not UNSET}


GENERAL = Section(
    path="/api/settings",
    noun="the general settings",
    action="settings.update",
    places=[place for place, _ in PLACES.values()],
    body=GeneralBody,
    shown_type=GeneralShown,
    shown=general_shown,
    changes=_general_changes,
    told_only=frozenset({"hasPassword", "setupComplete", "mode", "host", "port"}),
    change={"idempotencyWindowMs": 10000, "strictTranslation": True},
)


# ------------------------------------------------------------------------------------------------------------ ip filter

FILTER = ("settings", "ip_filter")
MODES = {"whitelist": "allow", "blacklist": "block"}
"""The modes by what other gateways call them."""


class FilterShown(Shown, frozen=True, kw_only=True):
    """From where the client API may be used; `whitelist` and `blacklist` are the two lists by other names."""

    enabled: bool
    mode: Literal["off", "allow", "block"]
    allow: list[str]
    block: list[str]
    whitelist: list[str]
    blacklist: list[str]


class FilterBody(Body, frozen=True, kw_only=True):
    """What is to change of the filter: a list as a whole, or one address in or out of it."""

    enabled: bool | UnsetType = UNSET
    mode: Literal["off", "allow", "block", "whitelist", "blacklist"] | UnsetType = UNSET
    allow: list[str] | UnsetType = UNSET
    block: list[str] | UnsetType = UNSET
    whitelist: list[str] | UnsetType = UNSET
    blacklist: list[str] | UnsetType = UNSET
    add_whitelist: str | UnsetType = UNSET
    remove_whitelist: str | UnsetType = UNSET
    add_blacklist: str | UnsetType = UNSET
    remove_blacklist: str | UnsetType = UNSET


def _filter_shown(now: View) -> FilterShown:
    spec = now.bundle.spec.settings.ip_filter
    allow, block = list(spec.allow), list(spec.block)
    return FilterShown(
        enabled=spec.mode != "off", mode=spec.mode, allow=allow, block=block, whitelist=allow, blacklist=block
    )


def _filter_changes(draft: Draft, body: FilterBody) -> Changes:
    spec = draft.bundle.spec.settings.ip_filter
    mode: Any = MODES.get(str(body.mode), body.mode)
    if body.enabled is False:
        mode = "off"
    elif body.enabled is True and (mode == "off" or (mode is UNSET and spec.mode == "off")):
        mode = "block" if spec.block and not spec.allow else "allow"
    lists = {
        "allow": _list(spec.allow, body.allow, body.whitelist, body.add_whitelist, body.remove_whitelist),
        "block": _list(spec.block, body.block, body.blacklist, body.add_blacklist, body.remove_blacklist),
    }
    return {FILTER: changed(found(draft.bundle, FILTER), {"mode": mode, **lists})}


def _list(now: tuple[str, ...], whole: Any, other: Any, add: Any, remove: Any) -> Any:
    if whole is not UNSET and other is not UNSET and whole != other:
        raise BadRequest("The list is there under both of its names, and they differ.", code="invalid_body")
    if whole is UNSET and other is UNSET and add is UNSET and remove is UNSET:
        return UNSET
    entries = list(now) if whole is UNSET and other is UNSET else list(other if whole is UNSET else whole)
    if add is not UNSET and add not in entries:
        entries.append(add)
    return [each for each in entries if each != remove]


IP_FILTER = Section(
    path="/api/settings/ip-filter",
    noun="the filter of addresses",
    action="settings.ip-filter",
    places=[FILTER],
    body=FilterBody,
    shown_type=FilterShown,
    shown=_filter_shown,
    changes=_filter_changes,
    change={"mode": "block", "block": ["203.0.113.0/24"]},
)


# ------------------------------------------------------------------------------------------------ thinking and prompts

THINKING = ("settings", "thinking_budget")
PROMPT = ("settings", "system_prompt")


class ThinkingShown(Shown, frozen=True, kw_only=True):
    """How much models think. `effort` is told as `effortLevel` too."""

    mode: str
    custom_budget: int
    effort: str
    effort_level: str


class ThinkingBody(Body, frozen=True, kw_only=True):
    """What is to change of it."""

    mode: Literal["passthrough", "auto", "custom", "adaptive", "effort"] | UnsetType = UNSET
    custom_budget: Annotated[int, Meta(ge=0, le=200_000)] | UnsetType = UNSET
    effort: str | UnsetType = UNSET
    effort_level: str | UnsetType = UNSET


def _thinking_shown(now: View) -> ThinkingShown:
    spec = now.bundle.spec.settings.thinking_budget
    return ThinkingShown(mode=spec.mode, custom_budget=spec.custom_budget, effort=spec.effort, effort_level=spec.effort)


def _thinking_changes(draft: Draft, body: ThinkingBody) -> Changes:
    if UNSET not in (body.effort, body.effort_level) and body.effort != body.effort_level:
        raise BadRequest("`effort` and `effortLevel` are the same, and they differ.", code="invalid_body")
    effort = body.effort_level if body.effort is UNSET else body.effort
    data = applied(found(draft.bundle, THINKING), body, "mode", "custom_budget")
    return {THINKING: changed(data, {"effort": effort})}


THINKING_BUDGET = Section(
    path="/api/settings/thinking-budget",
    noun="how much models think",
    action="settings.thinking-budget",
    places=[THINKING],
    body=ThinkingBody,
    shown_type=ThinkingShown,
    shown=_thinking_shown,
    changes=_thinking_changes,
    change={"mode": "custom", "customBudget": 4096},
)


class PromptShown(Shown, frozen=True, kw_only=True):
    """What models are told before all conversations."""

    enabled: bool
    prompt: str
    position: str


class PromptBody(Body, frozen=True, kw_only=True):
    """What is to change of it."""

    enabled: bool | UnsetType = UNSET
    prompt: str | UnsetType = UNSET
    position: Literal["prepend", "append", "replace"] | UnsetType = UNSET


def _prompt_shown(now: View) -> PromptShown:
    spec = now.bundle.spec.settings.system_prompt
    return PromptShown(enabled=spec.enabled, prompt=spec.prompt, position=spec.position)


def _prompt_changes(draft: Draft, body: PromptBody) -> Changes:
    return {PROMPT: applied(found(draft.bundle, PROMPT), body, "enabled", "prompt", "position")}


SYSTEM_PROMPT = Section(
    path="/api/settings/system-prompt",
    noun="what models are told before all conversations",
    action="settings.system-prompt",
    places=[PROMPT],
    body=PromptBody,
    shown_type=PromptShown,
    shown=_prompt_shown,
    changes=_prompt_changes,
    change={"enabled": True, "prompt": "Answer in English."},
)


# ------------------------------------------------------------------------------------------------------- combo defaults

DEFAULTS = ("settings", "combo_defaults")


class Defaults(Shown, frozen=True, kw_only=True):
    """What holds for combos that do not say otherwise. Without an `on` all failures but `invalid` lead on."""

    strategy: str
    max_retries: int
    retry_delay_ms: int
    retry_on: list[str]
    on: list[str] | None


class DefaultsShown(Shown, frozen=True, kw_only=True):
    """What holds for combos that do not say otherwise."""

    combo_defaults: Defaults


class DefaultsConfig(Body, frozen=True, kw_only=True):
    """What is to change of it."""

    strategy: str | Maybe = UNSET
    max_retries: int | Maybe = UNSET
    retry_delay_ms: float | Maybe = UNSET
    retry_on: list[str] | Maybe = UNSET
    on: list[str] | Maybe = UNSET


class DefaultsBody(Body, frozen=True, kw_only=True):
    """What is to change of it."""

    combo_defaults: DefaultsConfig | UnsetType = UNSET


def _defaults_shown(now: View) -> DefaultsShown:
    spec = now.bundle.spec.settings.combo_defaults
    return DefaultsShown(
        combo_defaults=Defaults(
            strategy=spec.strategy,
            max_retries=spec.retry.attempts,
            retry_delay_ms=milliseconds(spec.retry.delay),
            retry_on=list(spec.retry.on),
            on=None if spec.on is None else list(spec.on),
        )
    )


def _defaults_changes(draft: Draft, body: DefaultsBody) -> Changes:
    if not isinstance(body.combo_defaults, DefaultsConfig):
        return {}
    old = found(draft.bundle, DEFAULTS)
    data = changed(old, {"strategy": body.combo_defaults.strategy})
    return {DEFAULTS: changed(data, configured(data, body.combo_defaults)) or GONE}


COMBO_DEFAULTS = Section(
    path="/api/settings/combo-defaults",
    noun="what holds for combos that do not say otherwise",
    action="settings.combo-defaults",
    places=[DEFAULTS],
    body=DefaultsBody,
    shown_type=DefaultsShown,
    shown=_defaults_shown,
    changes=_defaults_changes,
    change={"comboDefaults": {"strategy": "round-robin", "maxRetries": 1}},
)

SECTIONS = (GENERAL, IP_FILTER, THINKING_BUDGET, SYSTEM_PROMPT, COMBO_DEFAULTS)
