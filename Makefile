# Two commands matter: `make demo` and `make test`. `make help` lists the rest.
# Everything is installed, built and run inside this folder.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CHECKOV := .cache/checkov
AUDIT := .cache/audit
BENCH := .cache/bench

# Caches, settings and application state stay in the project folder; nothing phones home.
export UV_CACHE_DIR := $(CURDIR)/.cache/uv
export UV_NO_CONFIG := 1
export UV_PYTHON_DOWNLOADS := never
# The certificates that pip and the system trust, a company's own among them.
export UV_SYSTEM_CERTS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export SAM_CLI_TELEMETRY := 0
export __SAM_CLI_APP_DIR := $(CURDIR)/.cache/sam

.DEFAULT_GOAL := help
.PHONY: help setup demo up down test soak bench check format lock audit clean

help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(INSTALLED) ## install what the other commands need into .venv

$(INSTALLED): requirements/bootstrap.txt requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "healthlake-hub needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Set PYTHON=/path/to/python3.11." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --no-cache-dir --require-hashes -r requirements/bootstrap.txt
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/bootstrap.txt requirements/dev.txt
	@touch $@

demo: $(INSTALLED) ## deploy into a local AWS account, export in full and the changes, follow change streams, redrive dead letters (DATA=<folder>)
	@$(BIN)/python -m local demo $(if $(DATA),--data "$(DATA)")

up: $(INSTALLED) ## start the local AWS account with the application deployed
	@$(BIN)/python -m local up

down: $(INSTALLED) ## stop the local AWS account
	@$(BIN)/python -m local down

# Two processes keep two cores busy; more cores take more. Each takes whole files, in their order: the long ones on
# the deployed stack come early, and what a file sets up is set up once.
WORKERS ?= 2

test: check $(CHECKOV)/.installed $(BENCH)/.installed ## run every check and test (WORKERS=<processes>)
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

soak: $(INSTALLED) ## take permissions away one by one; 200 runs of each workflow and 10,000 writes with random faults (PART= SEED= RUNS= JSON=1)
	@PYTHONPATH=functions $(BIN)/python -m local.soak $(PART) $(if $(SEED),--seed $(SEED)) $(if $(RUNS),--runs $(RUNS)) $(if $(JSON),--json)

bench: $(INSTALLED) $(BENCH)/.installed ## measure speed and cost; a quiet machine and half an hour (NAME= SAMPLES= DATA=)
	@PYTHONPATH=functions $(BIN)/python -m bench $(NAME) $(if $(SAMPLES),--samples $(SAMPLES))

check: $(INSTALLED) ## run the linters and type checkers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(INSTALLED) ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet

lock: $(INSTALLED) ## write the hashed requirements from the .in files
	$(LOCK) requirements/bootstrap.in -o requirements/bootstrap.txt
	$(LOCK) requirements/dev.in -o requirements/dev.txt
	$(LOCK) functions/requirements.in -o functions/requirements.txt
	$(LOCK) layers/parquet/requirements.in -o layers/parquet/requirements.txt
	$(LOCK) --constraint requirements/dev.txt workers/requirements.in -o workers/requirements.txt
	$(LOCK) requirements/checkov.in -o requirements/checkov.txt
	$(LOCK) requirements/audit.in -o requirements/audit.txt
	$(LOCK) requirements/bench.in -o requirements/bench.txt

audit: $(AUDIT)/.installed ## look for known vulnerabilities of every pinned package (asks the package registry)
	@for locked in functions/requirements.txt layers/*/requirements.txt workers/requirements.txt requirements/*.txt; do \
	  echo "$$locked"; $(AUDIT)/bin/pip-audit --disable-pip --require-hashes --strict --progress-spinner off -r $$locked || failed=1; \
	done; exit $${failed:-0}

# Tools whose own dependencies conflict with ours: each in an environment of its own.
.cache/%/.installed: requirements/%.txt | $(INSTALLED)
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .cache/$*
	@$(BIN)/uv pip sync --quiet --python .cache/$*/bin/python --require-hashes $<
	@touch $@

clean: ## remove everything that make made
	@test ! -x $(BIN)/python || $(BIN)/python -m local down
	rm -rf $(VENV) .cache .local .aws-sam .hypothesis .mypy_cache .pytest_cache .ruff_cache
