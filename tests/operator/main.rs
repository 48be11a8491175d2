//! The operator on a real cluster, under the chart's own rights. Each test has a namespace of its own.
//!
//! ```text
//!   cargo test --test operator -- --ignored --test-threads=4 --show-output --skip uninstall
//!   DOJO_TEST_UNINSTALL=1 cargo test --test operator -- --ignored uninstall      last: the operator is gone then
//! ```
//!
//! | variable | meaning |
//! |---|---|
//! | `KUBECONFIG` | administrator of the cluster that the chart is installed in |
//! | `DOJO_OPERATOR_NAMESPACE` | namespace of the operator; default `mle-dojo-system` |
//! | `AUDIT_LOG` | audit log of the API server; unset: what is counted in it is skipped |
//! | `CLUSTER_SH` | `tests/cluster/cluster.sh`; unset: the operator is not killed but its pod deleted without grace |
//! | `DOJO_QUICKSTART_RUNS` | directory of a finished `dojo run manifests/quickstart`; unset: one is made |
//!
//! The operator must run with `--start-patience 20s --retry-delay 2s`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods
)] // a test program: a panic is its failure

mod stage;

mod attacks;
mod audit;
mod claims;
mod control_plane;
mod crash;
mod failures;
mod gpu;
mod quickstart;
mod uninstall;
