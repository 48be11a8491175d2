//! Numbers as tables show them.

use crate::api::status::RewardBasis;

/// Five significant digits, with an exponent below 0.0001 and from a million on: `0.99123`, `12.346`, `1.2346e-7`.
pub(super) fn score(score: f64) -> String {
    if score == 0.0 {
        return "0.0000".into();
    }
    // Rounded first: 9.99999 has one digit more before its point than it seems to.
    let scientific = format!("{score:.4e}");
    let exponent: i32 = scientific
        .split_once('e')
        .and_then(|(_, exponent)| exponent.parse().ok())
        .unwrap_or_default();
    match usize::try_from(4 - exponent) {
        Ok(decimals) if exponent >= -4 => format!("{score:.decimals$}"),
        _ if (5..6).contains(&exponent) => format!("{score:.0}"),
        _ => scientific,
    }
}

/// HumanRank with four decimals; a raw score as [`score`] shows it.
pub(super) fn reward(reward: f64, basis: RewardBasis) -> String {
    match basis {
        RewardBasis::HumanRank | RewardBasis::HumanRankHoldout => format!("{reward:.4}"),
        RewardBasis::Score | RewardBasis::ScoreHoldout => score(reward),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_have_five_significant_digits() {
        for (number, text) in [
            (0.991_234_56, "0.99123"),
            (0.0, "0.0000"),
            (-0.0, "0.0000"),
            (1.0, "1.0000"),
            (9.999_996, "10.000"),
            (12.345_678, "12.346"),
            (-0.012_345_67, "-0.012346"),
            (12_345.678, "12346"),
            (123_456.78, "123457"),
            (1_234_567.8, "1.2346e6"),
            (0.000_123_456, "0.00012346"),
            (0.000_000_123_456, "1.2346e-7"),
            (f64::MAX, "1.7977e308"),
        ] {
            assert_eq!(score(number), text);
        }
    }

    #[test]
    fn rewards_have_four_decimals_unless_they_are_scores() {
        assert_eq!(reward(0.876_543, RewardBasis::HumanRankHoldout), "0.8765");
        assert_eq!(reward(1.0, RewardBasis::HumanRank), "1.0000");
        assert_eq!(reward(12_345.678, RewardBasis::Score), "12346");
    }
}
