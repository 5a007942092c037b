# Two commands do everything on a machine with Python 3.11+ and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo serve test check mutants hooks fmt lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/.installed ## make the environment with the pinned packages

setup-dev: $(VENV)/.installed-dev ## the same with what tests and checks need

demo: setup ## play a city's day and go on serving until Ctrl-C (ARGS="--dossiers 1000 --exit")
	@exec $(BIN)/hoso demo $(ARGS)

serve: setup ## serve with embedded servers until Ctrl-C
	@exec $(BIN)/hoso serve $(ARGS)

check: setup-dev ## formatting, lint, types, import rules, unit tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n 2 tests/unit

test: check ## everything: the checks, then all tests against real servers and processes
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --ignore tests/unit

mutants: $(VENV)/.installed-mutants ## change the rules a little, thousands of times, and see which changes no test sees
	$(BIN)/mutmut run --max-children 2
	$(BIN)/python -m tests.mutants

hooks: setup-dev ## run the checks before each git commit (pre-commit)
	$(BIN)/pre-commit install

fmt: setup-dev ## format, and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --quiet pyproject.toml

lock: ## pin the newest allowed versions with their hashes (needs uv)
	$(LOCK) -o requirements.txt
	$(LOCK) --extra dev -o requirements-dev.txt
	$(LOCK) --extra dev --extra mutants -o requirements-mutants.txt

clean: ## throw the environment and the data away
	rm -rf $(VENV) .hoso .mypy_cache .ruff_cache .hypothesis .import_linter_cache mutants

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Hồ sơ needs Python 3.11 or newer; name one with make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) install -q --require-hashes -r requirements.txt
	$(PIP) install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(PIP) install -q --require-hashes -r requirements-dev.txt
	@touch $@

$(VENV)/.installed-mutants: requirements-mutants.txt $(VENV)/.installed-dev
	$(PIP) install -q --require-hashes -r requirements-mutants.txt
	@touch $@
