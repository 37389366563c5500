# Every target sets up what it needs: a machine with Python 3.11 or newer, pip and make is enough. `make help` lists them.

PYTHON ?= python3
MINUTES ?= 10
WORKERS ?= 2

VENV := .venv
OLDEST := .venv-oldest
READY := $(VENV)/ready
DOCS_READY := $(VENV)/docs-ready
SITE := build/docs
OLDEST_READY := $(OLDEST)/ready
RUN := $(VENV)/bin/python
RUN_OLDEST := $(OLDEST)/bin/python
PIP := -m pip install --disable-pip-version-check

# One thread a worker is quickest for tests: they are many and small. Nothing they do needs the hub.
TESTS := HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
PYTEST := -m pytest -n $(WORKERS)

.DEFAULT_GOAL := help
.PHONY: help tour lab test lint check check-scout check-oldest fuzz benchmark benchmark-gpu docs test-docs setup clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

tour: $(READY) ## walk a picture and a question through the whole model, to the answer
	$(RUN) -m llama4_explained tour

lab: $(READY) ## open the notebooks
	$(VENV)/bin/jupyter lab notebooks

test: $(READY) ## run the notebooks and the tests
	$(TESTS) $(RUN) tools/notebooks.py check
	$(TESTS) $(RUN) $(PYTEST)

lint: $(READY) ## style, types, spelling
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/pyright --pythonpath $(RUN)
	$(VENV)/bin/codespell

check: $(READY) ## compare every piece with Hugging Face, and see every mutant fail
	HF_HUB_OFFLINE=1 $(RUN) -m llama4_explained check --mutants
	HF_HUB_OFFLINE=1 $(RUN) -m llama4_explained check --dtype bfloat16

check-scout: $(READY) ## the same at Scout's true widths, four layers of it (20 GB of memory)
	HF_HUB_OFFLINE=1 $(RUN) -m llama4_explained check --config scout-slice

check-oldest: $(OLDEST_READY) ## the same, and the tests, with the oldest packages that pyproject.toml admits
	HF_HUB_OFFLINE=1 $(RUN_OLDEST) -m llama4_explained check --mutants
	$(TESTS) $(RUN_OLDEST) $(PYTEST) -m "not slow"

fuzz: $(READY) ## compare random configurations with Hugging Face for MINUTES=10
	HF_HUB_OFFLINE=1 $(RUN) tools/fuzz.py --minutes $(MINUTES)

benchmark: $(READY) ## time the CPU paths against Hugging Face
	HF_HUB_OFFLINE=1 $(RUN) -m llama4_explained benchmark cpu

benchmark-gpu: $(READY) ## measure the kernels beside other libraries' on a CUDA device, write and draw the results
	$(RUN) kernels/benchmarks matmul_int4 moe_decode moe_prefill
	$(RUN) kernels/benchmarks chart

docs: $(DOCS_READY) ## build the documentation site, and test it in a browser if there is Chromium
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(RUN) docs/generate.py
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(RUN) -m sphinx -q -W --keep-going -c docs -d $(SITE)/doctrees $(SITE)/source $(SITE)/site
	$(MAKE) test-docs
	@echo "The site is $(CURDIR)/$(SITE)/site/index.html"

test-docs: $(DOCS_READY) ## open every page of the built site in a browser, and look for what is wrong with it
	$(TESTS) $(RUN) $(PYTEST) -rs --dist loadgroup tests/site

setup: $(READY) ## only make the environment in .venv

clean: ## remove the environments and what tools left behind
	rm -rf $(VENV) $(OLDEST) build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The versions of torch and torchvision that were tested come first, as one step: they are most of the download.
$(READY): pyproject.toml requirements/tested.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	@test -x $(RUN) || { echo "Setting up $(VENV); the first time takes some minutes."; $(PYTHON) -m venv $(VENV); }
	$(RUN) $(PIP) -r requirements/tested.txt
	$(RUN) $(PIP) -c requirements/tested.txt --editable '.[test]'
	@touch $@

# What the site needs beside that.
$(DOCS_READY): $(READY)
	$(RUN) $(PIP) -c requirements/tested.txt --editable '.[test,docs]'
	@touch $@

# This environment sees all of the first one's packages, and puts the oldest admitted ones in front of them.
$(OLDEST_READY): $(READY) tools/oldest.py
	rm -rf $(OLDEST)
	$(RUN) -m venv --without-pip $(OLDEST)
	$(RUN) tools/oldest.py see $(VENV) $(OLDEST)
	$(RUN_OLDEST) $(PIP) $$($(RUN) tools/oldest.py pins)
	@touch $@
