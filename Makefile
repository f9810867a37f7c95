# Needs make and Python >= 3.11 with its venv module; everything else is installed into .venv.

PYTHON ?= python3
DATA ?= builtin:shapes-count

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check

.PHONY: pick test lint clean

pick: .venv/installed
	$(BIN)/autoplace pick $(DATA)

test: .venv/installed-dev
	$(BIN)/python -m pytest

lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find autoplace predictors experiments tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are written last, so that a step that broke off is taken again.
.venv/created:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " \
	    + sys.version.split()[0] + "; name one: make PYTHON=python3.12" \
	    if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	touch $@

.venv/installed: .venv/created pyproject.toml constraints.txt
	$(PIP) -c constraints.txt -e .
	touch $@

.venv/installed-dev: .venv/created pyproject.toml constraints.txt
	$(PIP) -c constraints.txt -e '.[dev]'
	touch .venv/installed $@
