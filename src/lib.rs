//! Episodes of machine-learning-engineering agents, on Kubernetes or on one machine. ARCHITECTURE.md has the map.

pub mod agent;
pub mod api;
pub mod cli;
pub mod env;
pub mod exec;
pub mod grade;
#[allow(clippy::disallowed_methods)] // effects: the clock is read here
pub mod local;
pub mod plan;
pub mod relay;
pub mod wire;
