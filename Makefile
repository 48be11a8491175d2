# `make help` lists the targets.

CARGO  ?= cargo
PYTHON ?= python3
# Python with the reference libraries, for checks and benchmarks against scikit-learn and SciPy.
REFERENCE := .cache/reference

.PHONY: help test lint unit reference quickstart bench crds deny image static clean
.PHONY: cluster-up cluster-down cluster-status cluster-operator

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

test: ## everything: lints, unit, golden, real processes, reference metrics, the quickstart end to end
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

deny: ## licences, sources and bans of the dependencies (needs cargo-deny)
	$(CARGO) deny check bans licenses sources

image: ## the container image, static binary on an empty base (needs buildah, or set BUILDER="docker build")
	$(or $(BUILDER),buildah build) -t mle-dojo-operator:dev -f Dockerfile .

static: ## the release binary without a dynamic loader, as images need it: target/HOST/release/dojo
	target=$$(rustc -vV | sed -n 's/^host: //p') && \
	RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --release --locked --bin dojo --target $$target

clean: ## build output and run directories of this folder; caches outside stay
	$(CARGO) clean
	rm -rf runs .cache

# --- A real Kubernetes on this machine: tests/cluster/README.md has the variables (NODES=2 GPUS=2,4 ...) ---

cluster-up: ## raise it: etcd, API server, kubelets, containerd, all built from pinned sources and cached
	@tests/cluster/cluster.sh up

cluster-down: ## end it and delete its state; the cache stays
	@tests/cluster/cluster.sh down

cluster-status: ## what of it runs, and where its kubeconfig and audit log are
	@tests/cluster/cluster.sh status

cluster-operator: static ## the operator's image from this folder's sources, loaded into every node
	@tests/cluster/cluster.sh operator
