# make demo    see states found in simulated images: ends with a report page and a picture
# make test    all checks and tests
# Needs make, Python 3.11 or newer, and PyPI; everything is installed into .venv, nothing elsewhere.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

# The newest Python that is there and can make virtual environments; or choose: make PYTHON=/path/to/python3
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3 python; do \
	if command -v $$p >/dev/null 2>&1 && \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then echo $$p; break; fi; done)

# PyTorch comes first and by itself: this release is known to work here and has builds that need no GPU.
# Another one (for a certain CUDA, say): make TORCH='torch --index-url https://download.pytorch.org/whl/cu126'
TORCH ?= torch==2.13.0

# Tests run in one process a core, so each computes with one thread.
JOBS ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)

.PHONY: help demo test clean

help:
	@sed -n 's/^# \(make [a-z]\)/\1/p' Makefile
	@echo "make clean   remove .venv, the demonstration and caches"

demo: $(VENV)/.installed
	$(BIN)/cryoscape demo -o demo --force

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "installing into $(VENV) (a few minutes the first time)"
	$(PIP) $(TORCH)
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@echo "installing into $(VENV) (a few minutes the first time)"
	$(PIP) $(TORCH)
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.installed

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: found no Python 3.11 or newer that can make virtual environments;" \
		"install one (on Debian and Ubuntu also python3-venv), or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is" \
		"$$($(PYTHON) -V 2>&1), needed is 3.11 or newer: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
