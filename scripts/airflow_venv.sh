#!/bin/sh
# Makes .venv-airflow: Apache Airflow, and nothing of the project. The Makefile calls it.
set -eu
cd "$(dirname "$0")/.."

echo "Setting up .venv-airflow; it takes 300 MB of disk."
rm -rf .venv-airflow
.venv/bin/python -m venv --without-pip .venv-airflow
.venv/bin/python -m pip --python .venv-airflow/bin/python install --quiet --disable-pip-version-check --no-deps \
    -r requirements-airflow.txt
