# Every task by name. `make help` lists them; CI runs `make test` and nothing that is not here.
# A new machine needs: Rust (rustup reads rust-toolchain.toml), Go 1.26, Node.js 20, a C compiler, curl.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Where the control plane is built, or taken from if it is already there.
export MUSTER_CONTROL_PLANE_DIR ?= $(CURDIR)/target/control-plane
CONTROL_PLANE := $(MUSTER_CONTROL_PLANE_DIR)

.PHONY: help
help: ## List the tasks
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

.PHONY: demo
demo: tools-rust dashboard ## The product on this machine in minutes, with neither cluster nor GPU; ARGS="--headless --seconds 60"
	cargo build --quiet --locked -p muster
	target/debug/muster demo $(ARGS)

.PHONY: cluster
cluster: tools ## A real control plane, simulated GPU nodes, Muster, and the guide's jobs; prints what happens
	cargo run --quiet -p muster-lab -- cluster --muster target/debug/muster

.PHONY: test
test: lint unit browser e2e ## Everything that must hold: lint, unit and property tests, a real browser, the real control plane

.PHONY: lint
lint: tools-rust ## Format and clippy, warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

.PHONY: unit
unit: tools-rust ## Unit, property and wire tests; no control plane
	cargo test --workspace --locked --exclude muster-lab -- $(ARGS)

.PHONY: e2e
e2e: tools ## The real control plane: every promise of the README, gated and ungated
	cargo test --locked -p muster-lab -- --test-threads=1 $(ARGS)

# What led to the figures stays above them; lines that begin with an id make the table at the end.
FIGURES := target/figures.txt

.PHONY: bench
bench: tools dashboard ## Figures, each beside its floor or peer from the same run; ARGS="--only filter" for one of the lab's
	cargo build --release --locked
	{ \
	  cargo bench --quiet --locked -p muster --bench extender; \
	  cargo bench --quiet --locked -p muster-placement --bench plan; \
	  cargo bench --quiet --locked -p muster-simulations --bench world; \
	  cargo run --release --quiet --locked -p muster-lab -- bench --muster target/release/muster $(ARGS); \
	} | tee $(FIGURES)
	@dashboard/browser/install-chromium.sh
	cargo build --release --quiet --locked -p muster --example large_cluster
	cd dashboard && npm run --silent figures
	@printf '\nid  | case | n | ours | beside it | floor or peer | ratio | target | verdict (docs/performance.md)\n'
	@grep -E '^[a-z][0-9]+ ' $(FIGURES) | sort --stable --version-sort --key=1,1

.PHONY: growth
growth: tools-rust ## Draw how time and memory of the pure core grow: docs/growth-*.svg
	cargo bench --quiet --locked -p muster --bench growth

.PHONY: deny
deny: ## Licences, sources and advisories of all dependencies (needs cargo-deny)
	cargo deny check

.PHONY: tools
tools: tools-rust ## Build what the control-plane tests need, once per machine (about 10 minutes)
	tests/control-plane/build.sh
	cargo build --quiet --locked

.PHONY: tools-rust
tools-rust:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust with rustup; rust-toolchain.toml names the version" >&2; exit 1; }

.PHONY: dashboard
dashboard: dashboard/dist/index.html ## Build the page that the binary embeds, if its source is newer (needs Node.js 20.19 or later)

dashboard/dist/index.html: dashboard/node_modules/.package-lock.json $(shell find dashboard/src dashboard/public dashboard/build -type f) $(wildcard dashboard/*.ts dashboard/*.js dashboard/*.json dashboard/*.html)
	cd dashboard && npm run --silent build
	@# cargo does not see by itself that a folder that it embeds has new files.
	@touch $@ src/dashboard.rs

dashboard/node_modules/.package-lock.json: dashboard/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20.19 or later; without it the program runs and says that the dashboard is not built" >&2; exit 1; }
	cd dashboard && npm ci --no-audit --no-fund
	@touch $@

.PHONY: browser
browser: dashboard tools-rust ## The dashboard in a real browser before the running demo (Debian's chromium, or CHROMIUM=path)
	@dashboard/browser/install-chromium.sh
	cd dashboard && npm run --silent check
	cargo build --quiet --locked -p muster --bins --example large_cluster
	cd dashboard && npm run --silent browser
