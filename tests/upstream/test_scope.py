"""What a provider's refusal is about, in the words that each of them has for it."""

import json

import pytest

from omniroute.errors import UpstreamError
from omniroute.formats.codecs import CHAT
from omniroute.upstream.answer import failure
from omniroute.upstream.client import classify
from omniroute.upstream.scope import scope_of

QUOTA_OF_A_MODEL = {
    "error": {
        "code": 429,
        "status": "RESOURCE_EXHAUSTED",
        "message": "You exceeded your current quota, please check your plan and billing details.",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [
                    {
                        "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
                        "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
                        "quotaDimensions": {"location": "global", "model": "gemini-2.5-flash"},
                    }
                ],
            },
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37.5s"},
        ],
    }
}


def openai(message, code=None, kind="t"):
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic(kind, message):
    return {"type": "error", "error": {"type": kind, "message": message}}


def google(message, status):
    return {"error": {"code": 0, "message": message, "status": status}}


CASES = {
    "OpenAI has no such model": (
        ("openai_chat", 404, openai("The model `gpt-9` does not exist or you do not have access.", "model_not_found")),
        ("gpt-9", "no_model", "model"),
    ),
    "an OpenAI project may not use the model": (
        ("openai_chat", 403, openai("Project `p` does not have access to model `gpt-9`", "model_not_found")),
        ("gpt-9", "no_model", "model"),
    ),
    "OpenAI refuses the key": (
        ("openai_chat", 401, openai("Incorrect API key provided", "invalid_api_key")),
        ("gpt-9", "auth", "connection"),
    ),
    "OpenAI limits the model": (
        ("openai_chat", 429, openai("Rate limit reached for gpt-9-2026-01-01 in organization o on tokens per min.")),
        ("gpt-9", "rate_limited", "model"),
    ),
    "OpenAI's account has no money": (
        ("openai_chat", 429, openai("You exceeded your current quota", "insufficient_quota", "insufficient_quota")),
        ("gpt-9", "quota", "connection"),
    ),
    "OpenAI's model is overloaded": (
        ("openai_chat", 503, openai("That model is currently overloaded with other requests.")),
        ("gpt-9", "overloaded", "model"),
    ),
    "Azure has no such deployment": (
        ("openai_chat", 404, openai("The API deployment for this resource does not exist.", "DeploymentNotFound")),
        ("gpt-9", "no_model", "model"),
    ),
    "Azure limits the deployment": (
        (
            "openai_chat",
            429,
            openai(
                "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-01-preview "
                "have exceeded token rate limit of your current AIServices S0 pricing tier.",
                "429",
            ),
        ),
        ("gpt-9", "rate_limited", "model"),
    ),
    "Groq limits the model": (
        ("openai_chat", 429, openai("Rate limit reached for model `llama-4` in organization `o` on tokens per day")),
        ("llama-4", "rate_limited", "model"),
    ),
    "Mistral has no such model": (
        (
            "openai_chat",
            400,
            {"object": "error", "message": "Invalid model: m", "type": "invalid_model", "param": None, "code": "1500"},
        ),
        ("m", "no_model", "model"),
    ),
    "Mistral limits the workspace": (
        ("openai_chat", 429, {"object": "error", "message": "Requests rate limit exceeded", "type": "rate_limited"}),
        ("m", "rate_limited", "connection"),
    ),
    "OpenRouter has no such model": (
        ("openai_chat", 400, {"error": {"message": "a/b is not a valid model ID", "code": 400}}),
        ("a/b", "no_model", "model"),
    ),
    "OpenRouter has no endpoint for what the request wants": (
        ("openai_chat", 404, {"error": {"message": "No endpoints found that support tool use.", "code": 404}}),
        ("a/b", "invalid", "connection"),
    ),
    "vLLM has no such model": (
        ("openai_chat", 404, openai("The model `q` does not exist.", 404, "NotFoundError")),
        ("q", "no_model", "model"),
    ),
    "a path that is not there": (
        ("openai_chat", 404, {"detail": "Not Found"}),
        ("gpt-9", "invalid", "connection"),
    ),
    "a request that is wrong": (
        ("openai_chat", 400, openai("gpt-9 does not take `temperature`", "unsupported_value")),
        ("gpt-9", "invalid", "connection"),
    ),
    "a host that is overloaded": (
        ("openai_chat", 503, openai("upstream connect error")),
        ("gpt-9", "overloaded", "connection"),
    ),
    "another model's limit": (
        ("openai_chat", 429, openai("Rate limit reached for chatgpt-9")),
        ("gpt-9", "rate_limited", "connection"),
    ),
    "Anthropic has no such model": (
        ("anthropic", 404, anthropic("not_found_error", "model: claude-9")),
        ("claude-9", "no_model", "model"),
    ),
    "Anthropic is overloaded": (
        ("anthropic", 529, anthropic("overloaded_error", "Overloaded")),
        ("claude-9", "overloaded", "connection"),
    ),
    "Anthropic's account has no credit": (
        ("anthropic", 400, anthropic("invalid_request_error", "Your credit balance is too low to access the API.")),
        ("claude-9", "quota", "connection"),
    ),
    "Gemini has no such model": (
        ("gemini", 404, google("models/gemini-9 is not found for API version v1beta", "NOT_FOUND")),
        ("gemini-9", "no_model", "model"),
    ),
    "Gemini's quota of the model is used up": (
        ("gemini", 429, QUOTA_OF_A_MODEL),
        ("gemini-2.5-flash", "rate_limited", "model"),
    ),
    "Gemini's model is overloaded": (
        ("gemini", 503, google("The model is overloaded. Please try again later.", "UNAVAILABLE")),
        ("gemini-9", "overloaded", "model"),
    ),
    "Gemini limits the project": (
        ("gemini", 429, google("Resource has been exhausted (e.g. check quota).", "RESOURCE_EXHAUSTED")),
        ("gemini-9", "rate_limited", "connection"),
    ),
    "Ollama has no such model": (
        ("ollama", 404, {"error": "model 'q' not found"}),
        ("q", "no_model", "model"),
    ),
}


@pytest.mark.parametrize(("said", "expected"), CASES.values(), ids=CASES)
def test_a_refusal_is_about_the_connection_or_one_model(said, expected):
    form, status, body = said
    model, kind, scope = expected
    error = classify(CHAT[form].decode_error(status, json.dumps(body).encode()), "there")
    assert (error.kind, scope_of(error, model)) == (kind, scope)


def test_geminis_wait_goes_with_the_quota_of_its_model():
    fault = CHAT["gemini"].decode_error(429, json.dumps(QUOTA_OF_A_MODEL).encode())
    assert (fault.code, fault.retry_after) == ("GenerateRequestsPerDayPerProjectPerModel-FreeTier", 37.5)


@pytest.mark.parametrize("kind", ["timeout", "connect", "server_error", "truncated", "malformed"])
def test_a_failure_on_the_way_is_about_the_connection_even_if_it_names_the_model(kind):
    assert scope_of(failure(kind, "gpt-9"), "gpt-9") == "connection"


def test_an_error_is_told_the_same_however_often():
    error = classify(
        CHAT["anthropic"].decode_error(404, json.dumps(anthropic("not_found_error", "model: x")).encode()), "a"
    )
    again = classify(error.fault, "a")
    assert isinstance(again, UpstreamError)
    assert again.kind == error.kind
