# Every task of the project, and the only place that knows how to build it.
#
#   make demo     a real cluster, a real chain, a broken node, and the story of its healing
#   make test     everything that needs no root; says what it skipped
#   make e2e      the installed chart on the local cluster, as CI runs it
#   make down     removes what demo and e2e left running

CARGO    ?= cargo
CLUSTER  := $(CARGO) run --quiet --example cluster --
CACHE    ?= $(or $(MAINSTAY_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mainstay)
IMAGE    ?= mainstay:dev
IMAGE_TAR := target/image/mainstay.tar

.PHONY: help demo down test lint unit control-plane e2e bench crds chart image fmt clean

help: ## What there is.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

demo: image ## A cluster, a chain, a hung node, and its healing, told as it happens.
	$(CARGO) run --quiet --example demo -- --image $(IMAGE_TAR)

down: ## Removes the local cluster and everything that runs on it.
	$(CLUSTER) down

test: lint unit control-plane ## Everything that needs no root.

lint: ## Format, clippy, and the generated files.
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --quiet -- -D warnings

unit: ## The pure rooms, the adapters and the command line.
	$(CARGO) test --quiet

control-plane: ## The real API server: CRDs, refusals. Skipped without its binaries.
	$(CLUSTER) build --only control-plane
	$(CLUSTER) with-control-plane -- $(CARGO) test --quiet --test control_plane -- --include-ignored

e2e: image ## The installed chart on the local cluster with real chains.
	$(CLUSTER) up
	$(CARGO) test --test e2e -- --include-ignored --test-threads 4

bench: image ## Time from a hung node to the accepted eviction, 20 runs, with its distribution.
	$(CLUSTER) up
	$(CARGO) bench --bench heal

crds: ## Writes crds/ and the chart's copies from the types.
	$(CARGO) run --quiet -- crds --out crds
	$(CARGO) run --quiet -- crds --out charts/mainstay/templates/crds --helm

image: ## The operator's image as a tar, without Docker.
	$(CARGO) build --quiet --release --bin mainstay
	$(CLUSTER) image rust-binary --bin $$($(CARGO) metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/mainstay --name $(IMAGE) --out $(IMAGE_TAR)

fmt: ## Formats the code.
	$(CARGO) fmt
