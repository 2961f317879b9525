# Every target sets up what it needs. `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CHROMIUM := $(firstword $(shell command -v chromium || command -v chromium-browser))

.DEFAULT_GOAL := help
.PHONY: help setup browser run cluster test soak screenshots check format lint types bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make the virtual environment with everything in it

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "pinstripe needs Python 3.11 or newer: name one, as in make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --editable '.[cluster,postgres,reload]' --group dev
	@touch $(READY)

browser: $(VENV)/.browser ## Add what the tests in a browser need, and find the browser

$(VENV)/.browser: $(READY)
	@[ -n "$(CHROMIUM)" ] || { echo "the browser is missing: apt-get install chromium"; exit 1; }
	@$(BIN)/python -m pip install --quiet --group browser
	@touch $@

run: $(READY) ## Run the example shop: its server, and its bot with a handful of jobs
	@cd docs/examples/shop && exec ../../../$(BIN)/pinstripe start-server

cluster: $(READY) ## Run the example cluster: two bots, two workers and an embedded PostgreSQL
	@exec $(BIN)/python docs/examples/cluster/try_it.py

test: $(READY) $(if $(CHROMIUM),$(VENV)/.browser) ## Run all tests; those in a browser where a Chromium is found
	@$(BIN)/python -m pytest -q --numprocesses 4 --dist loadgroup

soak: $(READY) ## Run the system tests in their long form; it takes a while
	@PINSTRIPE_TEST_SOAK=1 $(BIN)/python -m pytest -q -s tests/system tests/test_bot_properties.py

screenshots: $(VENV)/.browser ## Take the pictures of the console in docs/screenshots
	@$(BIN)/python docs/screenshots/make.py

check: format lint types ## Check format, lint and types

format: $(READY) ## Check the format (FIX=1 mends it)
	@$(BIN)/ruff format $(if $(FIX),,--check) .

lint: $(READY) ## Check for mistakes
	@$(BIN)/ruff check $(if $(FIX),--fix) .

types: $(READY) ## Check the types
	@$(BIN)/mypy

bench: $(READY) ## Measure: each script prints ratios of one run
	@$(BIN)/python -m pip install --quiet --editable '.[cluster]' --group bench
	@failed=; for script in benchmarks/*.py; do \
		echo "== $$script"; $(BIN)/python $$script || failed="$$failed $$script"; \
	done; [ -z "$$failed" ] || { echo "a target is missed in:$$failed"; exit 1; }

clean: ## Remove what the other targets have made
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
