//! Defaults and overrides, worked out once.

use crate::api::{Episode, Task};
use crate::wire::config::RelayConfig;

/// Directories as executed code sees them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dirs {
    /// Public data.
    pub public: String,
    /// Workspace.
    pub workspace: String,
}

/// What the relay of an episode needs to know.
#[allow(clippy::unimplemented)]
pub fn resolve(_task: &Task, _episode: &Episode, _dirs: &Dirs) -> RelayConfig {
    unimplemented!()
}

/// SHA-256, hexadecimal, over what of a Task bears on a result: its spec without placement, labels and pull secrets,
/// and the content of its `prepare` file (unset: it has none, or it is not at hand).
#[allow(clippy::unimplemented)]
pub fn task_digest(_task: &Task, _prepare: Option<&[u8]>) -> String {
    unimplemented!()
}
