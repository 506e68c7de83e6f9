"""LiteLLM's config.yaml: deployments in `model_list`, which `router_settings` balances and falls back over.

Source: docs.litellm.ai/docs/proxy/configs and /docs/proxy/config_settings (2026-10). Keys of callers that LiteLLM makes
stand in its database and not in this file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from omniroute.config.importing.result import Result, address, duration, host_name
from omniroute.config.importing.source import Part, Source

TITLE = "LiteLLM's configuration"
PROVIDERS = {
    "openai": "openai", "azure": "azure", "anthropic": "anthropic", "gemini": "gemini", "mistral": "mistral",
    "codestral": "mistral", "groq": "groq", "deepseek": "deepseek", "openrouter": "openrouter", "together_ai": "together",
    "fireworks_ai": "fireworks", "xai": "xai", "cohere": "cohere", "cohere_chat": "cohere", "perplexity": "perplexity",
    "ollama": "ollama", "ollama_chat": "ollama", "nvidia_nim": "nvidia", "huggingface": "huggingface",
    "hosted_vllm": "vllm", "vllm": "vllm", "lm_studio": "lmstudio", "llamafile": "llamacpp", "deepinfra": "deepinfra",
    "sambanova": "sambanova", "cerebras": "cerebras", "moonshot": "moonshot", "zai": "zai", "minimax": "minimax",
    "dashscope": "dashscope", "github": "github-models", "novita": "novita", "nebius": "nebius",
    "hyperbolic": "hyperbolic", "voyage": "voyage", "deepgram": "deepgram",
}  # fmt: skip
"""Its prefixes of models, and the provider of the catalogue that is meant."""
LIKE_OPENAI = ("custom_openai", "openai_like", "litellm_proxy", "text-completion-openai")
"""Prefixes of whatever speaks OpenAI's language at `api_base`."""
STRATEGIES = {
    "simple-shuffle": ("random", ""),
    "least-busy": ("least-used", ""),
    "latency-based-routing": ("latency", ""),
    "cost-based-routing": ("cost-optimized", ""),
    "usage-based-routing": ("least-used", "by requests under way, and not by tokens of the last minute"),
    "usage-based-routing-v2": ("least-used", "by requests under way, and not by tokens of the last minute"),
}
KINDS = {"embedding": "embedding", "image_generation": "image", "audio_transcription": "transcription"}
CAPABILITIES = {
    "supports_vision": "vision",
    "supports_function_calling": "tools",
    "supports_reasoning": "reasoning",
    "supports_pdf_input": "pdf",
    "supports_audio_input": "audio_in",
    "supports_response_schema": "json_schema",
    "supports_prompt_caching": "prompt_cache",
    "supports_web_search": "web_search",
}
PRICES = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
}
WHY = {
    "rpm": "a limit here is of a key, model, provider or connection, and the same for all of them: see `limits`",
    "tpm": "a limit here is of a key, model, provider or connection, and the same for all of them: see `limits`",
    "temperature": "a model has no parameters of its own here: clients or policies say them",
    "max_tokens": "a model has no parameters of its own here: a policy with `max_tokens` limits answers",
    "environment_variables": "set them in the environment of the gateway",
    "success_callback": "requests stand in the gateway's own ledger, and metrics tell of them",
    "failure_callback": "requests stand in the gateway's own ledger, and metrics tell of them",
    "callbacks": "requests stand in the gateway's own ledger, and metrics tell of them",
    "set_verbose": "OMNIROUTE_LOG_LEVEL says how much is logged",
    "json_logs": "the gateway has one form of log",
    "database_url": "the gateway has a database of its own in `server.data_dir`, and keys stand in the files",
    "content_policy_fallbacks": "a refusal by a model is an answer here",
    "redis_host": "one gateway is one machine; it keeps its state itself",
    "redis_port": "one gateway is one machine; it keeps its state itself",
    "redis_password": "one gateway is one machine; it keeps its state itself",
}
_azure = re.compile(r"https://([A-Za-z0-9-]+)\.openai\.azure\.com/?")


class _Deployment(msgspec.Struct):
    """An entry of the list: what it is called, and the target that it became."""

    name: str
    target: str
    weight: int
    part: Part


def fits(data: Mapping[str, Any]) -> bool:
    """Whether a file looks like one of these."""
    models = data.get("model_list")
    return isinstance(models, list) and all(isinstance(each, dict) and "litellm_params" in each for each in models)


def convert(source: Source, result: Result) -> None:
    """Makes deployments targets, groups of them combos or aliases, and settings what comes nearest."""
    root = source.root
    conversion = _Conversion(root, result)
    for part in root["model_list"].parts():
        conversion.deployment(part)
    conversion.groups()
    conversion.settings()


