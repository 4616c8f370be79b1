# `make demo` and `make test` each do all the set-up they need, once, without root.
# What is done is kept in $(VENV): dependencies follow constraints.txt and pyproject.toml, the build
# follows the C++ sources. Python sources are used where they lie.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

export VIRTUAL_ENV := $(abspath $(VENV))
export PATH := $(VIRTUAL_ENV)/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONPATH PYTHONHOME

CPP_FILES := $(shell find src/cpp tests/cpp -name '*.cpp' -o -name '*.hpp')
BUILD_FILES := CMakeLists.txt $(shell find src/cpp cmake -type f)
DEPENDENCIES := $(VENV)/.dependencies
INSTALLED := $(VENV)/.installed
PIP_INSTALL := python -m pip install --quiet --constraint constraints.txt

.PHONY: help setup demo test simulations lint format cpp-test asan notebooks bench clean

help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 12

# torch comes first and pinned: the build asks it for its headers, and a range, or another package
# that asks for it, may bring another build of it.
$(DEPENDENCIES): constraints.txt pyproject.toml
	@echo "Installing dependencies into $(VENV) (once; a few minutes)"
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed; set PYTHON=")'
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) pip
	$(PIP_INSTALL) $$(grep '^torch==' constraints.txt)
	$(PIP_INSTALL) cmake cmeel-eigen ninja pybind11 scikit-build-core
	touch $@

$(INSTALLED): $(DEPENDENCIES) $(BUILD_FILES)
	@echo "Building the compiled core (about two minutes from nothing)"
	$(PIP_INSTALL) --no-build-isolation --editable '.[all]'
	touch $@

setup: $(INSTALLED)  ## Install and build, nothing else

demo: $(INSTALLED)  ## The whole analysis on stimuli and a subject that it makes itself; writes demo_report/
	dnnbrain demo --out demo_report

test: $(INSTALLED)  ## Run the tests; ARGS="-k rsa" to choose
	python -m pytest $(ARGS)

simulations: $(INSTALLED)  ## Error rates and coverage over thousands of simulated studies (an hour)
	python -m pytest -m slow $(shell find tests -name 'test_simulations_*.py') $(ARGS)

lint: $(INSTALLED)  ## Formatting, style, types, layers, the stub against the module
	ruff check .
	ruff format --check .
	mypy
	python -m mypy.stubtest --allowlist tools/stubtest_allowlist.txt dnnbrain_cpp._core
	lint-imports
	python tools/check_layers.py
	clang-format --dry-run --Werror $(CPP_FILES)

format: $(INSTALLED)  ## Rewrite all sources in the house format
	ruff check --fix-only --quiet .
	ruff format .
	clang-format -i $(CPP_FILES)

cpp-test: $(INSTALLED)  ## Build with warnings as errors, check each header alone, run the C++ tests
	cmake --workflow --preset dev

asan: $(INSTALLED)  ## C++ and boundary tests under AddressSanitizer and UBSan
	cmake --workflow --preset asan
	python tools/run_sanitized.py build/asan -m pytest -s -m boundary $(ARGS)

notebooks: $(INSTALLED)  ## Execute the notebooks
	python -m pytest --nbmake notebooks $(ARGS)

bench: $(INSTALLED)  ## Run the benchmarks
	for script in benchmarks/[a-z]*.py; do python "$$script"; done

clean:  ## Remove what was built; keep the environment
	rm -rf build dist demo_report $(INSTALLED)
