# One door for people and for CI. `make help` lists what there is.
# Needs only make and a Python 3.11 or newer with its venv module; PYTHON= names another one.
# JOBS= is how many tests run at once: twice as many as there are cores, for many wait for the clock.

PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 4

# What the doors run. Each may be given on the command line: make run RUN='simulate --help'
SWITCH ?= simulated
RUN   ?= $(if $(filter asterisk,$(SWITCH)),pbx,serve)
PROOF ?= prove
MUTANTS ?= tests/core_mutants.py
SOAK  ?= soak
EXAMPLES ?= 20000
BENCH ?= benchmarks/run.py
FIDELITY ?= tests/fidelity/$(if $(filter asterisk,$(SWITCH)),fidelity_asterisk.py --programs 300,fidelity.py --programs 1000)
DOCS  ?= docs/make_reference.py

# What make kill does: kills, calls in flight, dice, and what else `python tests/kill -h` lists.
KILLS ?= 200
CALLS ?= 15
SEED  ?= 1
KILL  ?= $(if $(filter asterisk,$(SWITCH)),--asterisk)
SOAK_KILLS ?= 10000

# How long make hostile attacks, and what else `python tests/hostile -h` lists.
HOSTILE_S ?= 3600
HOSTILE ?=

# What make quick leaves out: see the markers in pyproject.toml. schemathesis costs a second to load.
QUICK ?= -p no:schemathesis -m 'not (slow or exhaustive or asterisk or freeswitch)'

# Without it each of the many processes that the tests start would compile the whole package.
export PYTHONDONTWRITEBYTECODE :=

BIN   := $(VENV)/bin
BESIDE := PYTHONPATH=tests:tests/server:tests/fidelity
PIP   := $(BIN)/python -m pip --disable-pip-version-check --quiet
NEEDS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run quick test lint types imports collect unit coverage format proof mutants soak kill hostile fidelity bench docs \
  constraints clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: $(VENV)/.installed ## the service, with a simulated switch and a call to play with; SWITCH=asterisk: a real one
	$(BIN)/hookflash $(RUN)

quick: lint ## ruff and the fast tests, in under a minute, without coverage: for while you work
	HYPOTHESIS_PROFILE=quick $(BIN)/python -m pytest -q -n $(JOBS) --dist loadgroup $(QUICK)

# First what waits for the network or has one core's work, two at a time; then what uses all cores.
test: ## every check there is (CI runs this and nothing else)
	$(MAKE) --jobs=2 $(VENV)/.installed-dev $(VENV)-bench/.installed
	$(MAKE) --jobs=2 types lint imports collect
	$(MAKE) unit

lint: $(VENV)/.installed-dev ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev ## pyright, strict
	$(BIN)/basedpyright --pythonpath $(BIN)/python

imports: $(VENV)/.installed-dev ## the contract: imports point one way, the core does no I/O
	$(BIN)/lint-imports --no-cache

collect: $(VENV)/.installed-dev ## read all tests once, so that those who run them find them compiled
	@$(BIN)/python -m pytest --collect-only -qq >/dev/null || true # `unit` tells what can't be read

unit: $(VENV)/.installed-dev $(VENV)-bench/.installed ## pytest
	HOOKFLASH_BENCH_PYTHON=$(VENV)-bench/bin/python $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(UNIT)

coverage: ## the same with branch coverage, which doubles the time: at least 95 %
	$(MAKE) unit UNIT='--cov --cov-report=term'

format: $(VENV)/.installed-dev ## lay the code out as the checks want it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proof: $(VENV)/.installed-dev ## every order of events that the machine can meet, half an hour
	$(BIN)/hookflash $(PROOF)

mutants: $(VENV)/.installed-dev ## the core, broken in every place in turn: the checks must notice, for two hours
	$(BIN)/python $(MUTANTS)

soak: $(VENV)/.installed-dev ## many seeds, with fresh dice: what the tests found too long
	$(BIN)/hookflash $(SOAK)
	$(BESIDE) $(BIN)/python tests/kill --virtual --kills $(SOAK_KILLS) --calls 21 --most 60 --pace 0.3 --seed $(SEED)
	HYPOTHESIS_PROFILE=soak HOOKFLASH_EXAMPLES=$(EXAMPLES) \
	  $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup

kill: $(VENV)/.installed-dev ## kill the service over and over, on a real switch (SWITCH=asterisk, or HOOKFLASH_FREESWITCH) or the emulator
	$(BESIDE) $(BIN)/python tests/kill --kills $(KILLS) --calls $(CALLS) --seed $(SEED) $(KILL)

hostile: $(VENV)/.installed-dev ## strangers attack the service for an hour while people are transferred
	$(BESIDE) $(BIN)/python tests/hostile --attack-s $(HOSTILE_S) $(HOSTILE)

fidelity: $(VENV)/.installed-dev ## the simulated switch beside a real one (HOOKFLASH_FREESWITCH; or SWITCH=asterisk)
	$(BESIDE) $(BIN)/python $(FIDELITY)

bench: $(VENV)-bench/.installed $(VENV)/.installed-dev ## how fast, beside its peers (in a venv of their own)
	$(VENV)-bench/bin/python $(BENCH)
	$(if $(HOOKFLASH_FREESWITCH),$(BIN)/python benchmarks/bench_switch.py --crowd 0)

docs: $(VENV)/.installed ## write docs/reference and docs/pictures anew, from the code
	$(BIN)/python $(DOCS)

constraints: ## pin anew what a fresh installation gets today
	$(PYTHON) -m venv --clear $(VENV)-pins
	$(VENV)-pins/bin/python -m pip --disable-pip-version-check --quiet install -e '.[dev]'
	{ sed -n '/^#/p' constraints.txt; \
	  $(VENV)-pins/bin/python -m pip freeze --exclude-editable; } > constraints.new
	mv constraints.new constraints.txt
	$(PYTHON) -m venv --clear $(VENV)-pins
	$(VENV)-pins/bin/python -m pip --disable-pip-version-check --quiet install -e '.[bench]'
	{ sed -n '/^#/p' benchmarks/constraints.txt; \
	  $(VENV)-pins/bin/python -m pip freeze --exclude-editable; } > constraints.new
	mv constraints.new benchmarks/constraints.txt
	rm -rf $(VENV)-pins

clean: ## forget everything that make and the tools made
	rm -rf $(VENV) $(VENV)-bench $(VENV)-pins build dist htmlcov .coverage .coverage.* \
	  .hypothesis .import_linter_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp a venv: installed again only when what it needs has changed.

define make-venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "hookflash needs Python 3.11 or newer; name one with PYTHON=..." >&2; exit 1; }
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D) || { rm -rf $(@D); \
	  echo "$(PYTHON) can't make a venv (on Debian: apt install python3-venv)" >&2; exit 1; }
endef

$(VENV)/.installed: $(NEEDS)
	$(make-venv)
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(NEEDS)
	$(make-venv)
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $(VENV)/.installed $@

$(VENV)-bench/.installed: pyproject.toml benchmarks/constraints.txt
	$(make-venv)
	$(VENV)-bench/bin/python -m pip --disable-pip-version-check --quiet \
	  install -c benchmarks/constraints.txt -e '.[bench]'
	@touch $@
