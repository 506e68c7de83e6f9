# Two commands do all: `make serve` and `make test`. Everything lives in .venv, pinned by hash.
#
#   make serve       the gateway, with config/omniroute.yaml; SERVE="--port 8080" adds options
#   make test        the tests; TEST="tests/config -k include" runs some of them
#   make check       what .ci/run does: lint, types, generated files, tests
#   make generate    the schema and the pages of docs/ that come from the code
#   make format      ruff, also what it can fix
#   make bench       what a request costs, next to a bare relay; make bench-pairs: each client before each upstream;
#                    make bench-conversation: a long conversation, without sockets; make bench-engine: limits, money, cache
#   make lock        both lock files anew (needs uv)
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Some images forbid bytecode. Without it each of the hundreds of processes that the tests start compiles all anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: serve test check lint types generated generate format lock bench bench-pairs bench-conversation bench-engine clean

serve: .venv/.runtime
	$(BIN)/python -m omniroute serve $(SERVE)

test: .venv/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal $(TEST)

check:
	.ci/run

lint: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/.dev
	$(BIN)/mypy

generated: .venv/.dev
	$(BIN)/python -m omniroute schema --check config/schema.json
	$(BIN)/python docs/generate.py --check

generate: .venv/.dev
	$(BIN)/python -m omniroute schema > config/schema.json
	$(BIN)/python docs/generate.py

format: .venv/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/.dev
	$(BIN)/python bench/run.py

bench-pairs: .venv/.dev
	$(BIN)/python bench/pairs.py

bench-engine: .venv/.dev
	$(BIN)/python bench/engine.py

bench-conversation: .venv/.dev
	$(BIN)/python bench/conversation.py

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
