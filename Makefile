# The commands of this repository. `make` lists them.

# Where cargo puts what it builds: a folder of the user's own choice, or ./target.
TARGET := $(or $(CARGO_TARGET_DIR),target)

.DEFAULT_GOAL := help
.PHONY: help quickstart build static test fuzz bench bench-render bench-cluster testbed lint fmt target

help: ## List the commands
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 15

quickstart: build ## Watch a workload scale from zero to several workers and back; half a minute, no cluster
	@$(TARGET)/release/examples/quickstart

build: target ## Build the release binary and the quickstart
	@scripts/build.sh release --bin keda --example quickstart
	@scripts/target.sh keep

static: target ## Build a static binary for an image from scratch
	@scripts/static.sh

test: target ## Check and test everything, from fast to slow; the last line counts the tests
	@scripts/packages.sh
	@scripts/lint.sh
	@scripts/test.sh; status=$$?; scripts/target.sh keep; exit $$status

fuzz: target ## Run a million mutated manifests, triggers and formulas through the code that reads them
	@scripts/build.sh release --example fuzz
	@$(TARGET)/release/examples/fuzz --cases 1000000

bench: build ## Measure keda up with 500 objects on one Redis
	@scripts/bench-up.sh

bench-render: build ## Measure keda render with 1,000 ScaledObjects and with one
	@scripts/bench-render.py $(TARGET)/release/keda

bench-cluster: target ## Measure the operator with 1,000 ScaledObjects on a control plane
	@scripts/bench-cluster.sh

testbed: target ## Bring up a Kubernetes control plane on this machine and print its kubeconfig
	@folder=$$(scripts/testbed.sh) && exec "$$folder/testbed" up --kubeconfig $(TARGET)/testbed.kubeconfig

lint: target ## Check the formatting, clippy's findings, and the rules for dependencies
	@scripts/lint.sh

fmt: ## Format all Rust files; cargo fmt does not find the trigger files, which a macro includes
	@git ls-files -z '*.rs' | xargs -0 rustfmt --edition 2024

# Links ./target into the user's cache folder, so that a fresh clone need not build all dependencies again.
target:
	@scripts/target.sh
