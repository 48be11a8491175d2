//! How often a Task is written: ten thousand Episodes that end in a minute are not ten thousand writes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Shortest time between two writes of counts alone.
const COUNTS: Duration = Duration::from_secs(5);
/// An object that is applied is applied anew after this time, in case somebody has changed it.
const DRIFT: Duration = Duration::from_secs(600);

/// When each Task was written last, by UID, and what was applied for it.
#[derive(Debug, Default)]
pub(in crate::operator) struct Pace {
    written: Mutex<HashMap<String, Instant>>,
    applied: Mutex<HashMap<String, (u64, Instant)>>,
}

impl Pace {
    /// How long to wait with a write of counts; unset: it may be now.
    pub(super) fn wait(&self, uid: &str) -> Option<Duration> {
        let passed = lock(&self.written).get(uid)?.elapsed();
        COUNTS.checked_sub(passed).filter(|left| !left.is_zero())
    }

    /// The status is written.
    pub(super) fn wrote(&self, uid: &str) {
        let mut written = lock(&self.written);
        written.retain(|_, at| at.elapsed() < COUNTS);
        written.insert(uid.to_owned(), Instant::now());
    }

    /// Whether an object with this fingerprint was applied for the Task not long ago.
    pub(super) fn is_applied(&self, uid: &str, fingerprint: u64) -> bool {
        lock(&self.applied)
            .get(uid)
            .is_some_and(|(known, at)| *known == fingerprint && at.elapsed() < DRIFT)
    }

    /// An object is applied.
    pub(super) fn applied(&self, uid: &str, fingerprint: u64) {
        let mut applied = lock(&self.applied);
        applied.retain(|_, (_, at)| at.elapsed() < DRIFT);
        applied.insert(uid.to_owned(), (fingerprint, Instant::now()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_wait_after_a_write_and_a_task_without_one_does_not() {
        let pace = Pace::default();
        assert_eq!(pace.wait("a"), None);
        pace.wrote("a");
        assert!(pace.wait("a").is_some_and(|left| left <= COUNTS));
        assert_eq!(pace.wait("b"), None);
    }

    #[test]
    fn an_object_is_applied_again_when_it_is_another_one() {
        let pace = Pace::default();
        assert!(!pace.is_applied("a", 1));
        pace.applied("a", 1);
        assert!(pace.is_applied("a", 1));
        assert!(!pace.is_applied("a", 2));
        assert!(!pace.is_applied("b", 1));
    }
}
