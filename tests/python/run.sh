#!/bin/sh
# Builds the wheel, installs it into a virtual environment of its own and runs the tests there; its
# arguments go to pytest. The build has the profile of `cargo test`, whose dependencies it shares.
set -eu
cd "$(dirname "$0")/../.."
venv=${PANNIER_PYTHON_VENV:-.venv-python}
wanted=tests/python/requirements.txt
wheels=${CARGO_TARGET_DIR:-target}/wheels-dev

if ! cmp -s "$wanted" "$venv/installed.txt"; then
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$wanted"
    cp "$wanted" "$venv/installed.txt"
fi

# Django's tests of a cache back end are in its source distribution only.
django=$("$venv/bin/python" -c 'import django; print(django.__version__)')
source=$venv/django-$django
if [ ! -d "$source/tests/cache" ]; then
    "$venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps \
        --no-binary :all: --dest "$venv/sdist" "Django==$django"
    mkdir -p "$source"
    tar -xzf "$venv/sdist/"[dD]jango-"$django".tar.gz -C "$source" --strip-components 1
fi

rm -rf "$wheels"
"$venv/bin/maturin" build --quiet --profile dev --manifest-path crates/python/Cargo.toml \
    --out "$wheels"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps \
    --force-reinstall "$wheels"/*.whl
PANNIER_DJANGO=$source/tests PANNIER_WHEEL=$(ls "$PWD/${wheels#"$PWD"/}"/*.whl) \
    exec "$venv/bin/python" -m pytest -q tests/python "$@"
