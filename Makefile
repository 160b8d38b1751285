# make reproduce   train, measure and render the demo on the CPU, nothing downloaded but Python packages
# make test        the test suite
# make lint        style of code and workflow, types of the code
# make page        the leaderboard of all scales' rows as a folder to publish; trains nothing
# make new-method NAME=mine   a method of your own to start from: augment/mine.py
# Each creates .venv from requirements.lock when it is missing or older, and otherwise starts at once.

PYTHON ?= python3
CORES ?= all
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: reproduce test lint lock audit new-method page

reproduce: $(INSTALLED)
	$(BIN)/snakemake --cores $(CORES) all
	@cat results/demo/tables/demo.md
	@echo "Figures: results/demo/figures/    Leaderboard: results/demo/page/index.html"

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not long" \
		tests/workflow tests

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python workflow/lint.py

# Numbers of the scale smoke mean nothing. make page ROWS=results/paper/rows takes those of one scale alone.
ROWS ?= $(filter-out results/smoke/rows,$(wildcard results/*/rows))

page: $(INSTALLED)
	@$(BIN)/python -m report.page --rows $(ROWS) --submitted results/submitted \
		--published results/published/published.csv --out results/page/index.html
	@echo "To publish: the folder results/page"

new-method: $(INSTALLED)
	@$(BIN)/python -m suite.new_method "$(NAME)"

# Renews requirements.lock: the newest versions that fit pyproject.toml, for every platform, with hashes.
lock: $(INSTALLED)
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements.lock

# Known vulnerabilities of the locked packages; asks a public service.
audit: $(INSTALLED)
	$(BIN)/uv tool run pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict

$(INSTALLED): requirements.lock
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11)' 2>/dev/null \
		|| { echo "Python 3.11 or newer is needed; name yours with: make PYTHON=python3.12 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode --require-hashes --python $(BIN)/python -r requirements.lock
	touch $@
