#!/bin/sh
# Makes ready what the tests need beyond cargo: Debian packages (where apt-get and root are at
# hand), the Python environment of tests/clients and the Node.js packages of tests/clients/node.
# Does nothing when all is there. What cannot be installed is said; its tests are then skipped with
# a reason, and with CI=true they fail.
set -eu
cd "$(dirname "$0")/.."
venv=${PANNIER_VENV:-.venv}
wanted=tests/clients/requirements.txt
node=tests/clients/node

packages=
command -v redis-cli >/dev/null || packages="$packages redis-tools"
command -v redis-server >/dev/null || packages="$packages redis-server"
command -v openssl >/dev/null || packages="$packages openssl"
command -v ip >/dev/null || packages="$packages iproute2"
python3 -c 'import ensurepip, venv' 2>/dev/null || packages="$packages python3-venv"
command -v node >/dev/null || packages="$packages nodejs"
command -v npm >/dev/null || packages="$packages npm"
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

if ! command -v npm >/dev/null; then
    echo "tests/setup.sh: no npm, so the packages of $node are not installed" >&2
elif ! cmp -s "$node/package-lock.json" "$node/node_modules/installed.json"; then
    npm ci --prefix "$node" --ignore-scripts --no-audit --no-fund --loglevel=error
    cp "$node/package-lock.json" "$node/node_modules/installed.json"
fi
