//! When an authority gives way to the next.
//!
//! ```text
//!   days left of the current one's 365:    365 ........ 60 .............. 30 ........ 0
//!   what pods are given                     current     current + next    next (now current) + the one before
//! ```
//!
//! A pod trusts what there was at its start. So the next authority is known for a month before anything is signed by it,
//! and the one before stays known until it ends, for replicas that have not looked yet.

/// Days for which an authority holds.
pub(super) const AUTHORITY_DAYS: i64 = 365;
/// Days for which the server's own certificate holds.
pub(super) const SERVER_DAYS: i64 = 30;

const DAY: i64 = 24 * 60 * 60;
/// The next authority is made when the current one has fewer days left.
const MAKE_NEXT: i64 = 60 * DAY;
/// The next authority becomes the current one when the latter has fewer days left.
const PROMOTE: i64 = 30 * DAY;
/// The next authority is known for this time before it signs, unless the current one ends.
const KNOWN: i64 = 29 * DAY;
/// The server's certificate is made anew when it has fewer days left.
const RENEW: i64 = 10 * DAY;

/// What to do about the authorities.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Nothing.
    Keep,
    /// Make the next one.
    MakeNext,
    /// The next one becomes the current one.
    Promote,
    /// There is none that holds: begin anew.
    Begin,
}

/// Decides by the seconds (UNIX time) at which the authorities end.
pub(super) fn step(current_end: Option<i64>, next_end: Option<i64>, now: i64) -> Step {
    let left = current_end.map_or(i64::MIN, |end| end - now);
    match next_end.filter(|end| *end > now) {
        Some(end) => {
            let known = AUTHORITY_DAYS * DAY - (end - now);
            if left <= DAY || (left <= PROMOTE && known >= KNOWN) {
                Step::Promote
            } else {
                Step::Keep
            }
        }
        None if left <= DAY => Step::Begin,
        None if left < MAKE_NEXT => Step::MakeNext,
        None => Step::Keep,
    }
}

/// Whether the server's certificate is to be made anew.
pub(super) fn renew(end: i64, now: i64) -> bool {
    end - now < RENEW
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn at(current: i64, next: Option<i64>) -> Step {
        step(Some(NOW + current * DAY), next.map(|days| NOW + days * DAY), NOW)
    }

    #[test]
    fn the_next_authority_is_made_two_months_before_the_end_and_signs_one_month_before() {
        assert_eq!(at(365, None), Step::Keep);
        assert_eq!(at(60, None), Step::Keep);
        assert_eq!(at(59, None), Step::MakeNext);
        assert_eq!(at(59, Some(365)), Step::Keep);
        assert_eq!(at(31, Some(337)), Step::Keep);
        assert_eq!(at(30, Some(336)), Step::Promote);
        assert_eq!(at(-5, Some(300)), Step::Promote);
    }

    #[test]
    fn after_a_long_sleep_whatever_still_holds_is_used() {
        assert_eq!(at(20, None), Step::MakeNext);
        assert_eq!(at(19, Some(364)), Step::Keep);
        assert_eq!(at(1, Some(346)), Step::Promote);
        assert_eq!(at(1, None), Step::Begin);
        assert_eq!(at(-5, None), Step::Begin);
        assert_eq!(at(-5, Some(-1)), Step::Begin);
        assert_eq!(step(None, None, NOW), Step::Begin);
    }

    #[test]
    fn the_server_certificate_is_renewed_ten_days_before_its_end() {
        assert!(!renew(NOW + 10 * DAY, NOW));
        assert!(renew(NOW + 10 * DAY - 1, NOW));
    }
}
