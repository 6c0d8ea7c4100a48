# What one wants to type; cargo does the work. `make` alone lists the targets.

CONF ?= conf/default.conf
CARGO ?= cargo
FUZZ_SECONDS ?= 30
BENCH ?=

.PHONY: help run test lint docs fuzz bench

help:
	@echo 'make run    serve $(CONF) (CONF=...), release build'
	@echo 'make test   every test: units, the suite against the real binary, the guards'
	@echo 'make lint   formatting and clippy, warnings denied, as CI does'
	@echo 'make docs   write what is generated from the code: manual pages, completions, lists of directives'
	@echo 'make fuzz   each fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS) (needs cargo-fuzz and nightly)'
	@echo 'make bench  parts of the hot path, then the whole beside the peers found on this machine (needs wrk);'
	@echo '            BENCH="--rows a,c --rounds 5" chooses, tests/bench/run --help explains'

run:
	$(CARGO) run --release -- $(CONF)

test:
	$(CARGO) test

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings

docs:
	WEBSERV_WRITE_DOCS=1 $(CARGO) test --test manual

# New inputs go below target/: what tests/fuzz/corpus holds is chosen by hand and replayed by `make test`.
fuzz:
	@$(CARGO) +nightly fuzz --version >/dev/null 2>&1 || { \
		echo 'make fuzz needs a nightly toolchain and cargo-fuzz:'; \
		echo '    rustup toolchain install nightly'; \
		echo '    cargo install cargo-fuzz'; \
		echo 'The corpora of tests/fuzz are replayed without them: make test'; \
		exit 2; }
	for target in $$($(CARGO) +nightly fuzz list --fuzz-dir tests/fuzz); do \
		mkdir -p target/fuzz/$$target && \
		$(CARGO) +nightly fuzz run --fuzz-dir tests/fuzz $$target \
			$(CURDIR)/target/fuzz/$$target $(CURDIR)/tests/fuzz/corpus/$$target \
			-- -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

bench:
	$(CARGO) bench --bench micro
	$(CARGO) build --release
	tests/bench/run $(BENCH)
