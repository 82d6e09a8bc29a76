# What there is to do here; `make` alone lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
# In the order of the files: by their number of tests, the long ones would come last, and one of two would wait.
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

# Build requirements are held by the same file as everything else.
export PIP_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install install-test run test test-fast lint golden bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "expected a Python >= 3.11, found no $(PYTHON); try make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "expected Python >= 3.11, got $$($(PYTHON) --version) as $(PYTHON); try make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[reports]'
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[reports,test]'
	@touch $@

install: $(VENV)/.installed ## into .venv: the project, its example and the reports
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q monitor examples

install-test: install $(VENV)/.installed-test ## what the tests need: Python packages, Prometheus and Alertmanager
	@scripts/install-test-tools.sh

run: install ## the demo: an example service, watched, alerted on and retrained
	@exec $(BIN)/anchorwatch demo

lint: $(VENV)/.installed-test ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: install-test lint ## everything
	$(PYTEST)

test-fast: $(VENV)/.installed-test lint ## everything but what is slow
	$(PYTEST) -m "not slow"

golden: $(VENV)/.installed-test ## rewrite tests/golden/; look at the difference before you commit it
	$(BIN)/python -m pytest --golden-update

bench: install ## the benchmarks, one after the other
	@set -e; for program in $(wildcard benchmarks/[a-z]*.py); do echo "== $$program"; $(BIN)/python $$program; done

clean: ## what was built, and .venv
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
