# Needs make and Python >= 3.11 with its venv module; everything else is installed into .venv.

PYTHON ?= python3
DATA ?= builtin:shapes-count
# Fewer than the default, so that the first result is there sooner.
EPOCHS ?= 6

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check

# Test files side by side, one per core.
PYTEST := -m pytest -n auto --dist loadfile

# What other versions of Python and of the libraries are most likely to break, without the commands
# from end to end: a few minutes.
FAST := tests/placement tests/adapters tests/backbones tests/model tests/probing tests/predictors \
    tests/training/test_trial.py tests/training/test_scores.py \
    tests/tracking/test_store.py tests/tracking/test_run.py tests/tracking/test_models.py \
    tests/data/test_data_folder.py tests/data/test_data_manifest.py tests/report
# Old versions warn about what is new, and new ones about what is old: only the versions of
# constraints.txt must be free of warnings.
FAST_PYTEST := $(PYTEST) -W default --disable-warnings $(FAST)
# The newest tested Python after 3.11 that runs here; empty if there is none.
NEWER ?= $(shell for minor in 13 12; do \
    for python in python3.$$minor "$$(pyenv root 2> /dev/null)"/versions/3.$$minor.*/bin/python; do \
        "$$python" -c "" 2> /dev/null && echo "$$python" && exit; done; done)

# Debian keeps the server's programs out of the path.
POSTGRES := $(shell ls -d /usr/lib/postgresql/*/bin/initdb 2> /dev/null | tail -1)

.PHONY: pick test test-faults test-lowest test-newer other-versions lint docs lowest-versions clean

pick: .venv/installed
	$(BIN)/autoplace pick $(DATA) --epochs $(EPOCHS)

test: .venv/installed-dev
	$(BIN)/python $(PYTEST)

# Tests that inject faults (signals, full disks, killed workers), and those of Ray clusters and of
# PostgreSQL; one after the other, because many of them start processes of their own.
test-faults: .venv/installed-faults
	@if [ -z "$(POSTGRES)" ] && ! command -v initdb > /dev/null; then \
	    { [ "$$(id -u)" = 0 ] && apt-get update -qq && \
	        apt-get install -y -qq --no-install-recommends postgresql; } > /dev/null 2>&1 || \
	    echo "PostgreSQL is not installed and cannot be installed here: its tests are skipped"; fi
	$(BIN)/python -m pytest -m faults -rs tests

test-lowest: .venv-lowest/installed
	.venv-lowest/bin/python $(FAST_PYTEST)

test-newer: .venv/installed-dev
	@if [ -z "$(NEWER)" ]; then echo "no Python newer than 3.11 is installed: nothing to test"; \
	    else $(MAKE) .venv-newer/installed && .venv-newer/bin/python $(FAST_PYTEST); fi

# What the two before run in.
other-versions: .venv-lowest/installed $(if $(NEWER),.venv-newer/installed)

lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# The API reference, in build/api; warnings are errors.
docs: .venv/installed-docs
	rm -rf docs/api/generated
	$(BIN)/sphinx-build -q -E -W --keep-going docs/api build/api

# After a change of the lower bounds in pyproject.toml.
lowest-versions: .venv/bin/uv .venv/installed-dev
	$(BIN)/uv pip compile --quiet --resolution lowest-direct --extra dev --python-version 3.11 \
	    --no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml \
	    -o constraints-lowest.txt

clean:
	rm -rf .venv .venv-lowest .venv-newer build dist *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis docs/api/generated
	find autoplace predictors experiments examples tests -name __pycache__ -type d -prune \
	    -exec rm -rf {} +

# The stamps are written last, so that a step that was interrupted is done again.
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

.venv/installed-faults: .venv/installed-dev
	$(PIP) -c constraints.txt -e '.[dev,ray,postgres]'
	touch $@

.venv/installed-docs: .venv/installed-dev
	$(PIP) -c constraints.txt -e '.[dev,docs]'
	touch $@

# Resolves to the lowest versions, which pip cannot.
.venv/bin/uv: .venv/created constraints.txt
	$(PIP) -c constraints.txt uv
	touch $@

.venv-lowest/installed: .venv/bin/uv .venv/installed-dev constraints-lowest.txt
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-lowest
	VIRTUAL_ENV=.venv-lowest $(BIN)/uv pip install --quiet --resolution lowest-direct \
	    -c constraints-lowest.txt -e '.[dev]'
	touch $@

.venv-newer/installed: .venv/bin/uv .venv/installed-dev
	$(BIN)/uv venv --quiet --clear --python $(NEWER) .venv-newer
	VIRTUAL_ENV=.venv-newer $(BIN)/uv pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@
