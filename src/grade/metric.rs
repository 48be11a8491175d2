//! The metrics over aligned rows, each as scikit-learn (SciPy for the correlations) defines it.
//!
//! | metric | several target columns |
//! |---|---|
//! | accuracy | a row counts where all its labels are right (subset accuracy) |
//! | ROC AUC | mean over the columns, each one class against the rest (`average="macro"`) |
//! | log loss | one column per class; each row is divided by its sum |
//! | RMSE, MAE | mean of the columns' errors (`multioutput="uniform_average"`) |
//! | Pearson, Spearman | one column only |
//!
//! Two differences, where the reference would reward or lose something. Rows of probabilities that do not add up to 1
//! are divided by their sum before log loss: scikit-learn warns and takes them as they are, so that a row of ones would
//! be perfect. RMSE is right where squares leave the range of 64-bit numbers; the reference gives infinity or zero.

use super::GradeError;
use super::answers::Truth;
use super::rank::{ranks, roc_auc};
use super::value::shown;
use crate::api::evaluation::BuiltinMetric;

/// The score on `rows` (all rows where it is unset); finite. `names` are the target columns, for messages.
pub(super) fn score(
    metric: BuiltinMetric,
    truth: &Truth,
    predictions: &[Vec<f64>],
    rows: Option<&[u32]>,
    names: &[String],
) -> Result<f64, GradeError> {
    let score = match truth {
        Truth::Classes(classes) => {
            let columns: Vec<_> = predictions.iter().map(|column| pick(column, rows)).collect();
            log_loss_of_classes(&pick(classes, rows), &columns)
        }
        Truth::Flags(truth) => {
            let metric = match metric {
                BuiltinMetric::LogLoss => log_loss,
                _ => roc_auc,
            };
            mean_of(truth, predictions, rows, metric)
        }
        Truth::Numbers(truth) => match metric {
            BuiltinMetric::Accuracy => accuracy(truth, predictions, rows),
            BuiltinMetric::Rmse => mean_of(truth, predictions, rows, rmse),
            BuiltinMetric::Mae => mean_of(truth, predictions, rows, mae),
            _ => {
                refuse_constants(metric, predictions, rows, names)?;
                mean_of(truth, predictions, rows, |truth, column| match metric {
                    BuiltinMetric::Spearman => pearson(&ranks(truth), &ranks(column)),
                    _ => pearson(truth, column),
                })
            }
        },
    };
    if score.is_finite() {
        Ok(score)
    } else {
        Err(GradeError::Invalid(format!(
            "{metric:?} has no finite value for these predictions: some are too far from any answer for a 64-bit number"
        )))
    }
}

/// The values of `rows`.
fn pick<'a, T: Copy>(values: &'a [T], rows: Option<&[u32]>) -> std::borrow::Cow<'a, [T]> {
    match rows {
        None => values.into(),
        Some(rows) => rows
            .iter()
            .filter_map(|row| values.get(*row as usize).copied())
            .collect::<Vec<_>>()
            .into(),
    }
}

fn mean_of<T: Copy>(
    truth: &[Vec<T>],
    columns: &[Vec<f64>],
    rows: Option<&[u32]>,
    metric: impl Fn(&[T], &[f64]) -> f64,
) -> f64 {
    let scores = truth
        .iter()
        .zip(columns)
        .map(|(truth, column)| metric(&pick(truth, rows), &pick(column, rows)));
    mean(scores, columns.len())
}

/// A correlation with predictions that are all equal is not a number, and NaN must never be a score.
fn refuse_constants(
    metric: BuiltinMetric,
    columns: &[Vec<f64>],
    rows: Option<&[u32]>,
    names: &[String],
) -> Result<(), GradeError> {
    for (column, name) in columns.iter().zip(names) {
        let picked = pick(column, rows);
        if picked.windows(2).all(|pair| pair.first() == pair.last()) {
            return Err(GradeError::Invalid(format!(
                "column {}: all predictions are equal, and {metric:?} is not defined for a constant: predict values \
                 that differ between rows",
                shown(name)
            )));
        }
    }
    Ok(())
}

/// A sum whose error does not grow with the number of terms (Neumaier).
fn sum(terms: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0_f64, 0.0_f64);
    for term in terms {
        let next = sum + term;
        lost += if sum.abs() >= term.abs() {
            (sum - next) + term
        } else {
            (term - next) + sum
        };
        sum = next;
    }
    if sum.is_finite() { sum + lost } else { sum }
}

fn mean(terms: impl Iterator<Item = f64>, count: usize) -> f64 {
    sum(terms) / count as f64
}

/// Share of the rows whose columns are all equal.
fn accuracy(truth: &[Vec<f64>], predictions: &[Vec<f64>], rows: Option<&[u32]>) -> f64 {
    let mut right = Vec::new();
    for (truth, column) in truth.iter().zip(predictions) {
        let (truth, column) = (pick(truth, rows), pick(column, rows));
        right.resize(truth.len(), true);
        for (right, (label, predicted)) in right.iter_mut().zip(truth.iter().zip(column.iter())) {
            *right &= label == predicted;
        }
    }
    right.iter().filter(|right| **right).count() as f64 / right.len() as f64
}

fn greatest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |greatest, value| value.abs().max(greatest))
}

