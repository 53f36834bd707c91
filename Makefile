# Everything a developer or a build server runs. Each target starts from nothing: what it needs, it installs in .venv.

PYTHON ?= python3
WORKERS ?= 3

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
BASE := .venv/.installed-base
DEV := .venv/.installed-dev

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test check bench slow crash fuzz mutants flower-contract proto messages clean

help:  ## say what each target does (this)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(BASE)  ## hospitals on this machine, real data, six questions and a model; ends by itself
	@$(BIN)/farr demo

test: check  ## lint, types, direction of imports, then the tests
	@$(BIN)/pytest -n $(WORKERS)

check: $(DEV)  ## lint, types and direction of imports only
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(DEV)  ## the benchmarks: ratios measured side by side in one run
	@$(BIN)/python -m benchmarks

slow: $(DEV)  ## the tests that take minutes: distributions, coverage of intervals, scale
	@$(BIN)/pytest -n $(WORKERS) -m slow --timeout 1800

crash: $(DEV)  ## kill a node at 200 random points, full and torn disks among them (under a minute; prints its seed)
	@$(BIN)/python -m tests.crash.run

fuzz: $(DEV)  ## 20,000 mutated inputs for each parser that faces another party (about 20 minutes)
	@$(BIN)/python -m tests.fuzz.run

mutants: $(DEV)  ## take each check that a promise rests on away in turn: a test must fail (about 20 minutes)
	@$(BIN)/python tests/mutation/run.py

flower-contract: $(BASE)  ## the Flower adapters' tests with each release of Flower that the pins allow (minutes for each)
	@$(BIN)/python -m tests.farr.flower_releases

proto: $(DEV)  ## generate protocols/wire_pb2*.py and .pyi from protocols/wire.proto
	@$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. --grpc_python_out=. protocols/wire.proto

messages: $(DEV)  ## compile the Chinese messages, farr.po to farr.mo
	@$(BIN)/pybabel --quiet compile --statistics --domain farr --locale zh --directory farr/locale

clean:  ## remove .venv and whatever a build or a test left
	@rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- .venv: one stamp for what a member runs, one for what a developer adds ---------------------------------------

$(BASE): pyproject.toml constraints.txt
	$(venv)
	@echo "Installing Farr into .venv" >&2
	@$(PIP) install -c constraints.txt -e .
	@touch $(BASE)

$(DEV): pyproject.toml constraints.txt
	$(venv)
	@echo "Installing Farr and its developers' tools into .venv" >&2
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $(BASE) $(DEV)

define venv
@$(PYTHON) -c '' 2>/dev/null || { \
	echo "$(PYTHON) does not start. Install Python 3.11 or newer, or name one: make PYTHON=python3.12 ..." >&2; exit 1; }
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "$(PYTHON) is $$($(PYTHON) -V); Farr needs 3.11 or newer. Name one: make PYTHON=python3.12 ..." >&2; exit 1; }
@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	echo "$(PYTHON) cannot make virtual environments. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
endef
