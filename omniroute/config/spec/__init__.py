"""The language of `omniroute.yaml`, as types.

One source for four things: what a file may say, the JSON Schema that editors complete from, the reference in the docs,
and the typed data that is compiled.  Values are as they stand in the file: durations and sizes are text with a unit
(`seconds` and `size` read them), references are unresolved, and a secret is only ever a `${env:NAME}`, a
`${file:/path}` or a `${secret:NAME}` here, never its value.  Optional means absent, never null: None stands for what the file leaves out, and
a null in a file is refused before these types see it.

Descriptions are what a person reads beside the key in the editor; `patternErrorMessage` says what a text must look
like, to editors and in our own problems.  `writeOnly` marks what must never be shown, not even when it is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, field

from omniroute.config.spec.backups import BackupsSpec
from omniroute.config.spec.cache import CacheSpec, IdempotencySpec
from omniroute.config.spec.cli_tools import CliToolsSpec
from omniroute.config.spec.combos import ComboSpec
from omniroute.config.spec.evals import SuiteSpec
from omniroute.config.spec.keys import KeySpec
from omniroute.config.spec.limits import BudgetSpec, LimitSpec
from omniroute.config.spec.policies import PolicySpec
from omniroute.config.spec.providers import PriceSpec, ProviderSpec
from omniroute.config.spec.resilience import ResilienceSpec
from omniroute.config.spec.responses import ResponsesSpec
from omniroute.config.spec.scenarios import ScenarioSpec
from omniroute.config.spec.server import AuthSpec, ServerSpec
from omniroute.config.spec.settings import SettingsSpec
from omniroute.config.spec.sync import SyncSpec
from omniroute.config.spec.telemetry import TelemetrySpec
from omniroute.config.spec.words import Name, Node, Pattern, ProviderName, QualifiedModel, WriteMode


class Spec(Node, frozen=True, kw_only=True):
    """The configuration of an OmniRoute gateway."""

    version: Annotated[Literal[1], Meta(description="The version of this language.")]
    mode: Annotated[
        WriteMode,
        Meta(
            description="What becomes of a change that is made through /api: `local` writes it into these files, `locked` "
            "refuses it with the diff that would make it, `git` makes a commit of it."
        ),
    ] = "local"
    include: Annotated[
        tuple[Annotated[str, Meta(min_length=1, description="A path or pattern, relative to this file.")], ...],
        Meta(
            description="Further files with parts of the same configuration; one object lives in one file.",
            examples=[["../policies/*.yaml"]],
        ),
    ] = ()
    server: Annotated[ServerSpec, Meta(description="Where and how the gateway listens.")] = ServerSpec()
    auth: Annotated[AuthSpec, Meta(description="Who may call, and who may manage.")] = AuthSpec()
    providers: Annotated[
        Mapping[ProviderName, ProviderSpec], Meta(description="Where models are, by the provider's name.")
    ] = {}
    aliases: Annotated[
        Mapping[Pattern, Pattern],
        Meta(
            description="Other names for models; `*` carries over what it stands for.",
            examples=[{"fast": "openai/gpt-5-mini", "claude-*": "anthropic/claude-*"}],
        ),
    ] = {}
    combos: Annotated[Mapping[Name, ComboSpec], Meta(description="Several models behind one name.")] = {}
    keys: Annotated[Mapping[Name, KeySpec], Meta(description="Who may call, by name.")] = {}
    limits: Annotated[Mapping[Name, LimitSpec], Meta(description="How much may be asked, by name.")] = {}
    budgets: Annotated[Mapping[Name, BudgetSpec], Meta(description="How much may be spent, by name.")] = {}
    policies: Annotated[Mapping[Name, PolicySpec], Meta(description="Rules, by name.")] = {}
    settings: Annotated[SettingsSpec, Meta(description="What counts for every request.")] = SettingsSpec()
    resilience: Annotated[ResilienceSpec, Meta(description="How failing providers are dealt with.")] = ResilienceSpec()
    responses: Annotated[ResponsesSpec, Meta(description="What is kept of answers of /v1/responses.")] = ResponsesSpec()
    backups: Annotated[BackupsSpec, Meta(description="Copies of the history.")] = BackupsSpec()
    cache: Annotated[CacheSpec | None, Meta(description="Answers that are given again; none, if absent.")] = None
    idempotency: Annotated[IdempotencySpec, Meta(description="The same request again gets the same answer.")] = (
        IdempotencySpec()
    )
    pricing: Annotated[
        Mapping[QualifiedModel, PriceSpec],
        Meta(
            description="Prices that the catalogue does not know, or knows otherwise.",
            examples=[{"openai/my-fine-tune": {"input": 3.0, "output": 12.0}}],
        ),
    ] = {}
    sync: Annotated[SyncSpec, Meta(description="Where the files are kept besides here.")] = SyncSpec()
    cli_tools: Annotated[CliToolsSpec, Meta(description="Coding tools on this machine.")] = CliToolsSpec()
    telemetry: Annotated[TelemetrySpec, Meta(description="Metrics, traces and logs.")] = TelemetrySpec()
    scenarios: Annotated[
        Mapping[Name, ScenarioSpec], Meta(description="What requests are expected to meet, run by `omniroute test`.")
    ] = {}
    evals: Annotated[
        Mapping[Name, SuiteSpec], Meta(description="What answers are expected of models, run by `omniroute eval`.")
    ] = {}


class Fragment(Spec, frozen=True, kw_only=True):
    """An included file: the same sections."""

    version: Annotated[Literal[1], Meta(description="The version of this language.")] = field(default=1)
