# Needs python3 (3.11 or newer, with venv) and make. `make` alone lists the targets.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'

# The first one that runs and is new enough, unless you name one: make PYTHON=/path/to/python3
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python $(NEW_ENOUGH) 2>/dev/null && echo $$python && break; done)

COMPILE := UV_PYTHON_DOWNLOADS=never $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --custom-compile-command 'make lock' $(ARGS)

.PHONY: help venv demo test test-fast chaos broken-promises bench profile check format docs lock clean

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | \
		while IFS='|' read -r target text; do printf 'make %-16s %s\n' "$$target" "$$text"; done

demo: $(INSTALLED) ## mirror a made-up company, live, with nothing else installed; FOR=60 ends it after 60 seconds
	@$(BIN)/pipemirror demo $(if $(FOR),--for $(FOR)) $(if $(RATE),--rate $(RATE)) $(if $(DEALS),--deals $(DEALS))

test: $(INSTALLED) ## all tests; ARGS='-k spool -x' goes to pytest
	$(BIN)/python -m pytest $(ARGS)

test-fast: $(INSTALLED) ## the tests of pure code alone: no services, a few seconds
	$(BIN)/python -m pytest tests/unit tests/property $(ARGS)

chaos: $(INSTALLED) ## every fault there is a scenario for, a quarter of an hour; writes the table of docs/chaos.md and README.md
	$(BIN)/python -m pytest tests/chaos --every-fault --chaos-table docs/chaos.md --chaos-table README.md $(ARGS)

broken-promises: $(INSTALLED) ## break each promise in a copy of the tree: its tests must fail; ARGS='3' takes those so named
	PYTHONPATH=tests $(BIN)/python -m promises.breaking $(ARGS)

bench: $(INSTALLED) ## measure, side by side with bare ways; ARGS='receiver drain --quick' names what (bench/README.md)
	$(BIN)/python -m bench $(ARGS)

profile: $(INSTALLED) ## where the time of receiver and worker goes; as root, or where ptrace is allowed; ARGS='worker'
	$(BIN)/python -m bench.profile $(ARGS)

check: $(INSTALLED) ## lint, formatting, types of code and tests, the walls between the rooms, generated pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m cli.pages --check

format: $(INSTALLED) ## format the code and fix what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED) ## write the generated pages of docs/ anew: errors, metrics, settings
	$(BIN)/python -m cli.pages
	PYTHONPATH=tests $(BIN)/python -m promises.breaking --write

venv: $(INSTALLED) ## make .venv with exactly the locked packages; done by the other targets when needed

lock: $(INSTALLED) ## write requirements/*.txt anew from pyproject.toml; ARGS=--upgrade takes newer versions
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(COMPILE) requirements/build.in -o requirements/build.txt
	$(COMPILE) pyproject.toml -o requirements/runtime.txt
	$(COMPILE) --extra embedded --extra dev pyproject.toml requirements/build.in -o requirements/dev.txt

clean: ## remove what was made here, except your data in .pipemirror
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): requirements/dev.txt pyproject.toml
	@test -n '$(PYTHON)' && $(PYTHON) $(NEW_ENOUGH) || { \
		echo 'pipemirror needs Python 3.11 or newer. Name one: make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || { \
		echo 'This Python cannot make virtual environments. On Debian or Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@echo 'Installing the locked packages into $(VENV)'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
