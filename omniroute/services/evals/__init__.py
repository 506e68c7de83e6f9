"""Evals: suites of the configuration, run through the engine and judged."""
