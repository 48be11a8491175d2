//! Episodes on this machine, without a cluster.
//!
//! ```text
//!   read       files, directories, kustomizations -> documents
//!   runner     a run: what becomes of each episode (resume), all of them in parallel (seats)
//!   play       one episode: prepared (workshop: python, venv, data, cache), run, reported (record)
//!   episode    its three processes, from their start (keeper, process, lifeline) to the agent's end
//!   progress, report   what people see meanwhile, and at the end
//! ```

mod cache;
mod data;
pub mod digest;
mod episode;
pub mod grading;
mod keeper;
mod layout;
pub mod lifeline;
mod lock;
mod machine;
mod play;
mod process;
mod progress;
mod python;
pub mod read;
pub mod record;
mod removal;
pub mod report;
mod resume;
pub mod runner;
mod seats;
mod signals;
mod sockets;
mod unready;
mod venv;
mod workshop;
