//! The report server over real TLS, with the relay and the commands of users as processes. Only the API server is made up, for
//! orderings that a real one does not produce on demand.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // a test program: a panic is its failure

#[path = "../support/mod.rs"]
mod support;

mod api;
mod attacks;
mod authority;
mod protocol;
mod relay;
mod stage;
mod users;
