//! Agents: the one that replays a list of actions, and the wrapper that starts any command as an agent.
//!
//! | module | holds |
//! |---|---|
//! | `client` | the agent API as a client: one kept-alive connection, back-off, idempotent steps |
//! | [`replay`] | `dojo agent replay` |
//! | [`wrap`] | `dojo agent exec` |

mod client;
pub mod replay;
pub mod wrap;

use thiserror::Error;

/// Why an agent ends without having done its work.
#[derive(Debug, Error)]
pub enum AgentError {
    /// What it was given is wrong.
    #[error("{0}")]
    Input(String),
    /// The relay cannot be reached, or refuses.
    #[error("{0}")]
    Relay(String),
    /// This machine failed.
    #[error("{0}")]
    Failed(String),
}

impl AgentError {
    /// Exit code of the process: 1 failure, 2 wrong input.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Relay(_) | Self::Failed(_) => 1,
        }
    }
}

/// The runtime of an agent: one thread is plenty.
fn runtime() -> Result<tokio::runtime::Runtime, AgentError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| AgentError::Failed(format!("cannot start the runtime: {error}")))
}
