//! Episodes of machine-learning-engineering agents, on Kubernetes or on one machine. ARCHITECTURE.md has the map.

#[allow(clippy::disallowed_methods)] // effects: it reads the clock
pub mod agent;
pub mod api;
pub mod cli;
pub mod env;
pub mod exec;
pub mod grade;
#[allow(clippy::disallowed_methods)] // effects: the clock is read here
pub mod local;
pub mod metrics;
#[allow(clippy::disallowed_methods)] // effects: it reads the clock
pub mod operator;
pub mod plan;
#[allow(clippy::disallowed_methods)] // effects: it reads the clock
pub mod relay;
pub mod telemetry;
pub mod wire;
