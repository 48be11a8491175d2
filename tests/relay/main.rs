//! The relay as a process: HTTP in front, an executor behind, kills in between.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // a test program: a panic is its failure

#[path = "../support/mod.rs"]
mod support;

mod api;
mod channel;
mod disk;
mod kill;
mod lifetime;
mod real;
