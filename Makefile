# `make help` lists what there is to do

# CPU-only Linux: make test TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
ARGS ?= experiment=minilm model=offline/minilm
CORPORA ?= corpora
CASES ?= 20000
SEED ?= 0

SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(SUPPORTED)' 2>/dev/null && echo $$python && break; done)

.DEFAULT_GOAL := help
.PHONY: help install quickstart lint test browser test-slow fuzz bench train repro clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

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

test: lint  ## lint, then all tests but the slow ones, on two cores: nine minutes
	.venv/bin/python -m pytest --numprocesses 2 --dist loadfile

browser:  # the pages are tried in a real one
	@command -v chromium chromedriver >/dev/null || { \
		sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
		$$sudo apt-get update -qq && $$sudo apt-get install -qq --no-install-recommends \
			chromium chromium-driver >/dev/null; \
	} || { echo "error: the slow tests need chromium and chromedriver (Debian: chromium-driver)"; exit 1; }

test-slow: install browser  ## the slow tests: kills, and every command that the pages show: half an hour
	.venv/bin/python -m pytest -m slow --numprocesses 2 --dist loadfile

fuzz: install  ## hostile input, 20,000 cases a reader and more: make fuzz SEED=7 CASES=1000
	MEDNER_FUZZ_CASES=$(CASES) MEDNER_FUZZ_SEED=$(SEED) \
		.venv/bin/python -m pytest tests/test_fuzz.py --numprocesses 2 --dist worksteal

# by its parts about an hour on two cores; scaling.py, to 100,000 documents, is run by itself
bench: install  ## what is fast, and beside what: make bench RUN=runs/FOLDER CORPORA=corpora > bench.md
	@test -d '$(RUN)' || { echo "error: RUN=$(RUN) is no folder: give that of a run"; exit 1; }
	@.venv/bin/python bench/wait.py && echo
	@.venv/bin/python bench/training_step.py && echo
	@.venv/bin/python bench/training.py $(ARGS) corpora_dir='$(CORPORA)' data.split.test=20 \
		trainer.max_epochs=3 && echo
	@.venv/bin/python bench/inference.py '$(RUN)' && echo
	@.venv/bin/python bench/inference.py '$(RUN)' '$(CORPORA)/bc5cdr/CDR_TestSet.PubTator.txt' && echo
	@.venv/bin/python bench/decoding.py '$(CORPORA)/bc5cdr/CDR_TestSet.PubTator.txt'

define NEXT

That was it. The run folder (last line of the training, below runs/) has config.yaml, train.log,
data_report.json, metrics.json, predictions/, checkpoints/ and evaluations/. The scores are those of
30 training documents: enough to see it work, too few to mean anything. What to type next:

  source .venv/bin/activate
  python evaluate.py eval_dataset=test              # the run's own test documents again
  python train.py data=maccrobat dry_run=true model=offline/minilm
                                                    # MACCROBAT2020: what a run would do
  python train.py data=maccrobat model=offline/minilm experiment=minilm
  python train.py --help                            # every option

README.md says what the numbers mean, docs/own_corpus.md how to use notes of your own.
endef
export NEXT

quickstart: install  ## train and evaluate on the demo corpus: three minutes, no account, no hub
	.venv/bin/python train.py experiment=quickstart model=offline/minilm data=demo \
		data.split.validation=8 data.split.test=10 logger=csv
	.venv/bin/python evaluate.py eval_dataset=demo
	@printf '%s\n' "$$NEXT"

train: install  ## train: make train ARGS="model=biobert data.path=..."
	.venv/bin/python train.py $(ARGS)

repro: install  ## train a run again from its folder alone, and compare: make repro RUN=runs/FOLDER
	.venv/bin/python train.py repeat='$(RUN)'

clean:  ## remove the environment and caches, not the runs
	rm -rf .venv *.egg-info .pytest_cache .ruff_cache .hypothesis
