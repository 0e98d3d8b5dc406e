# Two commands for a new user: `make demo` and `make test`. Options for pip go through PIP_OPTIONS:
#   make demo PIP_OPTIONS="--index-url https://…"
PYTHON ?= python3
PIP_OPTIONS ?=
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench install peers clean

demo: $(VENV)/.installed
	$(BIN)/ftmtl demo $(if $(STUDY),--study "$(STUDY)") --out demo

test: $(VENV)/.installed peers
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/one_pass.py

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("ftmtl-node needs Python 3.11 or newer") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv $(VENV)
	@echo "installing; torch is large, this takes a minute or two"
	$(BIN)/python -m pip install --quiet $(PIP_OPTIONS) --upgrade pip
	$(BIN)/python -m pip install --quiet $(PIP_OPTIONS) --editable ".[dev]"
	@touch $@

# Real peers for the integration tests. Where apt is missing or may not be used, those tests say that they were skipped.
peers:
	@sh tests/peers.sh

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
