# Every task of the project, and the only place that knows how to build it.
#
#   make demo     a real cluster, a real chain, a broken node, and the story of its healing
#   make test     everything that needs no root; says what it skipped
#   make e2e      the installed chart on the local cluster, as CI runs it; make e2e-full is all of it; make e2e-failover
#                 only what is about failing over a signer, make e2e-failover-wasmd the same on a chain that punishes
#   make chains   real nodes of other kinds, watched by the operator's own eyes; make chains-full adds wasmd and Hermes
#   make bench    how long a hung node stays hung; make bench-signals what watching costs
#   make down     removes what demo and e2e left running

CARGO     ?= cargo
# What lives outside the checkout and makes a second run a warm one: Go programs and images. Compiled crates stay
# inside: two checkouts that share them would take each other's for their own.
CACHE     ?= $(or $(MAINSTAY_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mainstay)
TARGET    := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
CLUSTER   := $(TARGET)/debug/examples/cluster
# A cluster of two nodes of its own: what fails there are machines.
TWO       := MAINSTAY_CLUSTER_DIR=$(CACHE)/cluster-of-two
TWO_NODES := failover::everyday failover::naive failover::machines failover::records failover::handovers failover::story
MEASURES  := failover::times
# The kind of chain of the demonstration: wasmd, which punishes and takes six minutes to build once, or cometbft.
DEMO_CHAIN ?= wasmd
# Runs a command whose words are kept for the report.
SAYING     = bash -o pipefail -c '$(2) 2>&1 | tee $(CACHE)/failover-$(1).log'
# Loads the image of a kind of chain with our program beside its node, as owners build it whose nodes a launcher starts.
BESIDE     = $(TWO) $(CLUSTER) load-image $$($(CLUSTER) image chain $(1) --beside $(TARGET)/release/mainstay | tail -n 1)
# Scenarios at once: each waits most of its time, and runs a chain of seven nodes.
THREADS   ?= 3
PROGRAMS  := $(CACHE)/programs/node_modules
ANVIL     := $(PROGRAMS)/@foundry-rs/anvil-linux-amd64/bin/anvil
# Prometheus' own test inputs, from the module that the rival is built of.
PROMPAGES  = $$(cd tests/cluster/tools/promparse && ls $$(go list -m -f '{{.Dir}}' github.com/prometheus/prometheus)/model/textparse/testdata/*.txt | grep -v om2)
IMAGE     := mainstay:dev
IMAGE_TAR := $(CACHE)/images/mainstay-dev.tar
NODE_TAR  := $(CACHE)/images/ethereumjs.tar
# Debian's Node.js reads a part of itself from here when it starts.
NODE_PARTS := $(wildcard $(addprefix /usr/share/nodejs/,acorn acorn-walk cjs-module-lexer undici))

.PHONY: help demo demo-failover down test lint deny unit chart control-plane e2e e2e-full e2e-failover e2e-failover-full e2e-failover-wasmd \
  bench ready ready-two crds image launcher fmt \
  parity chains chains-full programs ethereumjs bench-signals bench-planning bench-gate measure-reroute measure-failover fuzz model model-failover \
  simulate simulate-failover

help: ## What there is.
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

demo: image ## A cluster, a chain, a hung node, and its healing, told as it happens.
	$(CARGO) run --quiet --example demo -- $(IMAGE_TAR)

demo-failover: ready-two ## A validator's machine is lost while its process signs on, with a fence and without one, on a chain that punishes; both are drawn.
	$(TWO) MAINSTAY_CHAIN=$(DEMO_CHAIN) $(CARGO) test --quiet --test e2e -- --include-ignored --nocapture failover::story

down: launcher ## Removes the local cluster and everything that runs on it.
	$(CLUSTER) down
	$(TWO) $(CLUSTER) down

test: lint unit chart control-plane ## Everything that needs no root.
	@echo "skipped here: the scenarios on the local cluster, which need root (make e2e, make e2e-full)"

lint: ## Format and clippy, pedantic and without mercy.
	$(CARGO) fmt --check
	$(CARGO) clippy --quiet --all-targets -- -D warnings

deny: ## Licences, bans and sources of every dependency.
	test -x $(CACHE)/tools/bin/cargo-deny || $(CARGO) install --quiet --locked --root $(CACHE)/tools cargo-deny
	PATH=$(CACHE)/tools/bin:$$PATH $(CARGO) deny check bans licenses sources

unit: ## The pure rooms, the adapters, the command line, the walls of the house.
	$(CARGO) test --quiet

chart: launcher ## What the chart renders, and that it grants no more than it should.
	$(CLUSTER) build
	HELM=$$($(CLUSTER) tool helm) $(CARGO) test --quiet --test chart -- --include-ignored

control-plane: launcher ## The real API server: the definitions, and every refusal.
	$(CLUSTER) build
	mkdir -p $(CACHE)/assets
	ln -sf $$(command -v etcd) $$(dirname $$($(CLUSTER) tool kubectl))/kube-apiserver $(CACHE)/assets/
	HELM=$$($(CLUSTER) tool helm) KUBEBUILDER_ASSETS=$(CACHE)/assets $(CARGO) test --quiet --test control_plane -- --include-ignored

e2e: ready ## The installed chart on the local cluster with real chains.
	$(CARGO) test --test e2e -- --include-ignored --test-threads $(THREADS) --skip killed_at_every_step --skip a_wedge_that_comes_back $(MEASURES:%=--skip %) $(TWO_NODES:%=--skip %)
	HELM=$$($(CLUSTER) tool helm) $(CARGO) test --quiet --test rights -- --include-ignored
	$(MAKE) e2e-failover

e2e-full: ready ethereumjs ## The same, with the operator killed at every step and a real wedge: a good half hour.
	$(CLUSTER) load-image $(NODE_TAR)
	$(CARGO) test --test e2e -- --include-ignored --test-threads $(THREADS) $(MEASURES:%=--skip %) $(TWO_NODES:%=--skip %)
	HELM=$$($(CLUSTER) tool helm) $(CARGO) test --quiet --test rights -- --include-ignored
	$(MAKE) e2e-failover-full

e2e-failover: ready-two ## A signer that fails over between two nodes, as CI runs it, and the controls without a fence or a floor.
	$(TWO) $(CARGO) test --test e2e -- --include-ignored --test-threads 1 failover::everyday failover::naive

e2e-failover-full: ready-two ## The same with every fault there is, on both kinds of chain, and docs/failover/report.md: an hour and a quarter.
	$(call BESIDE,cometbft)
	$(call SAYING,cometbft,$(TWO) $(CARGO) test --test e2e -- --include-ignored --nocapture --test-threads 1 $(TWO_NODES))
	$(MAKE) e2e-failover-wasmd
	tests/e2e/failover/report.sh CometBFT $(CACHE)/failover-cometbft.log wasmd $(CACHE)/failover-wasmd.log > docs/failover/report.md

e2e-failover-wasmd: ready-two ## Every failover on a Cosmos SDK chain, which punishes; builds wasmd first, six minutes.
	$(call BESIDE,wasmd)
	$(call SAYING,wasmd,$(TWO) MAINSTAY_CHAIN=wasmd $(CARGO) test --test e2e -- --include-ignored --nocapture --test-threads 1 $(TWO_NODES))

bench: ready ## From a hung node to its removal, twenty times, with the distribution.
	$(CARGO) run --quiet --example healing

measure-reroute: ready ## From a rule that fires to the last new connection, a hundred times, with the distribution.
	$(CARGO) run --quiet --example rerouting

measure-failover: ready-two ## From a decision to the next one's first signature, twenty times of each kind, with the distribution.
	$(TWO) $(CARGO) test --quiet --test e2e -- --include-ignored --nocapture failover::times

parity: launcher ## Our parser of metrics against Prometheus' own, our signer against CometBFT's half of the socket.
	PROMPARSE=$$($(CLUSTER) tool promparse | tail -n 1) PAGES=$(PROMPAGES) $(CARGO) test --quiet --test telemetry -- --include-ignored parity
	$(CARGO) test --quiet --test gate -- --ignored peer::

chains: launcher programs ## Real nodes of every kind that is quick to have: geth, anvil, EthereumJS, Prometheus.
	PROGRAM_GETH=$$($(CLUSTER) tool geth | tail -n 1) PROGRAM_ANVIL=$(ANVIL) PROGRAM_ETHEREUMJS=$(PROGRAMS)/.bin/ethereumjs \
	PROGRAM_PROMETHEUS=$$(command -v prometheus) \
	$(CARGO) test --test chains -- --include-ignored --test-threads $(THREADS) --skip cosmos::

chains-full: launcher programs ## The same with wasmd and Hermes, which take a quarter of an hour to build.
	test -x $(CACHE)/tools/bin/hermes || $(CARGO) install --quiet --locked --root $(CACHE)/tools \
		--version 1.10.4 --bin hermes ibc-relayer-cli
	PROGRAM_GETH=$$($(CLUSTER) tool geth | tail -n 1) PROGRAM_ANVIL=$(ANVIL) PROGRAM_ETHEREUMJS=$(PROGRAMS)/.bin/ethereumjs \
	PROGRAM_PROMETHEUS=$$(command -v prometheus) PROGRAM_WASMD=$$($(CLUSTER) tool wasmd | tail -n 1) \
	PROGRAM_HERMES=$(CACHE)/tools/bin/hermes \
	$(CARGO) test --test chains -- --include-ignored --test-threads $(THREADS)

programs: ## Installs anvil and EthereumJS outside the checkout.
	mkdir -p $(CACHE)/programs
	cp tests/chains/programs/package.json tests/chains/programs/package-lock.json $(CACHE)/programs/
	cd $(CACHE)/programs && (cmp -s package-lock.json installed || (npm ci --ignore-scripts --no-audit --no-fund && cp package-lock.json installed))

bench-signals: launcher ## How fast metrics are read, and what watching costs, beside Prometheus.
	PROMPARSE=$$($(CLUSTER) tool promparse | tail -n 1) $(CARGO) run --quiet --release --example exposition -- $(PROMPAGES)
	PROMETHEUS=$$(command -v prometheus) $(CARGO) run --quiet --release --example scraping

bench-planning: ## From a breach of 500 among 10,000 targets to what is to be done.
	$(CARGO) run --quiet --release --example planning

bench-gate: ## What a signature costs beside its disk, how soon a gate answers, and its memory; AT_WORK=3600 for that after an hour.
	AT_WORK=$(AT_WORK) $(CARGO) test --release --test gate -- --ignored --nocapture measured

fuzz: ## A million broken answers for every parser, a few minutes.
	FUZZ_ANSWERS=1000000 $(CARGO) test --release --test telemetry -- --nocapture broken_answers

simulate: ## Thousands of seeded runs of a toy chain and cluster round the rooms that decide; RUNS=100000 for all.
	RUNS=$(or $(RUNS),5000) $(CARGO) test --release --test simulation -- --nocapture

model: ## The ledger protocol under a model checker, wide: minutes, and gigabytes.
	MODEL=wide $(CARGO) test --release --test model two_operators -- --nocapture

model-failover: ## The failover protocol under a model checker, wide: millions of states, minutes, and gigabytes.
	MODEL=wide $(CARGO) test --release --test failover -- --include-ignored --skip simulation:: --nocapture --test-threads 1

simulate-failover: ## Randomised failovers in time, drawn by seeds, with the distribution; RUNS=1000 for a few.
	RUNS=$(or $(RUNS),100000) $(CARGO) test --release --test failover -- --include-ignored --skip one_failover --nocapture --test-threads 1 simulation::

ready-two: image
	$(TWO) $(CLUSTER) up --nodes 2
	$(TWO) $(CLUSTER) load-image $(IMAGE_TAR)
	$(CARGO) run --quiet -- crds | $(TWO) $(CLUSTER) kubectl apply --server-side --force-conflicts -f -

ready: image
	$(CLUSTER) up
	$(CLUSTER) load-image $(IMAGE_TAR)
	$(CARGO) run --quiet -- crds | $(CLUSTER) kubectl apply --server-side --force-conflicts -f -
	$(CARGO) build --quiet --example liar

crds: ## Writes the definitions and the chart's copies of them.
	$(CARGO) run --quiet -- crds --out crds
	rm -f charts/mainstay/files/crds/*.yaml
	cp crds/*.yaml charts/mainstay/files/crds/

image: launcher ## The operator's image as an archive, without a container engine.
	$(CARGO) build --quiet --release --bin mainstay
	mkdir -p $(dir $(IMAGE_TAR))
	$(CLUSTER) image program --bin $(TARGET)/release/mainstay --name $(IMAGE) --out $(IMAGE_TAR)

ethereumjs: launcher programs ## Its image, with this machine's Node.js.
	$(CLUSTER) image program --bin $$(readlink -f $$(command -v node)) --with $(PROGRAMS):/node_modules \
		$(foreach part,$(NODE_PARTS),--with $(part):$(part)) --name mainstay.test/ethereumjs:dev --out $(NODE_TAR)

launcher:
	$(CARGO) build --quiet --example cluster

fmt: ## Formats the code.
	$(CARGO) fmt
