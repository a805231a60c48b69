#!/bin/sh
# Makes .venv with what running needs; with --dev also what the checks need, with --notebook what the notebook needs. The Makefile calls it.
set -eu
cd "$(dirname "$0")/.."

# TensorFlow comes for these versions only.
supported='import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3.11 python3.12 python3.13 python3
    fi
    for name; do
        if "$name" -c "$supported" 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "Python 3.11, 3.12 or 3.13 is needed; looked for it as: $*." >&2
    echo "Install one of them, or name yours: make run PYTHON=/path/to/python3.11" >&2
    return 1
}

# The mark stays when an install is cut short. What lies there then may be half a package that pip takes
# for a whole one, so the next install starts over; pip has the downloads in its cache.
mark=.venv/incomplete
quiet=--quiet
if [ -e "$mark" ] || ! .venv/bin/python -c "$supported" 2>/dev/null; then
    python=$(find_python)
    rm -rf .venv
    mkdir .venv
    touch "$mark"
    echo "Setting up .venv with $("$python" --version); the first time takes some minutes and 3 GB of disk."
    "$python" -m venv .venv
    # Minutes of downloads want to be seen; an addition to what is there already does not.
    quiet=
fi

install() {
    .venv/bin/python -m pip install $quiet --disable-pip-version-check "$@"
}

touch "$mark"
case "${1:-}" in
    --dev) set -- -r requirements-dev.txt ;;
    --notebook) set -- -r requirements-notebook.txt ;;
esac
install -c constraints.txt -r requirements.txt "$@"
# One of them comes as source; it is built with the pinned setuptools rather than the newest.
install --no-deps --no-build-isolation -r requirements-extra.txt
# The project itself, in place: the command `playground`, and imports from anywhere. A plain path instead of an import hook,
# which would add 28 ms to every start of Python.
install --no-deps --no-build-isolation --config-settings editable_mode=compat -e .
rm "$mark"
# Only makes the first query faster: it works without.
.venv/bin/python -m core models export 2>/dev/null || true
