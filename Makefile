# Only Python 3.11+ and make are needed: `make run` ends with a published health mart, `make test` runs the tests.
PYTHON ?= python3
BIN := .venv/bin
# With exec, so that a signal to make reaches it past the shell.
HEALTH := $(BIN)/python -m orchestration
LOCK_STAMP := .venv/.installed
DEV_STAMP := .venv/.installed-dev
SPARK_STAMP := .venv/.installed-spark
PIP := -m pip install --quiet --disable-pip-version-check
NEXT := .venv-next
LOCK := pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-strip-extras --no-annotate --no-header

# A variable that no target of the command line takes would be ignored in silence: a misspelt range would run all days.
TAKES_run := RANGE
TAKES_ui := PORT
TAKES_impact := BASE CANDIDATE
TAKES_scorecard := FILE VERSION
TAKES_scorecard-import := FILE ACTIVE
TAKES_ARGS := $(if $(filter-out help setup lint types docs clean,$(MAKECMDGOALS)),ARGS)
TAKEN := $(strip $(foreach target,$(MAKECMDGOALS),$(TAKES_$(target))) $(TAKES_ARGS) PYTHON HEALTH_CONFIG)
GIVEN := $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))
ifneq ($(filter-out $(TAKEN),$(GIVEN)),)
$(error make $(MAKECMDGOALS) takes $(TAKEN:%=%=), not $(patsubst %,%=,$(filter-out $(TAKEN),$(GIVEN))). What the run reads from the environment goes before make: NAME=value make run)
endif

.DEFAULT_GOAL := help
.PHONY: help setup run dbt check-sources ui alerts digest validate propose-weights impact verify test test-fast test-next test-spark lint types docs lock bench rollback scorecard scorecard-import clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: $(LOCK_STAMP) ## create .venv from requirements.lock (run, test and ui do it too)

