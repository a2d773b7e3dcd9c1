# What people type. Cargo does the work; nothing here needs more than the stock Rust toolchain and a C compiler.

PREFIX      ?= /usr/local
DESTDIR     ?=
CARGO       ?= cargo
CARGO_FLAGS ?=
TARGET      := $(or $(CARGO_TARGET_DIR),target)

# Packages of the demonstration, and the plugins that are staged beside the binaries or installed.
DEMO      := dagd ctl formats flights trace
STAGED    := formats flights trace
INSTALLED := formats trace

.PHONY: help demo build test lint bench plugins install clean

help: ## Shows what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Runs the flights pipeline over real data, alone and against a warm daemon
	$(CARGO) build --release $(CARGO_FLAGS) $(DEMO:%=-p %)
	tests/demo.sh $(TARGET)/release $(TARGET)/demo

build: ## Builds everything for development
	$(CARGO) build --workspace $(CARGO_FLAGS)

test: build ## Builds what the tests need and runs them
	DAGD_TESTS_BUILT=1 $(CARGO) test --workspace $(CARGO_FLAGS)

lint: ## Checks format and lints
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets $(CARGO_FLAGS) -- -D warnings

bench: ## Measures, prints a table and writes target/bench.json
	$(CARGO) build --release $(CARGO_FLAGS) $(DEMO:%=-p %) -p faults -p tests
	DAGD_TESTS_BUILT=1 $(TARGET)/release/bench $(TARGET)/bench.json

plugins: ## Stages the plugins beside the release binaries, where dagd looks for them
	$(CARGO) build --release $(CARGO_FLAGS) $(DEMO:%=-p %)
	mkdir -p $(TARGET)/release/plugins
	cp -lf $(STAGED:%=$(TARGET)/release/lib%.so) $(TARGET)/release/plugins/

install: ## Installs to PREFIX (default /usr/local), under DESTDIR
	$(CARGO) build --release $(CARGO_FLAGS) -p dagd -p ctl $(INSTALLED:%=-p %)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/dagd/plugins
	install -m 755 $(TARGET)/release/dagd $(TARGET)/release/ctl $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(INSTALLED:%=$(TARGET)/release/lib%.so) $(DESTDIR)$(PREFIX)/lib/dagd/plugins/

clean: ## Removes everything built
	$(CARGO) clean
