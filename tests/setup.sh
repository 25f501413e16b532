#!/bin/sh
# Makes ready what the tests need beyond cargo: Debian packages (where apt-get and root are at
# hand) and the Python environment of tests/clients. Does nothing when all is there. What cannot be
# installed is said; its tests are then skipped with a reason, and with CI=true they fail.
set -eu
cd "$(dirname "$0")/.."
venv=${PANNIER_VENV:-.venv}
wanted=tests/clients/requirements.txt

packages=
command -v redis-cli >/dev/null || packages="$packages redis-tools"
command -v redis-server >/dev/null || packages="$packages redis-server"
command -v ip >/dev/null || packages="$packages iproute2"
python3 -c 'import ensurepip, venv' 2>/dev/null || packages="$packages python3-venv"
if [ -n "$packages" ]; then
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        # RUNLEVEL keeps the package from starting a server of its own.
        export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
        apt-get update -q
        # shellcheck disable=SC2086 # a list of words
        apt-get install -q -y --no-install-recommends $packages
    else
        echo "tests/setup.sh: not root on Debian, so not installed:$packages" >&2
    fi
fi

if ! cmp -s "$wanted" "$venv/installed.txt"; then
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$wanted"
    cp "$wanted" "$venv/installed.txt"
fi
