# `make demo` and `make test` set everything up by themselves.
ENVIRONMENT := .venv
BIN := $(ENVIRONMENT)/bin
INSTALLED := $(ENVIRONMENT)/.installed
FIND_PYTHON = python=$$(envs/find_python.sh $(if $(PYTHON),"$(PYTHON)"))
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.PHONY: demo install test test-slow test-slurm check bench bench-gpu gpu-check gpu-check-wheels format clean update-constraints

demo: $(INSTALLED)  ## Every step on generated images, on the CPU: 5 to 8 minutes on two cores.
	$(BIN)/snakemake --quiet rules

install: $(INSTALLED)  ## Only the environment, in .venv.

test: $(INSTALLED)  ## Style, types, lint and all tests but the slow ones.
	@# Three processes for two cores: some always wait for another process.
	@begin=$$(date +%s) && $(MAKE) --no-print-directory check && $(BIN)/pytest -n 3 && \
	    echo "make test took $$(($$(date +%s) - begin)) s, apart from installation"

test-slow: $(INSTALLED)  ## The tests that take minutes, and ten times as many cases of the property tests.
	$(BIN)/pytest -m "slow or hypothesis and not slurm" --hypothesis-profile thorough

test-slurm: $(INSTALLED)  ## The tests that start a SLURM on this machine (Debian: slurm-wlm, munge).
	$(BIN)/pytest -m slurm -rs

bench: $(INSTALLED)  ## The benchmarks of speed, under 15 minutes; a table in results/benchmarks.
	$(BIN)/python -m benchmarks.all

bench-gpu: $(INSTALLED)  ## Those of them that compute on a GPU.
	$(BIN)/python -m benchmarks.all --device cuda

# Without an installation: the environment's Python if there is one, else the machine's, or PYTHON.
GPU_PYTHON := $(or $(PYTHON),$(wildcard $(BIN)/python),python3)

gpu-check:  ## Ten minutes on a GPU: everything against the CPU, and its speed. ARGS="--device cpu" tries the check itself.
	$(GPU_PYTHON) -m benchmarks.gpu_check $(ARGS)

# PyTorch's images for GPUs have most of what it imports, but no pydantic. x86-64; GPU_CHECK_VERSION is that Python's.
GPU_CHECK_VERSION := 3.12
gpu-check-wheels:  ## What such a machine lacks for gpu-check, if it has no network: carry .gpu_check_wheels there.
	$(GPU_PYTHON) -m pip download --quiet --no-deps --only-binary=:all: --implementation cp \
	    --python-version $(GPU_CHECK_VERSION) --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 \
	    --platform manylinux_2_28_x86_64 \
	    --constraint constraints.txt --dest .gpu_check_wheels \
	    pydantic pydantic-core annotated-types typing-inspection typing-extensions safetensors tqdm pyyaml pillow

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakemake --lint

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

# Installed again only when one of these has changed. pydensecrf2 asks for a Cython that knows no Python from 3.13 on, and
# is built with the constrained one instead.
$(INSTALLED): pyproject.toml constraints.txt envs/find_python.sh
	@if ! test -x $(BIN)/python; then \
	    $(FIND_PYTHON) && "$$python" -m venv $(ENVIRONMENT); \
	elif ! envs/find_python.sh $(BIN)/python >/dev/null 2>&1; then \
	    echo "$(ENVIRONMENT) has a Python that the project does not run on: 'make clean', then again" >&2; exit 1; \
	elif test -n "$(PYTHON)" && test "$$("$(PYTHON)" -V)" != "$$($(BIN)/python -V)"; then \
	    echo "$(ENVIRONMENT) has $$($(BIN)/python -V), and PYTHON is another one: 'make clean', then again" >&2; exit 1; \
	fi
	$(PIP) --upgrade pip setuptools wheel Cython
	$(PIP) --no-build-isolation pydensecrf2
	$(PIP) --build-constraint constraints.txt --editable '.[tests]'
	@touch $@

update-constraints:  ## Try the newest releases of everything, and write down which they are; then the tests.
	rm -rf .venv-newest
	$(FIND_PYTHON) && "$$python" -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --upgrade pip setuptools wheel Cython packaging
	.venv-newest/bin/python envs/update_constraints.py
	$(MAKE) ENVIRONMENT=.venv-newest test || { echo "The tests fail with these releases. To go back:" \
	    "git checkout constraints.txt pyproject.toml envs/wsss.yaml" >&2; exit 1; }

clean:  ## Remove the environments; results stay.
	rm -rf $(ENVIRONMENT) .venv-newest
