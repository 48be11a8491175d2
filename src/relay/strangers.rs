//! Connections to the executor's socket that are not the executor. Executed code can make as many as it likes, so they
//! may cost neither a line of the log each nor all of the relay's time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Warnings of one minute; what comes after them is counted.
const WARNINGS: u64 = 5;
/// Strangers before a pause. The executor may wait in the queue behind them, so they are shown out many at a time.
const BATCH: u64 = 128;
/// First pause; it doubles up to [`LONGEST_PAUSE`] until a minute is over.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// The strangers of this minute.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    minute: Mutex<Minute>,
}

#[derive(Debug, Default)]
struct Minute {
    shown_out: u64,
    /// Batches after which there was a pause.
    pauses: u64,
}

impl Strangers {
    /// Takes note of a stranger that was shown out for this reason.
    pub(super) fn shown_out(self: &Arc<Self>, why: &str) {
        let count = {
            let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
            minute.shown_out += 1;
            minute.shown_out
        };
        if count == 1 {
            tokio::spawn(Arc::clone(self).sum_up());
        }
        if count <= WARNINGS {
            tracing::warn!(%why, "a connection to the executor's socket was shown out");
        }
    }

    /// Ends the minute that has just begun.
    async fn sum_up(self: Arc<Self>) {
        tokio::time::sleep(MINUTE).await;
        let shown_out = self.begin_minute();
        if shown_out > WARNINGS {
            tracing::warn!(
                count = shown_out - WARNINGS,
                "more connections to the executor's socket were shown out within a minute"
            );
        }
    }

    /// Forgets the strangers of the minute before; gives their number.
    fn begin_minute(&self) -> u64 {
        std::mem::take(&mut *self.minute.lock().unwrap_or_else(PoisonError::into_inner)).shown_out
    }

    /// How long to wait before the next connection is accepted.
    pub(super) fn pause(&self) -> Option<Duration> {
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        if minute.shown_out / BATCH <= minute.pauses {
            return None;
        }
        let doubled = 2_u32.saturating_pow(u32::try_from(minute.pauses).unwrap_or(u32::MAX));
        minute.pauses = minute.shown_out / BATCH;
        Some(FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pauses_come_after_many_strangers_and_grow_until_the_minute_is_over() {
        let strangers = Arc::new(Strangers::default());
        let mut pauses = Vec::new();
        for _ in 0..8 * BATCH {
            strangers.shown_out("x");
            pauses.extend(strangers.pause().map(|pause| pause.as_millis()));
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000, 1000]);
        assert_eq!(strangers.begin_minute(), 8 * BATCH);
        strangers.shown_out("x");
        assert_eq!(strangers.pause(), None);
    }
}
