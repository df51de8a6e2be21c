# `make help` lists the targets. Everything is installed into $(VENV); nothing outside the checkout is changed.
#
# The package is installed as a regular (not editable) wheel, because fairseq finds `common.user_dir=fairseq_signals`
# by looking beside its own package. It is installed again whenever a source file changed.

SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV ?= .venv
COMPAT_VENV ?= .venv-compat
# The first interpreter of these that runs, has pip and is of one of the versions; `make PYTHON=...` overrides it.
first = $(shell for p in $(2); do \
	"$$p" -c 'import ensurepip, sys; sys.exit("%d.%d" % sys.version_info[:2] not in sys.argv)' $(1) 2>/dev/null \
	&& echo "$$p" && break; done)
PYTHON ?= $(call first,3.11 3.12,python3.11 $(HOME)/.pyenv/versions/3.11.*/bin/python python3.12 python3)
PYTHON310 ?= $(call first,3.10,python3.10 $(HOME)/.pyenv/versions/3.10.*/bin/python)
PIP_OPTIONS := --no-input --disable-pip-version-check
PYTEST_ARGS ?= -q -n 2 --dist loadfile
# What `make paper` runs: a file of examples/paper/config/, targets of its Snakefile, and more options of snakemake. What
# `make benchmark` runs: settings that ship, or a file, with the small collection if it is there, and more options.
SCALE ?= demo
BENCHMARK_ARGS ?= $(addprefix --shared ,$(wildcard ../shared))
TABLES ?= table1
PAPER_ARGS ?= --cores all
# Folder of the open recordings that the starter weights are made of.
SHARED ?= ../shared

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip $(PIP_OPTIONS)
COMPAT_PIP := $(COMPAT_VENV)/bin/python -m pip $(PIP_OPTIONS)
# Folders are listed too, so that removing a file counts as a change.
SOURCES := $(shell find fairseq_signals preprocess manifests examples -name __pycache__ -prune -o -print)
REINSTALL := install --quiet --no-deps --no-build-isolation --force-reinstall .
# One OpenMP thread a process: tests run side by side, and results do not depend on the number of cores.
RUN_TESTS := OMP_NUM_THREADS=1 MPLBACKEND=agg

.PHONY: help install demo demo-real demo-text paper benchmark starter bench bench-gpu test test-compat lint format clean distclean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

install: $(VENV)/package.stamp  ## make .venv with the package and its pinned dependencies

$(VENV)/dependencies.stamp: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or 3.12 found: pass PYTHON=/path/to/python" >&2; exit 1; }
	@echo "--- 1/3: PyTorch into $(VENV), with $(PYTHON)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt torch
	@echo "--- 2/3: the other dependencies and the tools, as pinned in constraints.txt"
	$(PIP) install -c constraints.txt '.[dev]'
	@touch $@

$(VENV)/package.stamp: $(VENV)/dependencies.stamp $(SOURCES)
	@echo "--- 3/3: the package itself, as it stands in this checkout"
	$(PIP) $(REINSTALL)
	@echo "--- done: source $(BIN)/activate"
	@touch $@

demo: install  ## synthetic records -> pre-train, fine-tune, test on five lead sets (about 10 minutes)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python examples/quickstart/demo.py

demo-real: install  ## the same on the real recordings in ../shared/real_ecg (about an hour)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python examples/quickstart/demo_real.py

demo-text: install  ## synthetic records with reports: zero-shot, retrieval, written reports, questions (about 15 minutes)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python examples/quickstart/demo_text.py

paper: install  ## the paper's Table 1 on synthetic records (about 40 minutes on two cores)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake -s examples/paper/Snakefile \
		--configfile examples/paper/config/$(SCALE).yaml $(PAPER_ARGS) $(TABLES)

starter: install  ## the weights that ship, from the recordings in SHARED (hours; goes on where it stopped)
	$(BIN)/fairseq-signals benchmark examples/starter/settings.yaml --out outputs/starter --shared $(SHARED)
	$(BIN)/python examples/starter/pack.py outputs/starter/pretrained/starter/seed1.pt \
		--manifests outputs/starter/manifests --out fairseq_signals/weights/starter

benchmark: install  ## methods compared on synthetic records; SCALE=real: on real ones (about two hours on two cores)
	$(BIN)/fairseq-signals benchmark $(SCALE) $(BENCHMARK_ARGS)

test: install  ## the tests
	$(RUN_TESTS) $(BIN)/python -m pytest $(PYTEST_ARGS)

# Each prints one JSON object as its last line; on a machine that does nothing else.
bench: install  ## the benchmarks, with pictures in outputs/benchmarks (about 20 minutes)
	mkdir -p outputs/benchmarks
	set -eo pipefail; for name in preprocess loading contrastive train_step finetune_step scaling embed long_record; do \
		echo "--- $$name"; $(BIN)/python benchmarks/$$name.py --plot outputs/benchmarks/$$name.png \
			| tee outputs/benchmarks/$$name.txt; done

bench-gpu: install  ## the benchmark of a GPU (at most 5 minutes); at a tiny size without one
	$(BIN)/python benchmarks/gpu.py

lint: install  ## ruff (lint and format) and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy fairseq_signals preprocess manifests

format: install  ## let ruff rewrite what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Upstream fairseq on Python 3.10, installed first and by itself: `pip install .` must then leave it as it is.
$(COMPAT_VENV)/dependencies.stamp: pyproject.toml constraints-py310.txt
	@test -n "$(PYTHON310)" || { echo "No Python 3.10 found: pass PYTHON310=/path/to/python3.10" >&2; exit 1; }
	@echo "--- Python 3.10, upstream fairseq 0.12.2 and the oldest torch into $(COMPAT_VENV)"
	test -x $(COMPAT_VENV)/bin/python || $(PYTHON310) -m venv $(COMPAT_VENV)
	$(COMPAT_PIP) install 'pip<24.1'
	$(COMPAT_PIP) install -c constraints-py310.txt torch 'numpy<1.24' fairseq==0.12.2
	$(COMPAT_PIP) install -c constraints-py310.txt '.[dev]'
	@touch $@

$(COMPAT_VENV)/package.stamp: $(COMPAT_VENV)/dependencies.stamp $(SOURCES)
	$(COMPAT_PIP) $(REINSTALL)
	@touch $@

test-compat: $(COMPAT_VENV)/package.stamp  ## the tests on Python 3.10 with upstream fairseq 0.12.2 (downloads over 2 GB once)
	$(RUN_TESTS) $(COMPAT_VENV)/bin/python -m pytest $(PYTEST_ARGS)

clean:  ## remove caches and build products (not outputs/, not the environments)
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean  ## clean, and remove the environments
	rm -rf $(VENV) $(COMPAT_VENV)
