//! Episodes on this machine, without a cluster.

mod cache;
mod layout;
pub mod lifeline;
mod lock;
mod process;
mod progress;
mod python;
pub mod read;
mod signals;
mod unready;
mod venv;
