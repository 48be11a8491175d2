//! Serde types of every channel, and the codec of the one binary channel. No behaviour beyond that and what
//! makes a file of them valid.
//!
//! | module | between | form |
//! |---|---|---|
//! | [`frame`], [`channel`] | relay and executor | frames over a UNIX socket |
//! | [`agent`] | agent and relay | JSON over HTTP |
//! | [`journal`] | relay and its own restart, readers of trajectories | JSON lines |
//! | [`replay`] | authors and the replay agent | YAML list of actions, or a trajectory |
//! | [`result`] | relay and whoever harvests the result | one JSON object of at most 1 KiB |
//! | [`report`] | relay and operator, users and operator | JSON and bytes over HTTPS |
//! | [`config`] | planner and relay | one JSON file |

pub mod agent;
pub mod channel;
pub mod config;
pub mod frame;
mod hex;
pub mod journal;
pub mod replay;
pub mod report;
pub mod result;

pub use hex::hex;
