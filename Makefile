# `make help` lists what there is to do

# CPU-only Linux: make test TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
ARGS ?= experiment=minilm model=offline/minilm

SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(SUPPORTED)' 2>/dev/null && echo $$python && break; done)

.DEFAULT_GOAL := help
.PHONY: help install lint test train clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: .venv/installed  ## the environment in .venv (Python 3.11 to 3.13)

.venv/installed: pyproject.toml constraints.txt
	@'$(PYTHON)' -c '$(SUPPORTED)' 2>/dev/null || { echo "error: Python 3.11 to 3.13 is needed; give PYTHON=/path/to/it"; exit 1; }
	'$(PYTHON)' -m venv .venv
	.venv/bin/pip install --quiet --constraint constraints.txt \
		$(if $(TORCH_INDEX),--extra-index-url '$(TORCH_INDEX)') --editable '.[offline,dev]'
	@touch $@

lint: install  ## style and common mistakes
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

test: lint  ## lint, then all tests, on two cores
	.venv/bin/python -m pytest --numprocesses 2 --dist loadfile

train: install  ## train: make train ARGS="model=biobert data.path=..."
	.venv/bin/python train.py $(ARGS)

clean:  ## remove the environment and caches, not the runs
	rm -rf .venv *.egg-info .pytest_cache .ruff_cache .hypothesis