fn errors<'a>(truth: &'a [f64], predictions: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
    truth
        .iter()
        .zip(predictions)
        .map(|(truth, prediction)| truth - prediction)
}

fn rmse(truth: &[f64], predictions: &[f64]) -> f64 {
    let squares = mean(errors(truth, predictions).map(|error| error * error), truth.len());
    if (1e-280..1e300).contains(&squares) {
        return squares.sqrt();
    }
    // Squares have left the range, or nearly: measured in units of the greatest error they cannot.
    let unit = greatest(errors(truth, predictions));
    if unit == 0.0 || unit.is_infinite() {
        return unit;
    }
    let squares = errors(truth, predictions).map(|error| (error / unit).powi(2));
    unit * mean(squares, truth.len()).sqrt()
}

fn mae(truth: &[f64], predictions: &[f64]) -> f64 {
    let plain = mean(errors(truth, predictions).map(f64::abs), truth.len());
    if plain.is_finite() {
        return plain;
    }
    // The sum is beyond the range; the mean may not be.
    let count = truth.len() as f64;
    sum(errors(truth, predictions).map(|error| error.abs() / count))
}

/// Loss of a probability that was given to what is true; 0 and 1 are moved by the precision of 64-bit numbers.
fn loss(probability: f64) -> f64 {
    -probability.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
}

fn log_loss(truth: &[bool], predictions: &[f64]) -> f64 {
    let losses = truth
        .iter()
        .zip(predictions)
        .map(|(flag, probability)| loss(if *flag { *probability } else { 1.0 - probability }));
    mean(losses, truth.len())
}

fn log_loss_of_classes(truth: &[u32], columns: &[std::borrow::Cow<'_, [f64]>]) -> f64 {
    let losses = truth.iter().enumerate().map(|(row, class)| {
        let at = |column: &std::borrow::Cow<'_, [f64]>| column.get(row).copied().unwrap_or(f64::NAN);
        let sum: f64 = columns.iter().map(at).sum();
        let probability = columns.get(*class as usize).map_or(f64::NAN, at);
        loss(probability / sum)
    });
    mean(losses, truth.len())
}

fn pearson(x: &[f64], y: &[f64]) -> f64 {
    let (x, y) = (unit_deviations(x), unit_deviations(y));
    sum(x.iter().zip(&y).map(|(x, y)| x * y)).clamp(-1.0, 1.0)
}

/// Deviations from the mean, of length 1 as a vector. NaN where there are none.
fn unit_deviations(values: &[f64]) -> Vec<f64> {
    // A power of two changes no digit, and keeps sums and squares within the range.
    let scale = match greatest(values.iter().copied()) {
        greatest if greatest > 1e250 => 2.0_f64.powi(-900),
        greatest if greatest < 1e-250 => 2.0_f64.powi(900),
        _ => 1.0,
    };
    let centre = mean(values.iter().map(|value| value * scale), values.len());
    let deviations = values.iter().map(|value| value * scale - centre);
    let unit = greatest(deviations.clone());
    let length = unit * sum(deviations.clone().map(|value| (value / unit).powi(2))).sqrt();
    deviations.map(|value| value / length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_beyond_the_range_still_have_a_root() {
        assert_eq!(rmse(&[1e300, -1e300], &[0.0, 0.0]), 1e300);
        assert_eq!(rmse(&[3e-300, -3e-300], &[0.0, 0.0]), 3e-300);
        assert_eq!(rmse(&[1.0, 2.0], &[1.0, 2.0]), 0.0);
        assert_eq!(rmse(&[f64::MAX], &[-f64::MAX]), f64::INFINITY);
        assert_eq!(mae(&[f64::MAX, f64::MAX], &[0.0, 0.0]), f64::MAX);
    }

    #[test]
    fn certainty_costs_as_much_as_the_precision_of_a_number() {
        assert_eq!(log_loss(&[true, false], &[1.0, 0.0]), -(1.0 - f64::EPSILON).ln());
        assert_eq!(log_loss(&[true, false], &[0.0, 1.0]), -f64::EPSILON.ln());
    }

    #[test]
    fn a_row_of_ones_is_no_better_than_chance() {
        let columns = [vec![1.0, 1.0].into(), vec![1.0, 1.0].into()];
        assert_eq!(log_loss_of_classes(&[0, 1], &columns), 2.0_f64.ln());
    }

    #[test]
    fn correlation_holds_at_the_ends_of_the_range() {
        for scale in [1.0, 1e-320, 1e-300, 1e300, 1e305] {
            let x: Vec<f64> = [1.0, 2.0, 3.0, 100.0].iter().map(|v| v * scale).collect();
            let y: Vec<f64> = x.iter().map(|v| -v).collect();
            assert!((pearson(&x, &x) - 1.0).abs() < 1e-12, "{scale}");
            assert!((pearson(&x, &y) + 1.0).abs() < 1e-12, "{scale}");
        }
        assert!(pearson(&[f64::MAX, -f64::MAX], &[5e-324, 0.0]) > 1.0 - 1e-12);
    }

    #[test]
    fn a_long_sum_keeps_what_single_terms_lose() {
        assert_eq!(sum([1e16, 1.0, 1.0, -1e16].into_iter()), 2.0);
        assert_eq!(sum([f64::MAX, f64::MAX].into_iter()), f64::INFINITY);
    }
}
