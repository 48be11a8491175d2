//! How long to wait after a failure: longer each time, for each object of its own.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Delay after the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// Longest delay.
const LONGEST: Duration = Duration::from_secs(60);
/// Failures are forgotten after so long without another: the object is gone, or all is well.
const MEMORY: Duration = Duration::from_secs(600);

/// Failures in a row, by the UID of the object.
#[derive(Debug, Default)]
pub(super) struct Backoff(Mutex<HashMap<String, (u32, Instant)>>);

impl Backoff {
    /// Delay after one more failure.
    pub(super) fn failed(&self, uid: &str) -> Duration {
        let now = Instant::now();
        let mut failures = self.lock();
        failures.retain(|_, (_, last)| now.duration_since(*last) < MEMORY);
        let (count, last) = failures.entry(uid.to_owned()).or_insert((0, now));
        let delay = FIRST.saturating_mul(2_u32.saturating_pow(*count)).min(LONGEST);
        (*count, *last) = (count.saturating_add(1), now);
        delay
    }

    /// It went well.
    pub(super) fn succeeded(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (u32, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_a_minute_and_starts_anew_after_a_success() {
        let backoff = Backoff::default();
        let delays: Vec<u64> = (0..8).map(|_| backoff.failed("a").as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff.failed("b").as_secs(), 1);
        backoff.succeeded("a");
        assert_eq!(backoff.failed("a").as_secs(), 1);
    }
}
