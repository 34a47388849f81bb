# Every target does its own set-up in .venv; a fresh machine needs Python 3.11+ (with venv) and make.
# pip uses whatever index this machine has configured.

.DEFAULT_GOAL := help
.PHONY: help demo test test-long check bench fuzz mutation soak ea-build ea-check ea-planted \
  mt5-wheel clean test-core test-names test-rest test-crash
# Where this is set every process compiles the sources anew: a third of the time of the tests.
export PYTHONDONTWRITEBYTECODE :=

PYTHON ?=
CANDIDATES := $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python
VENV := .venv
RUN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)/python
PRICES ?=
# Most short tests wait for sockets, disks and processes: more workers than processors end sooner.
JOBS ?= 8
# How many schedules `make soak` simulates.
SEEDS ?=
# Which MQL4 programs `make ea-check` looks at; all under mql4/ if none is named. For `make demo`:
# anything, and it goes through the Expert Advisor's source, which needs a C++ compiler.
EA ?=
# What has to be covered to the last branch: the contract and the judgement.
PURE := bridge_core/protocol/*,bridge_core/risk/*,bridge_server/core/*
# They cover it by themselves; the rest of the suite runs without the tracer, which slows it.
PURE_TESTS := tests/protocol tests/risk tests/server/core
# Have pipelines of their own, which workers would only play again: beside the rest, not in it.
ALONE := tests/crash tests/mql4/test_crash_points.py tests/mt5/test_crash_points.py
# What `make test` plays, where and how; `make test-long` says otherwise.
WHICH := not long
WHERE = $(if $(filter-out long,$(WHICH)),$(addprefix --ignore=,$(PURE_TESTS) $(ALONE)),$(LONG))
HOW := --dist worksteal
# Only these hold long tests: to collect all of them takes every worker seconds.
LONG = $(filter-out tests/crash/% $(ALONE),$(shell grep -rl 'mark\.long' --include='test_*.py' tests))
CODE := bridge_core bridge_server bridge_client tests mql4/libzmq $(wildcard examples)

help: ## this list
	@echo "make demo              a paper trade from end to end, in one terminal"
	@echo "make demo PRICES=FILE  the same on your prices: a MetaTrader export, or time,bid,ask"
	@echo "make demo EA=1         orders through the MetaTrader 4 Advisor's source, killed and lied to"
	@echo "make test              lint, types and every short test (5 to 10 minutes on two cores)"
	@echo "make test-long         the long tests: more seeds, more crashes (8 to 15 minutes more)"
	@echo "make check             lint and types only"
	@echo "make bench             benchmarks, beside the raw ZeroMQ floor"
	@echo "make fuzz              every parser under atheris, a fixed number of runs"
	@echo "make mutation          small wrong changes to the core, which its tests must notice"
	@echo "make soak              the long tests again and again, with more of everything"
	@echo "make soak SEEDS=N      the same, with so many simulated schedules"
	@echo "make ea-check          the Expert Advisor's source: lint, then C++ with every warning"
	@echo "make ea-check EA=FILE  the same for your own .mq4 or .mqh"
	@echo "make ea-planted        bugs planted in the Advisor's source, which its tests must notice"
	@echo "make mt5-wheel         the newest MetaTrader5 wheel beside what its stand-in is made of"
	@echo "make windows-check     the server and the MetaTrader5 wheel on Windows; on Linux under wine"
	@echo "make clean             remove .venv and every cache"

demo: $(VENV)/$(if $(EA),.test,.demo) ## a paper trade from end to end
	@$(RUN) $(if $(EA),-m tests.mql4.demo,-m bridge_client demo $(if $(PRICES),--prices "$(PRICES)"))

check: $(VENV)/.test
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy $(CODE)

# What keeps one processor busy goes side by side, and so do the crash points, which mostly wait,
# and the rest. Each part can be made by itself.
test: $(VENV)/.test
	@$(MAKE) --no-print-directory -j 4 ea-build check test-core test-names
	@$(MAKE) --no-print-directory -j 2 test-crash test-rest

test-long: $(VENV)/.test ea-build
	@$(MAKE) --no-print-directory -j 2 JOBS=5 WHICH=long \
	  HOW="--dist load --maxschedchunk 1 --hypothesis-profile=long" test-crash test-rest

test-core: $(VENV)/.test
	@$(RUN) -m coverage run -m pytest -m "not long" -q $(PURE_TESTS)
	@$(RUN) -m coverage report --include='$(PURE)' --fail-under=100

# Compiles the tests' modules, else each worker does that anew.
test-names: $(VENV)/.test
	@$(RUN) -m pytest --collect-only -q > /dev/null || echo "not all tests can be collected" >&2

test-rest: $(VENV)/.test
	$(RUN) -m pytest -m "$(WHICH)" -q -n $(JOBS) $(HOW) $(WHERE)

test-crash: $(VENV)/.test
	@$(RUN) -m pytest -m "$(WHICH)" -q $(ALONE)

bench: $(VENV)/.test
	$(RUN) -m tests.benchmarks

fuzz: $(VENV)/.test
	$(RUN) -m tests.fuzz

mutation: $(VENV)/.test
	$(RUN) -m tests.mutation

soak: $(VENV)/.test
	ZTB_SOAK=1 ZTB_SEEDS="$(SEEDS)" $(RUN) -m pytest -m long -q --hypothesis-profile=soak

# What most tests of the Expert Advisor start; says so where there is no C++ compiler.
ea-build: $(VENV)/.test
	@$(RUN) -m tests.mql4.build

ea-check: $(VENV)/.made
	$(RUN) -m tests.mql4.check $(EA)

ea-planted: $(VENV)/.test
	$(RUN) -m tests.mql4.hunt

mt5-wheel: $(VENV)/.test
	$(RUN) -m tests.mt5.wheel

# Downloads CPython for Windows and wheels into build/windows the first time.
windows-check: $(VENV)/.test
	$(RUN) -m tests.windows

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	find . -name __pycache__ -prune -exec rm -rf {} +

# --- set-up: once, and again only when pyproject.toml changed --------------------------------

$(VENV)/.demo: $(VENV)/.made pyproject.toml
	@echo "installing into $(VENV) ..." >&2
	@$(RUN) -m pip install -q -e '.[demo]' || { \
	  echo "pip could not install zero-trust-bridge: check the network and \`$(RUN) -m pip config list\`, then run make again." >&2; exit 1; }
	@touch $@

$(VENV)/.test: $(VENV)/.made pyproject.toml
	@echo "installing into $(VENV) ..." >&2
	@$(RUN) -m pip install -q -e '.[demo,test]' || { \
	  echo "pip could not install zero-trust-bridge: check the network and \`$(RUN) -m pip config list\`, then run make again." >&2; exit 1; }
	@touch $@ $(VENV)/.demo

$(VENV)/.made:
	@new=; good=; for p in $(CANDIDATES); do \
	  command -v "$$p" >/dev/null 2>&1 || continue; \
	  v=$$("$$p" -c 'import sys; print("%d.%d" % sys.version_info[:2] if sys.version_info >= (3, 11) else "")' 2>/dev/null) || continue; \
	  [ -n "$$v" ] || continue; \
	  new=$${new:-$$v}; \
	  if "$$p" -c 'import venv, ensurepip' >/dev/null 2>&1; then good=$$p; break; fi; \
	done; \
	if command -v apt-get >/dev/null 2>&1; then \
	  get="sudo apt-get install python3.11 python3.11-venv"; mend="sudo apt-get install python$$new-venv"; \
	elif command -v dnf >/dev/null 2>&1; then \
	  get="sudo dnf install python3.12"; mend="sudo dnf install python$$new"; \
	elif command -v brew >/dev/null 2>&1; then \
	  get="brew install python@3.12"; mend="brew reinstall python@$$new"; \
	else \
	  get="install Python 3.11 or newer from https://www.python.org/downloads/"; mend="$$get"; \
	fi; \
	if [ -z "$$new" ]; then \
	  echo "This needs Python 3.11 or newer and none was found: $$get" >&2; exit 1; \
	elif [ -z "$$good" ]; then \
	  echo "Python $$new was found but its venv module is missing: $$mend" >&2; exit 1; \
	fi; \
	rm -rf $(VENV); \
	"$$good" -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "Python $$new could not make $(VENV): $$mend" >&2; exit 1; }
	@touch $@
