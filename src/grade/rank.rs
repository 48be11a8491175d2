//! Metrics that depend on order: area under the ROC curve, and ranks for Spearman's correlation.

/// An integer that orders as the finite number does; -0 and 0 are one.
fn key(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

/// Area under the ROC curve: the share of pairs of a positive and a negative row in which the positive one has the
/// greater score, ties counted half. Counted in integers, so it is exact up to the last division. NaN without both
/// classes.
pub(super) fn roc_auc(truth: &[bool], scores: &[f64]) -> f64 {
    let (mut positive, mut negative) = (Vec::new(), Vec::new());
    for (flag, score) in truth.iter().zip(scores) {
        if *flag { &mut positive } else { &mut negative }.push(key(*score));
    }
    positive.sort_unstable();
    negative.sort_unstable();
    // Both are walked once: `below` negatives are less than the positive at hand, `upto` are not greater.
    let (mut below, mut upto) = (0, 0);
    let mut halves: u128 = 0;
    for score in &positive {
        while negative.get(below).is_some_and(|other| other < score) {
            below += 1;
        }
        upto = upto.max(below);
        while negative.get(upto).is_some_and(|other| other == score) {
            upto += 1;
        }
        halves += (below + upto) as u128;
    }
    halves as f64 / (2.0 * positive.len() as f64 * negative.len() as f64)
}

/// Ranks from 1; equal values share the mean of their ranks.
pub(super) fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<(u64, usize)> = values
        .iter()
        .enumerate()
        .map(|(row, value)| (key(*value), row))
        .collect();
    order.sort_unstable();
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for tied in order.chunk_by(|a, b| a.0 == b.0) {
        let mean = start as f64 + (tied.len() as f64 + 1.0) / 2.0;
        for (_, row) in tied {
            if let Some(rank) = ranks.get_mut(*row) {
                *rank = mean;
            }
        }
        start += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_as_numbers_do() {
        let values = [-f64::MAX, -1.0, -5e-324, 0.0, 5e-324, 1e-300, 1.0, f64::MAX];
        assert!(values.windows(2).all(|pair| key(pair[0]) < key(pair[1])));
        assert_eq!(key(-0.0), key(0.0));
    }

    #[test]
    fn area_counts_pairs_and_ties_half() {
        let truth = [false, false, true, true];
        assert_eq!(roc_auc(&truth, &[0.1, 0.4, 0.35, 0.8]), 0.75);
        assert_eq!(roc_auc(&truth, &[0.5; 4]), 0.5);
        assert_eq!(roc_auc(&truth, &[0.9, 0.8, 0.2, 0.1]), 0.0);
        assert_eq!(roc_auc(&truth, &[0.0, 1.0, 1.0, 1.0]), 0.75);
        assert!(roc_auc(&[true, true], &[0.1, 0.2]).is_nan());
    }

    #[test]
    fn tied_values_share_their_mean_rank() {
        assert_eq!(
            ranks(&[3.0, 1.0, -0.0, 3.0, 0.0, 3.0]),
            [5.0, 3.0, 1.5, 5.0, 1.5, 5.0]
        );
    }
}
