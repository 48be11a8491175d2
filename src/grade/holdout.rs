//! Which rows are hidden: a choice that depends on the Task's seed and on the ids (the order where there are none), and
//! on nothing else, so that every episode on every machine hides the same rows.

use sha2::{Digest, Sha256};

use super::answers::Answers;
use crate::api::evaluation::HoldoutSpec;

/// Rows of the answers by side, each ascending.
#[derive(Clone)]
pub(super) struct Split {
    /// Rows that are reported during the episode.
    pub(super) visible: Vec<u32>,
    /// Rows that are kept back.
    pub(super) hidden: Vec<u32>,
}

/// Draws the hidden rows: as many as `percent` says, rounded, but at least one row on each side. Rows are ordered by a
/// SHA-256 over seed and id, and the first ones are hidden.
pub(super) fn split(spec: &HoldoutSpec, answers: &Answers) -> Result<Split, String> {
    if answers.rows < 2 {
        return Err("a hold-out needs two rows or more".into());
    }
    let mut order: Vec<([u8; 32], u32)> = (0..answers.rows)
        .zip(0..)
        .map(|(at, row)| (key(spec.seed, answers, at), row))
        .collect();
    let count = hidden_count(answers.rows, spec.percent);
    order.select_nth_unstable(count);
    let mut hidden: Vec<u32> = order.drain(..count).map(|(_, row)| row).collect();
    let mut visible: Vec<u32> = order.into_iter().map(|(_, row)| row).collect();
    hidden.sort_unstable();
    visible.sort_unstable();
    Ok(Split { visible, hidden })
}

fn hidden_count(rows: usize, percent: i32) -> usize {
    let percent = usize::try_from(percent).unwrap_or(0).min(100);
    (rows.saturating_mul(percent).saturating_add(50) / 100).clamp(1, rows - 1)
}

fn key(seed: i64, answers: &Answers, row: usize) -> [u8; 32] {
    let hash = Sha256::new().chain_update(b"mledojo.dev/holdout\0");
    let hash = hash.chain_update(seed.to_be_bytes());
    match &answers.ids {
        Some((_, ids)) => hash.chain_update(b"id\0").chain_update(ids.text(row).as_bytes()),
        None => hash
            .chain_update(b"row\0")
            .chain_update((row as u64).to_be_bytes()),
    }
    .finalize()
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_rounded_and_leaves_a_row_on_each_side() {
        for (rows, percent, hidden) in [
            (100, 30, 30),
            (10, 25, 3),
            (10, 24, 2),
            (2, 1, 1),
            (2, 99, 1),
            (200, 99, 198),
            (3, 50, 2),
        ] {
            assert_eq!(hidden_count(rows, percent), hidden, "{rows} rows, {percent} %");
        }
    }
}
