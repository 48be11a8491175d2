# `make help` lists the targets.

CARGO  ?= cargo
PYTHON ?= python3
# Python with the reference libraries, for checks and benchmarks against scikit-learn and SciPy.
REFERENCE := .cache/reference

.PHONY: help test lint unit reference quickstart bench crds charts manifests chart-test deny image static clean
.PHONY: demo cluster-up cluster-down cluster-status cluster-operator cluster-install cluster-test

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

test: ## everything: lints, unit, golden, real processes, reference metrics, the quickstart, charts, a real Kubernetes
	@bash tests/run.sh

lint: ## formatting and clippy, warnings as errors
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings

unit: ## all Rust tests
	$(CARGO) test --locked

reference: $(REFERENCE)/ready ## metrics against scikit-learn and SciPy, live
	$(REFERENCE)/bin/python tests/data/grade/reference.py --check

$(REFERENCE)/ready: tests/data/grade/requirements.txt
	$(PYTHON) -m venv --clear $(REFERENCE)
	$(REFERENCE)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

quickstart: ## four real episodes on this machine
	$(CARGO) run --release --locked -- run manifests/quickstart

bench: $(REFERENCE)/ready ## figures, each with its definition and a ratio from the same run
	DOJO_BENCH_PYTHON=$(REFERENCE)/bin/python $(CARGO) bench --locked

crds: ## write crds/ anew from the types
	$(CARGO) run --locked -- crds --out crds

charts: ## write the templates of charts/mle-dojo-crds anew from crds/
	charts/generate.sh crds charts/mle-dojo-crds/templates

manifests: charts ## write manifests/install.yaml anew from crds/ and charts/, with the helm of the test cluster
	@tests/cluster/cluster.sh build helm
	eval "$$(tests/cluster/cluster.sh env)" && charts/generate.sh install manifests/install.yaml

chart-test: ## the charts: what they render and refuse, and whether generated files are up to date
	@tests/chart.sh

deny: ## licences, sources and bans of the dependencies (needs cargo-deny)
	$(CARGO) deny check bans licenses sources

image: ## the container image, static binary on an empty base (needs buildah, or set BUILDER="docker build")
	$(or $(BUILDER),buildah build) -t mle-dojo-operator:dev -f Dockerfile .

# The flag goes to the program alone: with a static C library there could be no procedural macros, and nothing that is
# compiled already is compiled again.
static: ## the release binary without a dynamic loader, as images need it: target/static/dojo
	$(CARGO) rustc --release --locked --bin dojo -- -C target-feature=+crt-static
	install -D target/release/dojo target/static/dojo

clean: ## build output and run directories of this folder; caches outside stay
	$(CARGO) clean
	rm -rf runs .cache

# --- A real Kubernetes on this machine: tests/cluster/README.md has the variables (NODES=2 GPUS=2,4 ...) ---

demo: ## raise it, install the charts, run the quickstart in pods and show the rewards arriving
	@tests/cluster/demo.sh

cluster-up: ## raise it: etcd, API server, kubelets, containerd, all built from pinned sources and cached
	@tests/cluster/cluster.sh up

cluster-down: ## end it and delete its state; the cache stays
	@tests/cluster/cluster.sh down

cluster-status: ## what of it runs, and where its kubeconfig and audit log are
	@tests/cluster/cluster.sh status

cluster-operator: static ## the operator's image from this folder's sources, loaded into every node
	@tests/cluster/cluster.sh operator

cluster-install: cluster-operator ## the charts as well
	@tests/cluster/cluster.sh install

cluster-test: ## all tests of the operator on a cluster of their own
	@tests/cluster/test.sh
