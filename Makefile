# Two commands do all: `make serve` and `make test`. Everything lives in .venv, pinned by hash.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: serve test check lint types generated generate format lock bench clean

serve: .venv/.runtime
	$(BIN)/python -m omniroute serve

test: .venv/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: lint types generated test

lint: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/.dev
	$(BIN)/mypy

generated: .venv/.dev
	$(BIN)/python -m omniroute schema --check config/schema.json

generate: .venv/.dev
	$(BIN)/python -m omniroute schema > config/schema.json

format: .venv/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/.dev
	$(BIN)/python bench/run.py

lock:
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 pyproject.toml --group dev -o requirements-dev.lock
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 pyproject.toml -c requirements-dev.lock -o requirements.lock

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.runtime: requirements.lock pyproject.toml | .venv/bin/python
	$(PIP) install --require-hashes -r requirements.lock
	@touch $@

.venv/.dev: requirements-dev.lock pyproject.toml | .venv/bin/python
	$(PIP) install --require-hashes -r requirements-dev.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@ .venv/.runtime

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
