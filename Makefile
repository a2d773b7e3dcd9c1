# What people type. Cargo does the work; nothing here needs more than the stock Rust toolchain and a C compiler.

PREFIX      ?= /usr/local
DESTDIR     ?=
CARGO       ?= cargo
CARGO_FLAGS ?=
TARGET      := $(or $(CARGO_TARGET_DIR),target)

# What `install` builds: the profile, and where cargo puts it.
PROFILE ?= release
BUILT   := $(TARGET)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
DEST     = $(DESTDIR)$(PREFIX)

# What the units say depends on the systemd that reads them: since 253 it waits for the end of a reload. The tests' machine may
# have another one than this.
SYSTEMD_VERSION ?= $(shell $(if $(DAGD_TESTS_ROOT),chroot $(DAGD_TESTS_ROOT)) systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
HAS_NOTIFY_RELOAD := $(shell test "$(or $(SYSTEMD_VERSION),0)" -ge 253 && echo yes)
UNIT_TYPE   := $(if $(HAS_NOTIFY_RELOAD),notify-reload,notify)
UNIT_RELOAD := $(if $(HAS_NOTIFY_RELOAD),,ExecReload=/bin/kill -HUP $$MAINPID)

# Packages of the demonstration, and the plugins that are staged beside the binaries or installed.
DEMO      := dagd ctl formats flights trace
STAGED    := formats flights trace
INSTALLED := formats trace
# A plugin in two versions, and what else may lie in its place.
VERSIONS  := versions versions_lost crash_on_load hang_on_load wrong_abi_version

.PHONY: help demo build test test-systemd lint bench soak-reload soak-load plugins install install-built deb clean

help: ## Shows what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

bench: ## Measures, prints a table, writes target/bench.json (QUICK=1, BASE=file.json, ONLY=part)
	$(CARGO) build --release $(CARGO_FLAGS) $(DEMO:%=-p %) -p faults -p hooks_c -p hook_faults -p versions -p planning -p sequential -p tests
	DAGD_TESTS_BUILT=1 $(TARGET)/release/bench $(TARGET)/bench.json

soak-reload: ## Reloads 200 times under load, 40 of them broken, and counts what went wrong
	$(CARGO) build --release $(CARGO_FLAGS) -p dagd -p ctl $(VERSIONS:%=-p %) -p tests
	DAGD_TESTS_BUILT=1 $(TARGET)/release/soak-reload

soak-load: ## Draws random pipelines, faults, cancels and kills for minutes, and holds each run against a model (ROUNDS=40)
	$(CARGO) build --release $(CARGO_FLAGS) -p dagd -p ctl -p formats -p faults -p hook_faults -p tests
	DAGD_TESTS_BUILT=1 $(TARGET)/release/soak-load $(ROUNDS)

plugins: ## Stages the plugins beside the release binaries, where dagd looks for them
	$(CARGO) build --release $(CARGO_FLAGS) $(DEMO:%=-p %)
	mkdir -p $(TARGET)/release/plugins
	cp -lf $(STAGED:%=$(TARGET)/release/lib%.so) $(TARGET)/release/plugins/

install: ## Installs programs, plugins, units and manual to PREFIX (default /usr/local), under DESTDIR
	$(CARGO) build --profile $(PROFILE) $(CARGO_FLAGS) -p dagd -p ctl -p manual $(INSTALLED:%=-p %)
	$(MAKE) install-built

# What `install` does when everything is built.
install-built:
	install -d $(DEST)/bin $(DEST)/lib/dagd/plugins $(DEST)/share/doc/dagd
	install -m 755 $(BUILT)/dagd $(BUILT)/ctl $(DEST)/bin/
	install -m 644 $(INSTALLED:%=$(BUILT)/lib%.so) $(DEST)/lib/dagd/plugins/
	install -m 644 README.md CHANGELOG.md docs/service.md daemon/default-config.toml $(DEST)/share/doc/dagd/
	rm -rf $(TARGET)/manual && $(BUILT)/manual $(TARGET)/manual
	install -d $(DEST)/share/man/man1 $(DEST)/share/man/man5 $(DEST)/share/man/man8
	install -m 644 $(TARGET)/manual/ctl.1 $(DEST)/share/man/man1/
	install -m 644 $(TARGET)/manual/dagd.toml.5 $(DEST)/share/man/man5/
	install -m 644 $(TARGET)/manual/dagd.8 $(DEST)/share/man/man8/
	install -d $(DEST)/share/bash-completion/completions $(DEST)/share/zsh/site-functions $(DEST)/share/fish/vendor_completions.d
	install -m 644 $(TARGET)/manual/ctl $(TARGET)/manual/dagd $(DEST)/share/bash-completion/completions/
	install -m 644 $(TARGET)/manual/_ctl $(TARGET)/manual/_dagd $(DEST)/share/zsh/site-functions/
	install -m 644 $(TARGET)/manual/ctl.fish $(TARGET)/manual/dagd.fish $(DEST)/share/fish/vendor_completions.d/
	install -d $(DEST)/lib/systemd/system $(DEST)/lib/systemd/user $(DEST)/lib/sysusers.d $(DEST)/lib/tmpfiles.d
	for scope in system user; do \
	    case $$scope in user) from=packaging/systemd/user;; *) from=packaging/systemd;; esac; \
	    sed -e 's|@BINDIR@|$(PREFIX)/bin|' -e 's|@TYPE@|$(UNIT_TYPE)|' -e 's|@RELOAD@|$(UNIT_RELOAD)|' \
	        $$from/dagd.service.in > $(DEST)/lib/systemd/$$scope/dagd.service && \
	    chmod 644 $(DEST)/lib/systemd/$$scope/dagd.service && \
	    install -m 644 $$from/dagd.socket $(DEST)/lib/systemd/$$scope/ || exit 1; \
	done
	install -m 644 packaging/systemd/dagd.sysusers $(DEST)/lib/sysusers.d/dagd.conf
	install -m 644 packaging/systemd/dagd.tmpfiles $(DEST)/lib/tmpfiles.d/dagd.conf

deb: ## Builds a Debian package, target/debian/dagd_VERSION_ARCH.deb
	rm -rf $(TARGET)/debian && mkdir -p $(TARGET)/debian
	$(MAKE) install PREFIX=/usr DESTDIR=$(abspath $(TARGET))/debian/root
	packaging/debian/build $(TARGET)/debian

test-systemd: ## Tests the service under a real systemd, where this machine can boot one
	$(CARGO) build --workspace $(CARGO_FLAGS)
	$(MAKE) install-built PROFILE=dev PREFIX=/usr DESTDIR=$(abspath $(TARGET))/systemd-root
	DAGD_TESTS_BUILT=1 DAGD_TESTS_INSTALLED=$(abspath $(TARGET))/systemd-root \
	    $(CARGO) test $(CARGO_FLAGS) -p tests --test systemd -- --nocapture --test-threads=1

clean: ## Removes everything built
	$(CARGO) clean
