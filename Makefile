# Verbs only. `make` alone lists them.

# The Python environment of the client tests, and the program that they and the transcripts start:
# a plain debug build (opt-level 1), because it shares what `cargo test` compiles anyway, while the
# release profile (fat LTO, one codegen unit) would compile everything a second time.
export PANNIER_VENV ?= $(CURDIR)/.venv
export PANNIER_BIN ?= $(abspath $(or $(CARGO_TARGET_DIR),target))/debug/pannier

export PANNIER_PYTHON_VENV ?= $(CURDIR)/.venv-python

.PHONY: help run test wheel package check sanitize bench bench-python bench-quick fuzz docs

help: ## list the verbs
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

run: ## build the server and start it; ARGS="--port 7000 --threads 2" go to it
	cargo run --release -q -p pannier --features program -- $(ARGS)

test: ## install what the tests need, then run them all
	sh tests/setup.sh
	cargo build -q -p pannier --features program
	cargo test -q --workspace
	$(PANNIER_VENV)/bin/python -m pytest -q tests/clients
	sh tests/python/run.sh

wheel: ## build the Python package into target/wheels
	[ -x $(PANNIER_PYTHON_VENV)/bin/maturin ] || { python3 -m venv $(PANNIER_PYTHON_VENV) && \
		$(PANNIER_PYTHON_VENV)/bin/python -m pip install -q maturin==1.16.0; }
	$(PANNIER_PYTHON_VENV)/bin/maturin build --release --manifest-path crates/python/Cargo.toml \
		--out $(or $(CARGO_TARGET_DIR),target)/wheels

# The crates that are for Rust programs; the tests pack them too, but do not build what they packed.
package: ## pack the crates into target/package and build each from its package
	CARGO_TARGET_DIR=$(or $(CARGO_TARGET_DIR),$(CURDIR)/target) cargo package --workspace \
		--exclude pannier-python --exclude pannier-tests --exclude pannier-benches --exclude xtask

check: ## format, lints, rules of the house, pages, dependencies
	cargo fmt --all --check
	cargo clippy -q --workspace --all-targets -- -D warnings
	cargo xtask tidy
	RUSTDOCFLAGS=-Dwarnings cargo doc -q --workspace --no-deps
	@if command -v cargo-deny >/dev/null; then cargo deny check licenses bans sources; \
	else echo "check: cargo-deny is not installed, so dependencies were not checked"; fi

# Both sanitizers need a nightly flag, which RUSTC_BOOTSTRAP lets the stable compiler take, and a
# build of their own. PANNIER_STEPS is the percentage of their steps that the model tests do.
SANITIZE = RUSTC_BOOTSTRAP=1 PANNIER_STEPS=$${PANNIER_STEPS:-20} cargo test -q \
	--target x86_64-unknown-linux-gnu

sanitize: ## run the tests of unsafe code and of threads under AddressSanitizer and ThreadSanitizer
	RUSTFLAGS="-Zsanitizer=address" $(SANITIZE) --target-dir target/address --tests \
		-p pannier-lock -p pannier-collections -p pannier-store
	RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" \
		$(SANITIZE) --target-dir target/thread -p pannier-store --test threads

bench: ## compare with the Redis and Valkey of this machine (a quarter of an hour), draw docs/performance.md
	cargo run --release -q -p pannier-benches --bin peers
	$(MAKE) bench-python

bench-python: wheel ## what a call costs from Python, beside fakeredis and a socket
	rm -rf target/bench-python && python3 -m venv target/bench-python
	target/bench-python/bin/python -m pip install -q redis==8.1.0 fakeredis==2.40.0 \
		$(or $(CARGO_TARGET_DIR),target)/wheels/*.whl
	target/bench-python/bin/python benches/python/calls.py \
		--record benches/record/$$(date +%F)-python.csv

bench-quick: ## the same in a minute or two, for a first look
	cargo run --release -q -p pannier-benches --bin peers -- --quick

fuzz: ## fuzz every target; SECONDS_EACH=600 by default
	@command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	for target in $$(cargo fuzz list); do RUSTC_BOOTSTRAP=1 cargo fuzz run $$target -- \
		-max_total_time=$(or $(SECONDS_EACH),600) || exit 1; done

docs: ## write docs/reference from the tables, then the crates' pages
	cargo xtask docs
	cargo doc -q --workspace --no-deps
