//! Budgets: what is spent, what is left, and how long a program may run.

use super::Now;
use crate::wire::agent::{Budget, BudgetLeft};
use crate::wire::config::ResolvedLimits;

/// The episode's wall clock, thinking included.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// Wall clock at the anchor, in milliseconds; before the start that of the last journaled step.
    offset_ms: u64,
    /// Monotonic time of the start.
    anchor_ms: Option<u64>,
}

impl Clock {
    /// Lets the clock run from where it stands. A second call changes nothing.
    pub(super) fn start(&mut self, now: Now) {
        self.anchor_ms.get_or_insert(now.monotonic_ms);
    }

    /// Sets a clock that stands still forward to a journaled step; a running one knows better.
    pub(super) fn restore(&mut self, elapsed_ms: u64) {
        if self.anchor_ms.is_none() {
            self.offset_ms = self.offset_ms.max(elapsed_ms);
        }
    }

    /// Wall clock of the episode in milliseconds.
    pub(super) fn elapsed_ms(&self, now: Now) -> u64 {
        let running = self
            .anchor_ms
            .map_or(0, |anchor| now.monotonic_ms.saturating_sub(anchor));
        self.offset_ms.saturating_add(running)
    }

    /// Monotonic time at which `elapsed_ms` is reached; unset while the clock stands still.
    pub(super) fn when(&self, elapsed_ms: u64) -> Option<u64> {
        self.anchor_ms
            .map(|anchor| anchor.saturating_add(elapsed_ms.saturating_sub(self.offset_ms)))
    }
}

/// The budget that is spent after `steps` steps and `elapsed_ms`. Where both are, the wall clock is named: it would have
/// ended the episode with any number of steps.
pub(super) fn spent(limits: &ResolvedLimits, steps: u32, elapsed_ms: u64) -> Option<Budget> {
    if elapsed_ms >= limits.wall_clock_ms {
        Some(Budget::WallClock)
    } else if steps >= limits.steps {
        Some(Budget::Steps)
    } else {
        None
    }
}

/// What is left after `steps` steps and `elapsed_ms`.
pub(super) fn left(limits: &ResolvedLimits, steps: u32, elapsed_ms: u64) -> BudgetLeft {
    let wall_clock_ms = limits.wall_clock_ms.saturating_sub(elapsed_ms);
    BudgetLeft {
        steps: limits.steps.saturating_sub(steps),
        wall_clock_seconds: seconds(wall_clock_ms),
        action_timeout_seconds: seconds(limits.action_timeout_ms.min(wall_clock_ms)),
    }
}

/// Milliseconds as seconds.
pub(super) fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

/// How long a program may run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TimeLimit {
    /// In milliseconds.
    pub ms: u64,
    /// The episode's wall clock ends before the action's own limit does.
    pub by_wall_clock: bool,
}

impl TimeLimit {
    /// The lesser of the action's own limit and the wall clock that is left.
    pub(super) fn new(own_ms: u64, limits: &ResolvedLimits, elapsed_ms: u64) -> Self {
        let left = limits.wall_clock_ms.saturating_sub(elapsed_ms);
        Self {
            ms: own_ms.min(left),
            by_wall_clock: left < own_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ResolvedLimits = ResolvedLimits {
        steps: 3,
        wall_clock_ms: 10_000,
        action_timeout_ms: 4_000,
        validation_timeout_ms: 1_000,
    };

    fn at(monotonic_ms: u64) -> Now {
        Now {
            at: jiff::Timestamp::UNIX_EPOCH,
            monotonic_ms,
        }
    }

    #[test]
    fn the_clock_stands_still_until_it_is_started() {
        let mut clock = Clock::default();
        assert_eq!(clock.elapsed_ms(at(5_000)), 0);
        assert_eq!(clock.when(10_000), None);
        clock.start(at(5_000));
        assert_eq!(clock.elapsed_ms(at(5_250)), 250);
        assert_eq!(clock.when(10_000), Some(15_000));
    }

    #[test]
    fn a_restarted_clock_counts_on_from_the_last_journaled_step() {
        let mut clock = Clock::default();
        clock.restore(700);
        clock.restore(300);
        clock.start(at(1_000_000));
        clock.start(at(2_000_000));
        clock.restore(9_000);
        assert_eq!(clock.elapsed_ms(at(1_000_050)), 750);
        assert_eq!(clock.when(10_000), Some(1_009_300));
    }

    #[test]
    fn a_clock_that_is_read_before_its_start_does_not_go_back() {
        let mut clock = Clock::default();
        clock.start(at(5_000));
        assert_eq!(clock.elapsed_ms(at(4_000)), 0);
    }

    #[test]
    fn the_wall_clock_is_named_when_both_budgets_are_spent() {
        assert_eq!(spent(&LIMITS, 2, 9_999), None);
        assert_eq!(spent(&LIMITS, 3, 9_999), Some(Budget::Steps));
        assert_eq!(spent(&LIMITS, 2, 10_000), Some(Budget::WallClock));
        assert_eq!(spent(&LIMITS, 3, 10_000), Some(Budget::WallClock));
    }

    #[test]
    fn what_is_left_never_goes_below_zero() {
        let left = left(&LIMITS, 5, 20_000);
        assert_eq!((left.steps, left.wall_clock_seconds), (0, 0.0));
        assert_eq!(left.action_timeout_seconds, 0.0);
    }

    #[test]
    fn a_program_gets_the_lesser_of_its_own_limit_and_the_wall_clock_left() {
        let early = TimeLimit::new(LIMITS.action_timeout_ms, &LIMITS, 0);
        assert_eq!((early.ms, early.by_wall_clock), (4_000, false));
        let late = TimeLimit::new(LIMITS.action_timeout_ms, &LIMITS, 9_000);
        assert_eq!((late.ms, late.by_wall_clock), (1_000, true));
        let equal = TimeLimit::new(LIMITS.action_timeout_ms, &LIMITS, 6_000);
        assert_eq!((equal.ms, equal.by_wall_clock), (4_000, false));
    }
}
