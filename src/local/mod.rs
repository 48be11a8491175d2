//! Episodes on this machine, without a cluster.

pub mod read;
