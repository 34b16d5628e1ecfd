# The two commands a newcomer needs: `make demo` and `make test`. Both set everything up first.
#
#   make demo             speak a corpus, run the demo study, write its report
#   make test             all checks, the quick ones first: lint, types, unit
#   make lint             ruff and import-linter
#   make types            mypy
#   make unit             pytest, without what needs a service
#   make test-services    pytest of what needs one: a Ray cluster, a PostgreSQL server, a browser, a kernel
#   make test-exhaustive  pytest of whole catalogues where `make test` takes some
#   make fuzz             searches for inputs and kills that break something; GATESWAP_FUZZ_SECONDS=600 for each
#   make atlas            every activation on EMO-DB and RAVDESS: DATA=/folder, with emodb/ and ravdess/ in it
#   make docs             write anew what the documentation takes from the code
#   make gpu-check        everything there is to find out on a GPU; ARGS=--quick for the essential part
#   make setup            .venv with the pinned packages, which all but gpu-check run first
#   make clean            remove it
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SERVICES := $(VENV)/.services

.PHONY: setup demo test checks lint types unit test-services test-exhaustive fuzz docs gpu-check atlas clean

setup: $(INSTALLED)

# also where bytecode is not kept otherwise: tests start many processes, and what --no-compile leaves
# uncompiled would be compiled in each of them (15 instead of 5 CPU seconds for a worker of a study)
export PYTHONDONTWRITEBYTECODE :=

# The CPU kernels are compiled on the machine that runs them; torch is pinned so that nothing pulls in another one.
# --no-compile: Python compiles what is imported when it is, and most of 22,000 files never are.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("gateswap: Python 3.11 or newer is needed; try: make $(MAKECMDGOALS) PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[demo,dev]'
	@touch $(INSTALLED)

demo: setup
	$(BIN)/gateswap demo

test: checks unit

# at once: each of them uses one core
checks: setup
	@+$(MAKE) --no-print-directory --jobs 2 lint types

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup
	$(BIN)/mypy

# two workers on two cores: one thread each, or they wait for each other at every barrier; each has
# whole files, or both would make what a file's tests share; in the order of tests/conftest.py
unit: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

# a browser of the system is taken as it is; where there is none Playwright fetches one, and where
# it cannot, the tests of pages say so and are skipped
$(SERVICES): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[services]'
	@{ command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null || $(BIN)/playwright install chromium || true
	@touch $(SERVICES)

test-services: $(SERVICES)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m services

fuzz: setup
	GATESWAP_FUZZ_SECONDS=$${GATESWAP_FUZZ_SECONDS:-600} OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 -m fuzz -o timeout=0

test-exhaustive: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal -m exhaustive

docs: setup
	$(BIN)/python -m docs.generated

# each corpus by itself (ATLAS=emodb), or smaller for a try: ARGS='training.steps=20 variants.activation=[tanh,relu]'
# GATES= leaves the study of gates and directions out
ATLAS ?= emodb ravdess
GATES ?= emodb
ATLAS_EXPORTS ?= docs/data
ATLAS_PAGE ?= docs/atlas.md
ATLAS_MACHINE ?= $(shell sed -n 's/^model name.*: //p' /proc/cpuinfo 2>/dev/null | head -1), $(shell nproc 2>/dev/null) cores
WORKSPACE ?= runs
atlas: setup
	$(if $(DATA),,$(error say where the corpora are: make atlas DATA=/folder, with $(ATLAS:%=/folder/%)))
	set -e; for study in $(ATLAS:%=atlas-%) $(GATES:%=gates-atlas-%); do \
	  asked="$$study corpus.path=$(DATA)/$${study##*-} --workspace $(WORKSPACE)"; \
	  case $$study in atlas-*) $(BIN)/gateswap tune $$asked $(ARGS);; esac; \
	  $(BIN)/gateswap run $$asked $(ARGS); \
	  rm -rf "$(ATLAS_EXPORTS)/$$study"; \
	  $(BIN)/gateswap export $$study "$(ATLAS_EXPORTS)/$$study" --contents predictions --workspace $(WORKSPACE); \
	done
	$(BIN)/python -m reports.atlas.atlas_page $(ATLAS:%=$(ATLAS_EXPORTS)/atlas-%) $(GATES:%=--gates $(ATLAS_EXPORTS)/gates-atlas-%) \
	  --page $(ATLAS_PAGE) --machine "$(ATLAS_MACHINE)"

# for rented GPU machines: whatever Python there is, nothing is installed; options: make gpu-check ARGS=--quick
gpu-check:
	$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m bench.speed.gpu_check.check $(ARGS)

clean:
	rm -rf $(VENV) build *.egg-info
