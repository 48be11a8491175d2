//! The operator: effects against the API server around the pure decisions of [`crate::plan`].

#[allow(clippy::disallowed_methods)] // effects: it reads the clock
pub mod archive;
#[allow(clippy::disallowed_methods)] // effects: it reads the clock
pub mod server;
