# Not taken from the environment: some shells and conda export HOST for other purposes.
HOST = 127.0.0.1
PORT ?= 8501
# Two at a time, each file in one process: most tests wait for a browser, a process or the disk, and TensorFlow has threads of its own.
PYTEST = .venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
NPM = PATH="$(CURDIR)/.venv/bin:$$PATH" npm

# An environment whose Python does not start is created again.
ifneq ($(shell .venv/bin/python -c 'print("works")' 2>/dev/null),works)
.PHONY: .venv/run.stamp
endif

.PHONY: help run notebook test test-fast test-scale pipeline airflow shots bench lint docs format clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

run: .venv/run.stamp ## Start the dashboard on http://127.0.0.1:8501 (PORT=8600 HOST=0.0.0.0 change that)
	@exec .venv/bin/python -m core run --host "$(HOST)" --port "$(PORT)"

notebook: .venv/notebook.stamp ## Open the tutorial on semantic image search in JupyterLab
	@.venv/bin/python -m jupyterlab --ServerApp.root_dir="$(CURDIR)" notebooks/semantic_image_search.ipynb

test: .venv/dev.stamp ## Run every check: lint, formatting, unit tests, tests in a real browser
	@.venv/bin/python scripts/ensure_chromium.py || [ "$$CI" != true ]
	@$(MAKE) --no-print-directory lint
	$(NPM) test
	$(PYTEST) -m "not scale"

test-fast: .venv/dev.stamp node_modules/.package-lock.json ## Run the tests that are quick and need no browser
	$(NPM) test
	$(PYTEST) -m "not browser and not slow and not scale"

test-scale: .venv/dev.stamp .venv-pipeline/run.stamp .venv-airflow/run.stamp ## Run the tests of Apache Beam and Apache Airflow
	$(PYTEST) -m scale

pipeline: .venv-pipeline/run.stamp ## Install Apache Beam into .venv-pipeline

airflow: .venv-airflow/run.stamp ## Install Apache Airflow into .venv-airflow

shots: .venv/dev.stamp ## Take pictures of every page and state into shots/ (SHOTS="--only search compare" takes some)
	@.venv/bin/python -m tests.browser.screenshots shots $(SHOTS)

bench: .venv/dev.stamp ## Measure speed and memory (BENCH="--only query --json" measures a part, for programs)
	@.venv/bin/python -m benchmarks $(BENCH)

lint: .venv/dev.stamp node_modules/.package-lock.json ## Check style, formatting and types
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy
	$(NPM) run lint

docs: .venv/dev.stamp ## Build the documentation into docs/_build; a broken link is an error
	.venv/bin/python -m sphinx --fail-on-warning --quiet --fresh-env docs docs/_build
	@echo "Open docs/_build/index.html."

format: .venv/dev.stamp node_modules/.package-lock.json ## Format the code
	.venv/bin/python -m ruff check --fix .
	.venv/bin/python -m ruff format .
	$(NPM) run format

clean: ## Remove the environments and caches
	rm -rf .venv .venv-pipeline .venv-airflow node_modules .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp younger than the requirements means that nothing is left to install.
.venv/run.stamp: pyproject.toml requirements.txt requirements-extra.txt constraints.txt scripts/venv.sh
	@sh scripts/venv.sh
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements-dev.txt requirements-milvus.txt
	@sh scripts/venv.sh --dev
	@touch $@

.venv/notebook.stamp: .venv/run.stamp requirements-notebook.txt
	@sh scripts/venv.sh --notebook
	@touch $@

.venv-pipeline/run.stamp: .venv/run.stamp requirements-pipeline.txt scripts/pipeline_venv.sh
	@sh scripts/pipeline_venv.sh
	@touch $@

.venv-airflow/run.stamp: .venv/run.stamp requirements-airflow.txt scripts/airflow_venv.sh
	@sh scripts/airflow_venv.sh
	@touch $@

node_modules/.package-lock.json: package-lock.json | .venv/dev.stamp
	$(NPM) ci --no-audit --no-fund
	@touch $@
