# What a person and CI run. Nothing here installs anything on the host: what a machine lacks is
# fetched as Debian packages and unpacked under target/ (tests/bed/), by apt-get with its own state.

with := tests/bed/with

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

.PHONY: demo
demo: ## the whole main job, shown in under a minute, without root
	@echo '== build'
	@$(with) openssl -- cargo build --quiet --release --workspace --locked --bin trytlsd --bin demo
	@echo '== demo'
	@$(with) makemap -- $(release)/demo

# Where cargo puts what is built in release. Programs are run from there and not by "cargo run", which
# would build the dependencies once more with the features that one package alone asks for.
release = $(or $(CARGO_TARGET_DIR),target)/release

.PHONY: test
test: check ## everything that must hold: check, all tests with the real sendmail, each fuzz target briefly
	@echo '== build'
	@$(with) openssl -- cargo build --workspace --bin trytlsd --bin pages --locked --quiet
	@echo '== tests'
ifeq ($(shell id -u),0)
	@$(with) openssl makemap unbound slapd chromium bed -- $(tally) cargo test --workspace --locked
else
	@# The beds need a root's rights: that of a user namespace will do, where it can be had.
	@$(with) openssl makemap unbound slapd bed -- cargo test --workspace --locked --exclude tests
	@CARGO_TARGET_$(host)_RUNNER='$(CURDIR)/tests/bed/as-root --try' \
		$(with) openssl makemap slapd chromium bed -- $(tally) cargo test --locked -p tests
endif
	@$(MAKE) --no-print-directory fuzz SECONDS=10

.PHONY: fleet
fleet: ## three MTAs and two directory servers, real ones: what a fleet does, and what it does without one of them
	@echo '== fleet'
	@CARGO_TARGET_$(host)_RUNNER='$(CURDIR)/tests/bed/as-root --try' \
		$(with) openssl slapd bed -- $(tally) cargo test --locked -p tests --test fleet_bed

# Ends with "fleet: N passed".
tally = tests/bed/tally fleet fleet_bed/main.rs

.PHONY: fuzz
fuzz: ## every fuzz target for 10 minutes (SECONDS=20: for so long; TARGETS=maillog: that one)
	@echo '== fuzz'
	@$(with) openssl cxx -- fuzz/run $(or $(SECONDS),600) $(TARGETS)

# The host's triple as cargo writes it in names of variables.
host = $(shell rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')

.PHONY: check
check: ## format, lints and documentation, without a warning
	@echo '== format'
	@cargo fmt --all --check
	@cargo fmt --manifest-path fuzz/Cargo.toml --check
	@echo '== lints'
	@$(with) openssl -- cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
	@echo '== documentation'
	@RUSTDOCFLAGS='-D warnings' $(with) openssl -- cargo doc --workspace --no-deps --locked --quiet

.PHONY: bed
bed: ## make the test bed's root under target/testbed, or say why it cannot be had
	@tests/bed/build

.PHONY: deb
deb: ## a package for Debian in target/debian (BIN=path PAGES=path: of these programs, built already)
	@$(built)
	@packaging/deb $(or $(BIN),$(release)/trytlsd) $(or $(PAGES),$(release)/pages)

.PHONY: rpm
rpm: ## a package for RPM systems in target/rpm, with rpmbuild (the host's own, or Debian's, unpacked); BIN and PAGES as above
	@$(built)
	@packaging/rpm $(or $(BIN),$(release)/trytlsd) $(or $(PAGES),$(release)/pages)

# What packages hold: linked with the system's OpenSSL, whose updates then reach it too.
built = $(if $(BIN),:,OPENSSL_LINK=shared $(with) openssl -- \
	cargo build --quiet --release --workspace --locked --bin trytlsd --bin pages)

.PHONY: bench
bench: ## whole-process ratios against ripgrep and grep on the same logs
	@echo '== build'
	@$(with) openssl -- cargo build --quiet --release --workspace --locked --bin trytlsd --bin bench
	@echo '== bench (make bench ARGS=--help shows what can be asked)'
	@$(with) bed -- $(release)/bench $(ARGS)

.PHONY: fleet-bench
fleet-bench: ## what a fleet costs an LDAP server (make fleet-bench ARGS=--help shows what can be asked)
	@echo '== build'
	@$(with) openssl -- cargo build --quiet --release -p tests --locked --bin fleet_load
	@echo '== a fleet and its directory'
	@$(with) slapd -- $(release)/fleet_load $(ARGS)

.PHONY: soak
soak: ## kills, rotations and counts, and what the daemon costs (make soak ARGS=--help shows what can be asked)
	@echo '== build'
	@$(with) openssl -- cargo build --quiet --release --workspace --locked --bin trytlsd --bin soak
	@echo '== soak'
	@$(with) makemap -- $(release)/soak $(ARGS)

.PHONY: audit
audit: ## licences, advisories, bans and sources of all dependencies (deny.toml)
	@command -v cargo-deny >/dev/null || { \
		echo 'make audit needs cargo-deny: cargo install --locked cargo-deny' >&2; exit 1; }
	@cargo deny --locked check
	@cargo deny --locked --manifest-path fuzz/Cargo.toml check

.PHONY: clean
clean: ## remove target/, the test bed included
	@tests/bed/as-root --try rm -rf target
