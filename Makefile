# `make demo` and `make test` set everything up by themselves.
PYTHON ?= python3
ENVIRONMENT := .venv
BIN := $(ENVIRONMENT)/bin
INSTALLED := $(ENVIRONMENT)/.installed

.PHONY: demo install test test-slow test-slurm check bench bench-gpu format clean

demo: $(INSTALLED)  ## The whole way on the embedded data set, on the CPU: a few minutes.
	$(BIN)/snakemake --quiet rules
	@cat results/creatures/summary.md

install: $(INSTALLED)  ## Only the environment, in .venv.

test: $(INSTALLED) check  ## Style, types, lint and all tests but the slow ones.
	$(BIN)/pytest -n 2

test-slow: $(INSTALLED)  ## The tests that take minutes.
	$(BIN)/pytest -m slow

test-slurm: $(INSTALLED)  ## The tests that start a SLURM on this machine (Debian: slurm-wlm, munge).
	$(BIN)/pytest -m slurm -rs

bench: $(INSTALLED)  ## The benchmarks of speed, under 15 minutes; a table in results/benchmarks.
	$(BIN)/python -m benchmarks.all

bench-gpu: $(INSTALLED)  ## Those of them that compute on a GPU.
	$(BIN)/python -m benchmarks.all --device cuda

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy
	$(BIN)/snakemake --lint

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

# Installed again only when pyproject.toml has changed.
$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(ENVIRONMENT)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[tests]'
	@touch $@

clean:  ## Remove the environment; results stay.
	rm -rf $(ENVIRONMENT)
