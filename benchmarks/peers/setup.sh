#!/bin/sh
# Makes the environments of the peers, .venv-<peer> beside this script; those that are there and up to date are left alone.
#   ./setup.sh [peer ...]      all of them: evidently frouros nannyml whylogs
# PYTHON names a Python 3.11.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3.11}
[ $# -gt 0 ] || set -- evidently frouros nannyml whylogs
for peer in "$@"; do
    wanted=$here/requirements-$peer.txt venv=$here/.venv-$peer
    [ -f "$wanted" ] || { echo "expected one of: evidently frouros nannyml whylogs, got $peer" >&2; exit 2; }
    if cmp -s "$wanted" "$venv/.installed"; then
        echo "$peer: up to date"
        continue
    fi
    rm -rf "$venv"
    "$python" -m venv "$venv"
    env -u PIP_CONSTRAINT "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$wanted"
    cp "$wanted" "$venv/.installed"
    echo "$peer: installed"
done