$(LOCK_STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "Python 3.11 to 3.13 is needed: make setup PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	@echo 'setting up .venv with the packages of requirements.lock: some minutes, once'
	@$(BIN)/python $(PIP) --require-hashes -r requirements.lock & pip=$$!; \
	while sleep 3 && kill -0 $$pip 2>/dev/null; do printf ' .'; done; echo; wait $$pip
	$(BIN)/python $(PIP) --no-deps --no-build-isolation -e .
	env -u HEALTH_CONFIG $(BIN)/python -m orchestration.dbt
	$(BIN)/python -c 'from orchestration.publish.board.assets import static_assets; static_assets()'
	touch $@

# The tools for developers have a lock of their own, so that nobody else waits for them.
$(DEV_STAMP): requirements-dev.lock $(LOCK_STAMP)
	$(BIN)/python $(PIP) --no-deps --require-hashes -r requirements-dev.lock
	touch $@

# Spark is half as large as all else together, and only who runs on it needs it.
$(SPARK_STAMP): requirements-spark.lock $(LOCK_STAMP)
	$(BIN)/python $(PIP) --no-deps --require-hashes -r requirements-spark.lock
	touch $@

run: setup ## run the pipeline: RANGE=2026-01-05...2026-02-10, by default all configured days
	@exec $(HEALTH) run $(if $(RANGE),"$(RANGE)") $(ARGS)

dbt: setup ## any command of dbt on the warehouse: ARGS="build -s int_usage__windows", ARGS="show -s account_health"
	@exec $(HEALTH) dbt $(ARGS)

check-sources: setup ## read the configured sources together and say what the first run would find; writes nothing
	@exec $(HEALTH) check $(ARGS)

ui: setup ## the Dagster UI on 127.0.0.1:3000 (PORT=...), history in the data folder
	@exec $(HEALTH) ui $(if $(PORT),--port "$(PORT)") $(ARGS)

alerts: setup ## send the alerts that are due: ARGS=--dry-run to only show them
	@exec $(HEALTH) alerts $(ARGS)

digest: setup ## send the weekly digests, once a week each: ARGS=--dry-run to only show them
	@exec $(HEALTH) digest $(ARGS)

validate: setup ## compare the published scores with who left, and publish the result with the mart
	@exec $(HEALTH) validate $(ARGS)

propose-weights: setup ## write the weights that outcomes suggest as a candidate version, or say why not; ARGS=--anchors for anchors
	@exec $(HEALTH) propose-weights $(ARGS)

impact: setup ## what a change of the scorecard does, as Markdown: BASE=main CANDIDATE=HEAD, or versions; ARGS="--max-arr-moved 0.1"
	@exec $(HEALTH) impact "$(BASE)" "$(CANDIDATE)" $(ARGS)

verify: setup ## read everything that is stored: what is intact, what is damaged, what to do; changes nothing
	@exec $(HEALTH) verify $(ARGS)

test: setup ## the test suite, on the locked DuckDB
	$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder $(ARGS)

# A test that takes long for it is in the list at the end: make it faster, or add its file to _SLOW in tests/conftest.py.
test-fast: setup ## the tests of single parts, in under a minute, for the edit loop
	$(BIN)/python -m pytest -q -n 2 --dist loadscope -m "not slow" --durations=3 --durations-min=3 tests/unit tests/oracle $(ARGS)

test-next: setup ## the same tests on DuckDB 2
	test -x $(NEXT)/bin/python || $(PYTHON) -m venv $(NEXT)
	$(NEXT)/bin/python $(PIP) --require-hashes -r requirements.lock
	$(NEXT)/bin/python $(PIP) --no-deps --require-hashes -r requirements-next.lock
	$(NEXT)/bin/python $(PIP) --no-deps --no-build-isolation -e .
	$(NEXT)/bin/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder $(ARGS)

test-spark: $(SPARK_STAMP) ## the same numbers on Spark; needs Java 17 or later (Debian: openjdk-17-jre-headless)
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/spark $(ARGS)

lint: $(DEV_STAMP) ## style and faults of the Python and the SQL; `.venv/bin/ruff format .` and `ruff check --fix .` fix most of Python's
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONWARNINGS=ignore $(BIN)/sqlfluff lint --disable-progress-bar dbt_project/models dbt_project/tests
	$(BIN)/python -m tests.portable_sql

types: $(DEV_STAMP) ## check the types of orchestration/
	$(BIN)/mypy

# The pages lie below build/pages as they do here, so that their links hold.
docs: $(DEV_STAMP) ## the pages of docs/ and dbt's documentation of the models as one site: open build/site/index.html
	rm -rf build/pages build/site
	mkdir -p build/pages/tests
	cp -R *.md docs build/pages
	cp tests/README.md build/pages/tests
	@$(HEALTH) dbt docs generate --static
	cp dbt_project/target/static_index.html build/pages/models.html
	$(BIN)/mkdocs build --quiet

# What is locked stays as it is: ARGS="--upgrade-package NAME" for a newer version, ARGS=--upgrade for all.
lock: $(DEV_STAMP) ## write the locks anew after a change of pyproject.toml
	$(BIN)/uv $(LOCK) pyproject.toml --group test --group build -o requirements.lock $(ARGS)
	$(BIN)/uv $(LOCK) --group dev -c requirements.lock -o requirements-dev.lock $(ARGS)
	$(BIN)/uv $(LOCK) --group spark -c requirements.lock -o requirements-spark.lock $(ARGS)

bench: setup ## speed and memory against a plain DuckDB reference: ARGS="--accounts 500"
	$(BIN)/python -m tests.benchmarks.bench $(ARGS)

rollback: setup ## make the generation before the current one current again: ARGS="--to 7" for another
	@exec $(HEALTH) rollback $(ARGS)

scorecard: setup ## the scorecard as a spreadsheet with sample accounts: FILE=..., VERSION=...
	@exec $(HEALTH) scorecard write $(if $(FILE),--file "$(FILE)") $(if $(VERSION),--version "$(VERSION)") $(ARGS)

scorecard-import: setup ## add an edited spreadsheet to the seeds: FILE=..., as a candidate or with ACTIVE=1
	@exec $(HEALTH) scorecard import "$(FILE)" $(if $(ACTIVE),--active) $(ARGS)

clean: ## remove the data folder of the demo company and the environments
	rm -rf data build .venv .venv-next
