# What one wants to type; cargo does the work. `make` alone lists the targets.

CONF ?= conf/default.conf
CARGO ?= cargo
FUZZ_SECONDS ?= 60

.PHONY: help run test lint fuzz bench

help:
	@echo 'make run    serve $(CONF) (CONF=...), release build'
	@echo 'make test   every test: units, the suite against the real binary, the guards'
	@echo 'make lint   formatting and clippy, warnings denied, as CI does'
	@echo 'make fuzz   each fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS) (needs cargo-fuzz and nightly)'
	@echo 'make bench  throughput beside the peers found on this machine, as ratios'

run:
	$(CARGO) run --release -- $(CONF)

test:
	$(CARGO) test

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings

fuzz:
	cd tests/fuzz && for target in $$($(CARGO) +nightly fuzz list); do \
		$(CARGO) +nightly fuzz run $$target -- -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

bench:
	$(CARGO) build --release
	tests/bench/run
