#!/bin/sh
# Makes .venv-pipeline: Apache Beam and its dependencies, over the packages of .venv. The Makefile calls it.
set -eu
cd "$(dirname "$0")/.."

echo "Setting up .venv-pipeline; it takes 350 MB of disk."
rm -rf .venv-pipeline
.venv/bin/python -m venv --without-pip .venv-pipeline
.venv/bin/python -m pip --python .venv-pipeline/bin/python install --quiet --disable-pip-version-check --no-deps \
    -r requirements-pipeline.txt
# The project and the packages of .venv come after its own: both environments decode images and run networks with the same files.
# Relative, since the project's folder may move.
cd .venv-pipeline/lib/python3.*/site-packages
site=lib/$(basename "$(dirname "$PWD")")/site-packages
printf '../../../..\n../../../../.venv/%s\n' "$site" >playground.pth
