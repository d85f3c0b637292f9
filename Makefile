# Everything sets itself up: `make repro` and `make test` need only Python 3.11 or newer.
# Settings: PYTHON=python3.12 (which Python), SEEDS=0-4, PROFILES=baselines and JOBS=1 (of the
# proof: experiments at once), ARGS=... (for pytest and dvc repro),
# MONTESSORI_ACCELERATOR=cuda|cpu|none (what to install vLLM and torch for).

SHELL := /bin/sh
.DEFAULT_GOAL := help

SEEDS ?= 0-4
JOBS ?= 2
PROFILES ?= controls baselines signals budgets exams ablations
ARGS ?=
PYTHON ?=
PYTHONS := $(or $(PYTHON),.venv/bin/python python3.11 python3.12 python3.13 python3.14 python3)
BIN := .venv/bin

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONNOUSERSITE := 1
export DVC_NO_ANALYTICS := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export OMP_WAIT_POLICY := passive
export TOKENIZERS_PARALLELISM := false
export VLLM_NO_USAGE_STATS := 1
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

# Tests and checks never use the network, and one thread each.
offline := HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 OMP_NUM_THREADS=1

# What people read. Tests are not in it: they misspell on purpose.
prose := *.md docs montessori stages tools/*.py params.yaml profiles dvc.yaml Makefile pyproject.toml

.PHONY: help setup repro proof real test test-slow test-gpu campaign lint format docs zoo micro-base clean-env

help:  ## this list
	@echo "make TARGET, where TARGET is"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F '|' '{printf "%-14s %s\n", $$1, $$2}'

setup:  ## create or refresh .venv from the lock (done by every other target)
	@for python in $(PYTHONS); do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    exec "$$python" tools/environment.py; \
	  fi; \
	done; \
	echo "Montessori needs Python 3.11 or newer; none found as: $(PYTHONS)" >&2; \
	echo "next: install it (https://www.python.org), or name one: make PYTHON=/path/to/python3.11" >&2; \
	exit 2

repro: setup  ## run the whole pipeline, as far as something changed; print the comparison
	$(BIN)/dvc repro $(ARGS)
	@echo; $(BIN)/montessori table; echo; echo "Report: $(CURDIR)/report/index.html"

proof: setup  ## the comparisons of PROFILES over SEEDS=0-4 (hours; continues where it stopped)
	@set -e; for profile in $(PROFILES); do \
	  if test $$profile = controls; then students=student,student-2; else students=student; fi; \
	  $(BIN)/montessori proof --seeds $(SEEDS) --profile $$profile --students $$students \
	    --jobs $(JOBS); \
	done

real: setup  ## one round with a real language model of 135M parameters (an hour or two on two cores)
	$(BIN)/montessori profile smollm2
	$(BIN)/dvc repro $(ARGS)
	@echo; $(BIN)/montessori table; echo; echo "Report: $(CURDIR)/report/index.html"
	@echo "Back to the lab: $(BIN)/montessori profile"

test: setup  ## all quick tests, two at a time
	$(offline) $(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow and not gpu" $(ARGS)

test-slow: setup  ## the tests that take minutes, among them a real installation
	$(offline) $(BIN)/python -m pytest -m slow $(ARGS)

test-gpu: setup  ## the tests that need an NVIDIA GPU
	$(offline) $(BIN)/python -m pytest -m gpu $(ARGS)

campaign: setup  ## bad input by the thousand, and kills at random moments (hours; goes on)
	$(offline) $(BIN)/python -m tools.campaign bad-input --json metrics/campaign/bad-input.json
	$(offline) $(BIN)/python -m tools.campaign kill $(ARGS)

lint: setup  ## style, spelling, imports and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell $(prose)
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/mypy

format: setup  ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup  ## the docs as a site, .work/site; a broken link is an error
	$(BIN)/python tools/gpu_table.py
	$(BIN)/mkdocs build --quiet --strict
	@echo "Docs: $(CURDIR)/.work/site/index.html"

zoo: setup  ## check tiny models of 70 architectures anew for the docs (half an hour)
	$(BIN)/python tools/zoo.py $(ARGS)
	$(BIN)/python tools/pages.py

micro-base: setup  ## train the lab's base models again (up to an hour on two cores)
	$(BIN)/python -m montessori.lab_models.base

clean-env:  ## remove .venv
	rm -rf .venv
