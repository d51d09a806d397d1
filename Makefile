# The commands of this project; `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Without bytecode files, every process of every test would compile each module it imports.
unexport PYTHONDONTWRITEBYTECODE
# No telemetry, so that a checkout needs no network.
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export DAGSTER_DISABLE_TELEMETRY := 1
# Not in logs/, where users may keep their log files.
export DBT_LOG_PATH := target/logs

.PHONY: help install demo dev test lint format clone bench mutations prove lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## Install everything into .venv from requirements.lock

# --no-deps: the lock file is complete, so pip need not resolve dependencies.
$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 13) else "Python 3.11 or 3.12 is required, this is %d.%d; choose one with: make PYTHON=python3.12 ..." % v)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the packages of requirements.lock into $(VENV) (about two minutes, once)"
# Occasional progress lines, since pip is either silent or verbose; .failed, since a pipe hides failure.
	@rm -f $(VENV)/.failed
	@{ $(BIN)/python -m pip install --disable-pip-version-check --no-deps --require-hashes -r requirements.lock \
		|| touch $(VENV)/.failed; } | awk '/^Collecting/ && ++n % 25 == 0 { print "  " n " packages found"; fflush() } \
		/^Installing collected/ { print "  installing " n " packages"; fflush() }'
	@test ! -e $(VENV)/.failed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: install ## From sample data to delivered webhooks, flag off and on, in under a minute
	@$(BIN)/learning-time-webhooks demo

dev: install ## Start the embedded warehouse, receiver page and Dagster UI; Ctrl-C stops all three
	@$(BIN)/learning-time-webhooks dev

# Three workers for two cores, since some test is always waiting for a server or a process.
test: install ## Run the whole test suite with coverage
	@$(BIN)/python -m pytest --numprocesses=3 --dist=loadfile --no-loadscope-reorder --cov --cov-report=term -q

lint: install ## Run ruff, pyright, import-linter, deptry, dbt parse for Snowflake, sqlfluff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/deptry .
	@DBT_TARGET=snowflake $(BIN)/dbt --quiet --warn-error parse --no-partial-parse --show-all-deprecations --target-path target/lint
	@$(BIN)/python -m tests.lint_sql

format: install ## Format the Python files with ruff
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clone: install ## Run and time the README's two commands on a fresh clone; takes minutes
	@$(BIN)/python -m pytest tests/end_to_end/test_clean_clone.py -m clone -q -s

bench: install ## Run the benchmarks, which are not tests
	@$(BIN)/python -m pytest tests/benchmarks -q -s -o python_files='bench_*.py'

mutations: install ## Mutation tests: break the models in one way at a time; a test must fail for each
	@$(BIN)/python -m tests.mutations

prove: install ## Run the long proofs: marked tests, long property tests, broken conditions and data tests
	@HYPOTHESIS_PROFILE=prove $(BIN)/python -m pytest -q -m "prove or hypothesis"
	@$(BIN)/python -m tests.mutations.conditions
	@$(BIN)/python -m tests.mutations.data_tests

COMPILE := UV_PYTHON_DOWNLOADS=never $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-emit-index-url --no-annotate

lock: install ## Rewrite both lock files from pyproject.toml
	@$(COMPILE) --all-extras pyproject.toml -o requirements.lock
	@$(COMPILE) --extra production --extra otel --constraints requirements.lock pyproject.toml -o deploy/requirements.lock

clean: ## Remove everything runs created, including the embedded warehouse; never your files
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m sync.local.cleaning; fi
	@rm -rf target .tmp_dagster_home_* .coverage .pytest_cache .ruff_cache .import_linter_cache .hypothesis
