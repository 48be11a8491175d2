//! How long to wait after a failure.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Pauses between attempts that fail: they double up to 30 s, each shortened by chance to as little as half, so that ten
/// thousand relays do not come back at one moment.
#[derive(Debug, Default)]
pub(super) struct Pause {
    failures: u32,
}

impl Pause {
    /// The next pause.
    pub(super) fn next(&mut self) -> Duration {
        let pause = length(self.failures, chance());
        self.failures = self.failures.saturating_add(1);
        pause
    }

    /// It worked; says whether it had failed before.
    pub(super) fn over(&mut self) -> bool {
        std::mem::take(&mut self.failures) > 0
    }

    /// Whether this is the first failure in a row.
    pub(super) fn is_first(&self) -> bool {
        self.failures == 0
    }
}

/// A number from 0 to 255; where the system has no random ones, always the same.
fn chance() -> u8 {
    let mut byte = [0];
    let _ = getrandom::fill(&mut byte);
    byte[0]
}

/// Pause after so many failures before this one.
fn length(failures: u32, chance: u8) -> Duration {
    let full = FIRST.saturating_mul(1 << failures.min(6)).min(LONGEST);
    full / 2 + full / 2 * u32::from(chance) / u32::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_half_a_second_to_half_a_minute() {
        let full: Vec<_> = [0, 1, 2, 5, 6, 7, 40]
            .map(|failures| length(failures, u8::MAX).as_millis())
            .into();
        assert_eq!(full, [500, 1000, 2000, 16_000, 30_000, 30_000, 30_000]);
    }

    #[test]
    fn chance_shortens_a_pause_to_no_less_than_half() {
        assert_eq!(length(1, 0), Duration::from_millis(500));
        assert!(length(1, 128) < length(1, 255) && length(1, 128) > length(1, 0));
    }

    #[test]
    fn a_success_begins_anew() {
        let mut pause = Pause::default();
        assert!(pause.is_first() && !pause.over());
        pause.next();
        assert!(!pause.is_first() && pause.over() && pause.is_first());
    }
}
