# Everything a developer types. `make demo` and `make test` install what is missing (see .ci/install).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build demo test lint soak fuzz conformance bench

# Where rustup puts cargo; a fresh machine has it in no shell's PATH yet.
export PATH := $(HOME)/.cargo/bin:$(PATH)

# Some tests hold thousands of sessions: as many descriptors as this machine allows, but no absurd number, for which some
# servers would reserve memory.
more_descriptors = hard=$$(ulimit -Hn); \
	if [ "$$hard" = unlimited ] || [ "$$hard" -gt 65536 ]; then hard=65536; fi; \
	if [ "$$(ulimit -Sn)" != unlimited ] && [ "$$(ulimit -Sn)" -lt "$$hard" ]; then ulimit -Sn "$$hard"; fi

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 19

build: ## the binary: target/release/mainstay
	@.ci/install build
	cargo build --release --locked

demo: ## two failovers on real Redis servers, watched from three sides, in half a minute
	@.ci/install demo
	@cargo build --locked --bin mainstay --example demo
	@cargo run --quiet --locked --example demo

test: ## unit tests, house rules, and tests on real servers
	@.ci/install test
	@$(more_descriptors); cargo test --locked --no-fail-fast

# SOAK_MINUTES: how long a thousand sessions share connections and look for a reply that reached another request.
SOAK_MINUTES ?= 10

soak: ## what clients see across 30 planned failovers and 30 crashes, and of shared connections (half an hour; SOAK_MINUTES=10)
	@.ci/install test
	@$(more_descriptors); HISTORIES_FAILOVERS=30 HISTORIES_CRASHES=30 \
	cargo test --locked --test histories -- --include-ignored --nocapture --test-threads 1
	@$(more_descriptors); SOAK_MINUTES=$(SOAK_MINUTES) \
	cargo test --locked --test shared_connections -- --include-ignored --nocapture --test-threads 1 hour_after_hour

# SECONDS_EACH: how long each target runs. What it finds stays in target/fuzz/found; `make test` replays tests/fuzz/corpus.
SECONDS_EACH ?= 60
FUZZ_TARGETS ?= requests replies info commands proxy_header configuration paths haproxy addresses

fuzz: ## hostile bytes for each parser (SECONDS_EACH=60)
	@.ci/install fuzz
	@cd tests/fuzz; for target in $(FUZZ_TARGETS); do found=../../target/fuzz/found/$$target; mkdir -p $$found; \
	cargo run --quiet --release --bin $$target -- $$found corpus/$$target -max_len=512 -max_total_time=$(SECONDS_EACH); done

lint: ## format, clippy, documentation, licences, advisories
	@.ci/install lint
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
	cargo test --locked --test licences
	@.ci/advisories

bench: ## the tables of the README: throughput, latency, memory of idle sessions, failover (takes long)
	@.ci/install bench
	cargo build --release --locked
	@$(more_descriptors); for bench in throughput idle failover; do cargo bench --locked --bench $$bench; done; \
	for kind in --shared --latency --hints "--tls clients" "--tls backends"; do \
	cargo bench --locked --bench throughput -- $$kind; done

# RUNS: how often each way. WAYS: "direct tcp redis shared"; what is left out is taken from the last time. SUITE: redis or valkey.
# UNITS: only these units of the suite, such as "unit/multi unit/type/list". SOURCE: an unpacked source of the suite.
RUNS ?= 3
WAYS ?= direct tcp redis shared
SUITE ?= redis
UNITS ?=
SOURCE ?=

conformance: ## the server's own test suite, direct and through mainstay (an hour; RUNS= WAYS= SUITE=valkey UNITS=)
	@.ci/install conformance
	cargo build --release --locked
	@python3 tests/conformance/run.py --suite "$(SUITE)" --runs "$(RUNS)" --ways "$(WAYS)" --units "$(UNITS)" \
		$(if $(SOURCE),--source "$(SOURCE)")
