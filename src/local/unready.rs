//! Why an episode cannot start on this machine.

use std::io;
use std::path::PathBuf;

use crate::api::conditions::FailureClass;

/// A reason that stands in the episode's status.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unready {
    /// Whose fault it is.
    pub class: FailureClass,
    /// One CamelCase word.
    pub reason: &'static str,
    /// What happened and what to do.
    pub message: String,
    /// Where more is to be read.
    pub log: Option<PathBuf>,
}

/// Why something is not there: it cannot be, or the run was stopped before it was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NotDone {
    /// It cannot be.
    Unready(Unready),
    /// The run is stopped; the next one takes it up again.
    Stopped,
}

impl From<Unready> for NotDone {
    fn from(unready: Unready) -> Self {
        Self::Unready(unready)
    }
}

impl Unready {
    /// The Task is at fault.
    pub fn task(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            class: FailureClass::Task,
            reason,
            message: message.into(),
            log: None,
        }
    }

    /// The machine is at fault.
    pub fn machine(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            class: FailureClass::Infrastructure,
            reason,
            message: message.into(),
            log: None,
        }
    }

    /// With a log.
    pub fn with_log(mut self, log: impl Into<PathBuf>) -> Self {
        self.log = Some(log.into());
        self
    }
}

/// Names what could not be done to which file.
pub trait Doing<T> {
    /// Turns an I/O error into the machine's fault; `what` reads like "write /a/b".
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Unready>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Unready> {
        self.map_err(|error| Unready::machine("MachineError", format!("cannot {}: {error}", what())))
    }
}
