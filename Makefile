# make reproduce   train, measure and render the demo on the CPU, nothing downloaded but Python packages
# make test        the test suite
# make lint        style of code and workflow, types of the code
# make page        the leaderboard of all scales' rows as a folder to publish; trains nothing
# make docs        renews the schemas and pages that are generated from the types in the code
# make status      renews the table of what has been measured, in README.md and docs/status.md
# make keep SCALE=hours   the small pictures of a scale's runs for version control, and what to add; results/README.md
# make new-method NAME=mine   a method of your own to start from: augment/mine.py
# make gpu MINUTES=9   what you need to know about a new card: tests, speed, profile, short trainings; docs/gpu.md
# Each creates .venv from requirements.lock when it is missing or older than that or pyproject.toml; else it starts at once.
# Recipes name no path of the checkout and start programs as modules, so that its path may hold spaces and other signs.

PYTHON ?= python3
CORES ?= all
BIN := .venv/bin
INSTALLED := .venv/installed
# Where the home folder cannot be written, packages are kept in .venv.
UV = $(BIN)/uv $(shell d="$${UV_CACHE_DIR:-$${XDG_CACHE_HOME:-$$HOME/.cache}/uv}"; \
	mkdir -p "$$d" 2>/dev/null && test -w "$$d" || echo --cache-dir .venv/packages)

.PHONY: reproduce test lint lock audit new-method page docs status keep gpu

reproduce: $(INSTALLED)
	-@$(BIN)/python -m benchmarks.estimate --cores $(CORES)
	$(BIN)/python -m snakemake --cores $(CORES) all
	@cat results/demo/tables/demo.md
	@echo "Figures: results/demo/figures/    Leaderboard: results/demo/page/index.html"

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not long and not gpu" tests

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@rm -rf .venv/types && mkdir -p .venv/types/leangan
	@ln -sfn "$$PWD"/leangan/* "$$PWD/models" "$$PWD/augment" .venv/types/leangan
	$(BIN)/python -m mypy
	$(BIN)/python workflow/lint.py

# Numbers of the scale smoke mean nothing. make page ROWS=results/paper/rows takes those of one scale alone.
ROWS ?= $(filter-out results/smoke/rows,$(wildcard results/*/rows))

page: $(INSTALLED)
	@$(BIN)/python -m leangan page --rows $(ROWS) --submitted results/submitted \
		--published results/published/published.csv --out results/page/index.html
	@echo "To publish: the folder results/page"

docs: $(INSTALLED)
	@$(BIN)/python workflow/documents.py

status: $(INSTALLED)
	@$(BIN)/python -m leangan status --write README.md docs/status.md

# RUNS="cifar10-500/..." takes these alone.
keep: $(INSTALLED)
	@$(BIN)/python -m leangan keep --scale "$(SCALE)" $(RUNS)

# BLOCKS="tests speed" runs these alone, CONFIG="images=[500]" goes to the trainings, DEVICE=cpu tries it in tiny sizes.
MINUTES ?= 9
DEVICE ?= cuda

gpu: $(INSTALLED)
	@$(BIN)/python -m benchmarks.gpu --minutes $(MINUTES) --device $(DEVICE) $(if $(BLOCKS),--blocks $(BLOCKS)) \
		$(if $(CONFIG),--config $(CONFIG))

new-method: $(INSTALLED)
	@$(BIN)/python -m leangan new-method "$(NAME)"

# Renews requirements.lock: the newest versions that fit pyproject.toml, for every platform, with hashes.
lock: $(INSTALLED)
	$(UV) pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements.lock

# Known vulnerabilities of the locked packages; asks a public service.
audit: $(INSTALLED)
	$(UV) tool run pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict

$(INSTALLED): requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; assert sys.version_info >= (3, 11)' 2>/dev/null \
		|| { echo "Python 3.11 or newer is needed; name yours with: make PYTHON=python3.12 ..."; exit 1; }
	@case "$$PWD" in *[:{}]*) \
		echo "Python's environments cannot lie in $$PWD. Move the checkout to a path without : { }"; exit 1;; esac
	test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(UV) pip install --quiet --compile-bytecode --require-hashes --python $(BIN)/python -r requirements.lock
	$(UV) pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .
	touch $@
