# The two commands: `make up` runs the product, `make test` proves it. All else is for those who change it.
PYTHON ?= python3
VENV   ?= .venv
PY     := $(VENV)/bin/python
UV     := $(VENV)/bin/uv
SOURCE := app workers migrations tests bench

# Without bytecode every start would compile every package anew: three to four times slower.
unexport PYTHONDONTWRITEBYTECODE
export UV_PYTHON_DOWNLOADS = never
LOCK := $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header --no-annotate

.DELETE_ON_ERROR:
.PHONY: up test together alone gate types-meanwhile lint types layers features bench promises openapi lock clean help

help: ## List the commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

up: $(VENV)/.ready ## Install what is missing, then run the product until Ctrl-C
	@$(PY) -m app.cli up

# Two at a time, a file to each; but what measures the others' patience has the machine for itself.
ALONE := $(filter-out %_kill.py, $(wildcard tests/faults/test_*.py))
test: alone ## The whole suite, without the long figures

together: $(VENV)/.ready-dev
	@$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ALONE:%=--ignore=%)

alone: together
	@$(PY) -m pytest $(ALONE)

gate: lint layers ## Everything that must pass before a change lands
	@$(MAKE) --no-print-directory -j 2 test types-meanwhile

# What is alone among the tests mostly waits.
types-meanwhile: together
	@$(PY) -m mypy

lint: $(VENV)/.ready-dev
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: $(VENV)/.ready-dev
	@$(PY) -m mypy

layers: $(VENV)/.ready-dev
	@$(VENV)/bin/lint-imports

features: $(VENV)/.ready-dev ## Which features are proven by which test
	@$(PY) -m tests.features

bench: $(VENV)/.ready-dev ## Measure against the floors and the peers: one table
	@$(PY) -m bench

promises: $(VENV)/.ready-dev ## The long figures of the promises (hours, not minutes)
	@$(PY) -m pytest -m long

openapi: $(VENV)/.ready ## Write the contract anew
	@$(PY) -m app.cli openapi

lock: $(VENV)/.ready ## Resolve the three locks; LOCK_FLAGS=--upgrade takes newer versions
	@$(LOCK) $(LOCK_FLAGS) pyproject.toml -o requirements.txt
	@$(LOCK) $(LOCK_FLAGS) pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
	@echo uv | $(LOCK) $(LOCK_FLAGS) - -o requirements-boot.txt

clean: ## Remove what can be made again; .data, which holds your data, stays
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find $(SOURCE) -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.ready: requirements.txt requirements-boot.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make up PYTHON=python3.12")'
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements-boot.txt
	@$(UV) pip install -q --python $(PY) --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.txt
	@$(UV) pip install -q --python $(PY) --require-hashes -r requirements-dev.txt
	@touch $@
