//! The executor: runs programs for the relay, confined, and hands back their output and submission.
//!
//! ```text
//!   session      the connection to the relay: Hello, resume secret, reconnect; one job at a time
//!   run          one program: workspace or throw-away copy, syntax, launch, time limit, submission
//!   supervise    one process tree: output, time, memory, its end
//!   launch       `dojo launch`: a process confines itself and becomes the program
//!   isolate      the executor's own mounts, process numbers and user, before it connects
//! ```
//!
//! Executed code is hostile. What the executor itself does in the workspace therefore happens only while no executed
//! process lives, relative to a directory that it holds open, and never through a link.
#![allow(clippy::disallowed_methods)] // a room with effects: time limits need the clock

mod capture;
mod confine;
mod copy;
mod environment;
mod isolate;
mod launch;
mod layout;
mod options;
mod probe;
mod pump;
mod python;
mod removal;
mod run;
mod scratch;
mod session;
mod shutdown;
mod submission;
mod supervise;
mod syntax;
mod tree;
mod workspace;

pub use isolate::{Stage, main};
pub use launch::{Confinement, launch};
pub use options::{Inherited, Options};
