# `make demo` and `make test` set everything up by themselves.
ENVIRONMENT := .venv
BIN := $(ENVIRONMENT)/bin
INSTALLED := $(ENVIRONMENT)/.installed

PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.PHONY: demo install test test-slow test-slurm check bench bench-gpu format clean update-constraints

demo: $(INSTALLED)  ## The whole way on the embedded data set, on the CPU: a few minutes.
	$(BIN)/snakemake --quiet rules
	@cat results/creatures/summary.md

install: $(INSTALLED)  ## Only the environment, in .venv.

test: $(INSTALLED)  ## Style, types, lint and all tests but the slow ones.
	@begin=$$(date +%s) && $(MAKE) --no-print-directory check && $(BIN)/pytest -n 2 && \
	    echo "make test took $$(($$(date +%s) - begin)) s, apart from installation"

test-slow: $(INSTALLED)  ## The tests that take minutes, and ten times as many cases of the property tests.
	$(BIN)/pytest -m "slow or hypothesis and not slurm" --hypothesis-profile thorough

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

# Installed again only when one of these has changed. pydensecrf2 asks for a Cython that knows no Python from 3.13 on, and
# is built with the constrained one instead.
$(INSTALLED): pyproject.toml constraints.txt envs/find_python.sh
	python=$$(envs/find_python.sh $(PYTHON)) && { test -x $(BIN)/python || "$$python" -m venv $(ENVIRONMENT); }
	envs/find_python.sh $(BIN)/python >/dev/null || { echo "$(ENVIRONMENT) has another one: make clean"; exit 1; }
	$(PIP) --upgrade pip setuptools wheel Cython
	$(PIP) --no-build-isolation pydensecrf2
	$(PIP) --build-constraint constraints.txt --editable '.[tests]'
	@touch $@

update-constraints:  ## Try the newest releases of everything, and write down which they are; then the tests.
	rm -rf .venv-newest
	python=$$(envs/find_python.sh $(PYTHON)) && "$$python" -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --upgrade pip setuptools wheel Cython packaging
	.venv-newest/bin/python envs/update_constraints.py
	$(MAKE) ENVIRONMENT=.venv-newest test

clean:  ## Remove the environments; results stay.
	rm -rf $(ENVIRONMENT) .venv-newest
