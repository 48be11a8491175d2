//! Whether this replica is ready, and why not.

use std::sync::{Arc, Mutex, PoisonError};

/// How far this replica has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// The CustomResourceDefinitions are missing.
    Definitions,
    /// Another replica leads; this one takes reports.
    Standby,
    /// It leads, and reads what there is.
    Syncing,
    /// It leads.
    Leading,
}

/// The stage of this replica, shared with the admin server.
#[derive(Clone, Debug)]
pub(super) struct Readiness(Arc<Mutex<Stage>>);

impl Readiness {
    /// Nothing was looked for yet.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Stage::Definitions)))
    }

    /// A stage is reached.
    pub(super) fn reach(&self, stage: Stage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    /// Why this replica is not ready; unset: it is.
    pub(super) fn problem(&self) -> Option<&'static str> {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Stage::Definitions => Some(
                "the CustomResourceDefinitions of mledojo.dev are not installed, or the API server was not reached yet",
            ),
            Stage::Syncing => Some("this replica leads, and still reads Episodes, Tasks, Pods and Jobs"),
            Stage::Standby | Stage::Leading => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_is_ready_and_a_leader_that_still_reads_is_not() {
        let readiness = Readiness::new();
        assert!(readiness.problem().unwrap().contains("CustomResourceDefinitions"));
        readiness.reach(Stage::Standby);
        assert_eq!(readiness.problem(), None);
        readiness.reach(Stage::Syncing);
        assert!(readiness.problem().unwrap().contains("reads"));
        readiness.reach(Stage::Leading);
        assert_eq!(readiness.problem(), None);
    }
}