class _Conversion:
    def __init__(self, root: Part, result: Result) -> None:
        self.root = root
        self.result = result
        self.deployments: list[_Deployment] = []
        self.router, self.litellm = root["router_settings"], root["litellm_settings"]

    # ----------------------------------------------------------------------------------------------------- deployments

    def deployment(self, part: Part) -> None:
        """A target for an entry of the list, if there is a provider like its own."""
        parameters = part["litellm_params"]
        provider, model, why = self.provider(parameters)
        if not provider:
            part.dropped(why)
            return
        self.connection(provider, parameters)
        target = f"{provider}/{model}"
        weight = parameters["weight"].number
        part["model_name"].mapped(f"leads to {target}")
        parameters.first("model").mapped(f"the target {target}")
        if weight is not None:
            parameters["weight"].mapped("the weight of the target")
        self.facts(provider, model, part["model_info"])
        for each in ("rpm", "tpm"):
            part[each].dropped(WHY[each])
            parameters[each].dropped(WHY[each])
        for name in ("temperature", "max_tokens"):
            parameters[name].dropped(WHY[name])
        for name in ("top_p", "stop", "seed", "frequency_penalty", "presence_penalty"):
            parameters[name].dropped(WHY["temperature"])
        self.deployments.append(_Deployment(part["model_name"].text, target, max(1, round(weight or 1)), part))

    def provider(self, parameters: Part) -> tuple[str, str, str]:
        """The provider of a deployment and its model there, or why there is none."""
        model = parameters["model"].text
        prefix, slash, rest = model.partition("/")
        base = parameters.first("api_base", "base_url")
        at = address(base.text)
        own = parameters["custom_llm_provider"].text
        if own:
            parameters["custom_llm_provider"].mapped("the provider")
            prefix, rest = own, rest if slash and prefix == own else model
        elif not slash or (prefix not in PROVIDERS and prefix not in LIKE_OPENAI):
            prefix, rest = self.unnamed(model, at)
        if not model or not rest or re.search(r"\s", rest):
            return "", "", "there is no model in it that can be called"
        if prefix == "azure":
            return self.azure(parameters, base), rest, ""
        if prefix in LIKE_OPENAI or (prefix == "openai" and at and not self.is_at("openai", at)):
            if not at:
                return "", "", f"`{prefix}` says no address that can be used: give it an `api_base`"
            base.mapped("the address of a node of one's own")
            return self.result.provider(host_name(at) if at.startswith("http") else "node", at), rest, ""
        name = PROVIDERS.get(prefix)
        if name is None:
            return "", "", f"the catalogue has no provider `{prefix or model}` of LiteLLM's"
        if prefix in ("hosted_vllm", "vllm", "lm_studio", "ollama", "ollama_chat") or base:
            base.mapped("the provider's address")
        return self.result.provider(name, at), rest, ""

    def is_at(self, name: str, at: str) -> bool:
        return self.result.catalog.providers[name].base_url.rstrip("/") == at.rstrip("/")

    def unnamed(self, model: str, at: str) -> tuple[str, str]:
        """Whose a model is that stands without a prefix: whoever has it in the catalogue, or OpenAI's at an address."""
        for name in ("openai", "anthropic", "gemini", "mistral", "deepseek", "xai", "cohere"):
            if model in self.result.catalog.models(name):
                return name, model
        for name, start in (("openai", r"gpt-|o\d|text-embedding-|dall-e-|whisper-"), ("anthropic", "claude-")):
            if re.match(start, model):
                return name, model
        return ("custom_openai", model) if at else ("", model)

    def azure(self, parameters: Part, base: Part) -> str:
        """Azure's address has the name of a resource in it."""
        resource = _azure.fullmatch(base.text)
        parameters["api_version"].dropped("the `/openai/v1` address of Azure has no versions")
        providers = self.result.section("providers")
        if resource:
            spec: dict[str, Any] = {"variables": {"resource": resource[1]}}
            base.mapped("the resource in the provider's address")
        else:
            at = address(base.text)
            literal = at and not at.startswith("$")
            spec = {"base_url": f"{at}/openai/v1" if literal else at or "${env:AZURE_API_BASE}"}
            if literal:
                base.mapped("the provider's address")
            else:
                base.lossy("the variable has to hold the address with `/openai/v1` at its end")
        for name, known in providers.items():
            if name.startswith("azure") and all(known.get(key) == value for key, value in spec.items()):
                return str(name)
        if "azure" in providers:
            name = self.result.free("azure", providers)
            at = f"https://{resource[1]}.openai.azure.com/openai/v1" if resource else str(spec["base_url"])
            providers[name] = {"type": "openai-compatible", "base_url": at}
            return name
        providers["azure"] = spec
        return "azure"

    def connection(self, provider: str, parameters: Part) -> None:
        key = self.result.key_of(parameters["api_key"], provider)
        spec = self.result.section("providers")[provider]
        more: dict[str, Any] = {}
        organization = parameters["organization"]
        if organization and organization.text and not organization.text.startswith("os.environ/"):
            more["headers"] = {"OpenAI-Organization": organization.text}
            organization.mapped("a header of the connection")
        known = len(spec.get("connections", {}))
        self.result.connection(provider, key, **more)
        if known and len(spec["connections"]) > known:
            parameters["api_key"].lossy(
                "a further connection of the provider: any of them serves any of its models"
                + ("" if "environ" in parameters["api_key"].text else "; set its variable, which is named above")
            )
        for name in ("timeout", "stream_timeout"):
            seconds = parameters[name].number
            if seconds:
                spec.setdefault("timeouts", {})["total" if name == "timeout" else "first_byte"] = duration(seconds)
                parameters[name].lossy("for all calls of the provider, and not for this deployment alone")

    def facts(self, provider: str, model: str, info: Part) -> None:
        """What is known of a model, and what it costs."""
        made: dict[str, Any] = {}
        mode = info["mode"].text
        if mode in KINDS:
            made["kind"] = KINDS[mode]
        if mode in KINDS or mode == "chat":
            info["mode"].mapped("the kind of the model")
        for theirs, ours in (("max_input_tokens", "context"), ("max_output_tokens", "max_output")):
            number = info[theirs].number
            if number:
                made[ours] = int(number)
                info[theirs].mapped(f"`{ours}` of the model")
        can = [ours for theirs, ours in CAPABILITIES.items() if info[theirs].is_on]
        for theirs in CAPABILITIES:
            info[theirs].mapped("`capabilities` of the model")
        if can:
            made["capabilities"] = can
        spec = self.result.section("providers")[provider]
        if made or ("type" in spec and "*" not in model):
            spec.setdefault("models", {}).setdefault(model, {}).update(made)
        price = {}
        for theirs, ours in PRICES.items():
            cost = info[theirs].number
            if cost is not None:
                price[ours] = round(cost * 1_000_000, 9)
                info[theirs].mapped("USD per million tokens, under `pricing`")
        if price:
            self.result.section("pricing")[f"{provider}/{model}"] = price

    # ---------------------------------------------------------------------------------------------------------- groups

    def groups(self) -> None:
        """Deployments of one name, and what follows when they fail."""
        grouped: dict[str, list[_Deployment]] = {}
        for each in self.deployments:
            grouped.setdefault(each.name, []).append(each)
        strategy = self.strategy(any(each.weight != 1 for each in self.deployments))
        onwards = self.fallbacks()
        for name, members in grouped.items():
            weights: dict[str, int] = {}
            for each in members:
                weights[each.target] = weights.get(each.target, 0) + each.weight
            plain = len(set(weights.values())) == 1
            targets = [each if plain else {"model": each, "weight": weight} for each, weight in weights.items()]
            if "*" in name:
                self.wildcard(name, members)
                continue
            chosen = strategy if len(targets) > 1 else "priority"
            if name not in onwards:
                self.result.lead(name, targets, strategy=chosen)
            elif len(targets) == 1:
                self.result.lead(name, [*targets, *onwards[name]], strategy="priority")
            else:
                pool = self.result.free(f"{name}-pool", grouped)
                self.result.lead(pool, targets, strategy=chosen)
                self.result.lead(name, [pool, *onwards[name]], strategy="priority")

    def wildcard(self, name: str, members: Sequence[_Deployment]) -> None:
        target = members[0].target
        if target.count("*") > name.count("*"):
            members[0].part.dropped("its model has more stars than its name")
        elif name != target:
            self.result.section("aliases")[name] = target
        for each in members[1:]:
            if each.target != target:
                each.part.dropped("a pattern leads to one target here: list the models in a combo")

    def strategy(self, weighted: bool) -> str:
        chosen = self.router["routing_strategy"]
        ours, difference = STRATEGIES.get(chosen.text or "simple-shuffle", ("random", "there is no strategy like it"))
        ours = "weighted" if weighted and ours == "random" else ours
        if difference:
            chosen.lossy(f"`{ours}`: {difference}")
        else:
            chosen.mapped(f"`{ours}`")
        return ours

    def fallbacks(self) -> dict[str, list[str]]:
        """For each name, where a request goes on."""
        found: dict[str, list[str]] = {}
        known = {each.name for each in self.deployments}
        for settings in (self.router, self.litellm):
            for kind in ("fallbacks", "context_window_fallbacks"):
                for part in (row for each in settings[kind].parts() for _, row in each.items()):
                    self.fallback(kind, part, known, found)
            settings["content_policy_fallbacks"].dropped(WHY["content_policy_fallbacks"])
        return found

    def fallback(self, kind: str, part: Part, known: set[str], found: dict[str, list[str]]) -> None:
        name = str(part.path[-1])
        names = [each.text for each in part.parts() if each.text in known and each.text != name]
        if name not in known or not names:
            part.dropped("it names no model of the list that came along")
            return
        row = found.setdefault(name, [])
        row += [each for each in names if each not in row]
        if self.circular(name, found):
            del found[name][-len(names) :]
            part.dropped("it leads back to where it comes from, and a combo does not contain itself")
            if not found[name]:
                del found[name]
        elif kind == "fallbacks":
            part.mapped(f"further targets of the combo `{name}`")
        else:
            part.lossy(f"further targets of the combo `{name}`, whatever failed")

    def circular(self, name: str, found: Mapping[str, Sequence[str]]) -> bool:
        waiting, seen = list(found[name]), set()
        while waiting:
            each = waiting.pop()
            if each == name:
                return True
            if each not in seen:
                seen.add(each)
                waiting += found.get(each, [])
        return False

    # -------------------------------------------------------------------------------------------------------- settings

    def settings(self) -> None:
        """Retries, cooldowns, timeouts, aliases, cache and the master key."""
        for settings in (self.router, self.litellm):
            self.patience(settings)
            for name, part in settings.items():
                if name in WHY:
                    part.dropped(WHY[name])
        known = {*self.result.section("combos"), *self.result.section("aliases"), *(d.name for d in self.deployments)}
        for name, part in self.router["model_group_alias"].items():
            target = (part["model"] if isinstance(part.value, dict) else part).text
            if target in known and "*" not in target:
                self.result.section("aliases")[name] = target
                part.mapped(f"the alias `{name}`")
            else:
                part.dropped("it names no model of the list that came along")
        self.litellm["drop_params"].mapped("as it is here: what a target cannot take is left out and told")
        self.cache()
        general = self.root["general_settings"]
        for name, part in general.items():
            if name in WHY:
                part.dropped(WHY[name])
        if general["master_key"]:
            self.result.section("auth")["require_api_key"] = True
            self.result.caller("master", general["master_key"], roles=["client", "admin.read", "admin.write"])
        self.root["environment_variables"].dropped(WHY["environment_variables"])

    def patience(self, settings: Part) -> None:
        retries = settings["num_retries"].number
        if retries is not None:
            retry = {"attempts": min(10, max(0, int(retries)))}
            self.result.section("settings").setdefault("combo_defaults", {})["retry"] = retry
            settings["num_retries"].lossy("further tries of the same target, in combos")
        profile: dict[str, Any] = {}
        seconds, fails = settings["cooldown_time"].number, settings["allowed_fails"].number
        if seconds:
            profile |= {"cooldown": duration(seconds), "max_cooldown": duration(max(60, seconds))}
            settings["cooldown_time"].lossy(
                "of a connection that uses a key; it doubles with each failure, up to the longest"
            )
        if fails is not None:
            profile["failure_threshold"] = max(1, int(fails) + 1)
            settings["allowed_fails"].lossy("failures in a row, and not in a minute")
        if profile:
            profiles = self.result.section("resilience").setdefault("profiles", {})
            profiles.setdefault("api_key", {}).update(profile)
        for name in ("timeout", "request_timeout"):
            seconds = settings[name].number
            if seconds:
                for spec in self.result.section("providers").values():
                    spec.setdefault("timeouts", {}).setdefault("total", duration(seconds))
                settings[name].mapped("`timeouts.total` of every provider")

    def cache(self) -> None:
        if not self.litellm["cache"]:
            return
        if self.litellm["cache"].is_on:
            seconds = self.litellm["cache_params"]["ttl"].number
            self.result.section("cache")["exact"] = {"enabled": True, **({"ttl": duration(seconds)} if seconds else {})}
            self.litellm["cache_params"]["ttl"].mapped("`cache.exact.ttl`")
            self.litellm["cache"].lossy("in the memory of the gateway, whatever the other one used")
        else:
            self.litellm["cache"].mapped("no cache")
