"""What may be looked at while the gateway runs: usage, requests, times, sessions, limits, caches and models."""

from __future__ import annotations

from omniroute.api.views import caches, conversations, models, rate_limits, request_logs, telemetry, usage

ENDPOINTS = (
    *usage.ENDPOINTS,
    *request_logs.ENDPOINTS,
    *telemetry.ENDPOINTS,
    *conversations.ENDPOINTS,
    *rate_limits.ENDPOINTS,
    *models.ENDPOINTS,
    *caches.ENDPOINTS,
)
