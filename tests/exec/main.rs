//! The executor as a process, driven over its socket by a relay that these tests play. Real Python, real sandbox.
//!
//! As root every test runs the executor as `dojo run` would: another user, private root directory. Tests that name an
//! ordinary user give up root first.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods
)] // a test program

mod channel;
mod hidden;
mod hostile;
mod libraries;
mod limits;
mod programs;
mod submissions;
mod support;
mod systems;
mod validation;
mod workspace;
