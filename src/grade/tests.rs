//! Grading as a whole: the golden cases of scikit-learn and SciPy, every way to be invalid, places and medals.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Boards, GradeError, Grader};
use crate::api::conditions::Medal;
use crate::api::evaluation::EvaluationSpec;
use crate::api::standing::Grade;

fn spec(metric: &str, more: Value) -> EvaluationSpec {
    let mut spec = json!({"metric": {"builtin": metric}, "submission": {"idColumn": "id"}});
    if let Value::Object(more) = more {
        spec.as_object_mut().unwrap().extend(more);
    }
    serde_json::from_value(spec).unwrap()
}

fn without_ids() -> Value {
    json!({"submission": {}})
}

fn no_boards(spec: &EvaluationSpec) -> Boards {
    Boards::read(spec, &[]).unwrap()
}

fn grader(spec: &EvaluationSpec, answers: &str) -> Result<Grader, GradeError> {
    Grader::new(spec, answers.as_bytes(), no_boards(spec))
}

fn grade(metric: &str, more: Value, answers: &str, submission: &str) -> Result<Grade, GradeError> {
    grader(&spec(metric, more), answers)
        .unwrap()
        .grade(submission.as_bytes())
}

fn score(metric: &str, answers: &str, submission: &str) -> f64 {
    grade(metric, json!({}), answers, submission)
        .unwrap()
        .visible
        .score
}

fn refusal(metric: &str, more: Value, answers: &str, submission: &[u8]) -> String {
    let spec = spec(metric, more);
    match grader(&spec, answers).unwrap().grade(submission) {
        Err(GradeError::Invalid(message)) => message,
        other => panic!("{other:?}"),
    }
}

fn task_error(result: Result<Grader, GradeError>) -> String {
    match result {
        Err(GradeError::Task(message)) => message,
        other => panic!("{other:?}"),
    }
}

// --- metrics -----------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct Golden {
    name: String,
    metric: String,
    ids: bool,
    answers: String,
    submission: String,
    score: f64,
}

#[test]
fn every_golden_score_is_met_within_1e_9() {
    let golden: Vec<Golden> =
        serde_json::from_str(include_str!("../../tests/data/grade/golden.json")).unwrap();
    assert!(golden.len() > 200);
    for case in golden {
        let more = if case.ids { json!({}) } else { without_ids() };
        let grade = grade(&case.metric, more, &case.answers, &case.submission)
            .unwrap_or_else(|error| panic!("{} ({}): {error}", case.name, case.metric));
        let (found, expected) = (grade.visible.score, case.score);
        assert!(
            (found - expected).abs() <= 1e-9 * found.abs().max(expected.abs()),
            "{} ({}): {found} and not {expected}",
            case.name,
            case.metric
        );
    }
}

#[test]
fn labels_that_are_numbers_are_equal_by_value() {
    let answers = "id,y\na,1\nb,2\nc,0\nd,-3\n";
    assert_eq!(
        score("Accuracy", answers, "id,y\na,1.0\nb,2e0\nc,-0\nd, -3\n"),
        1.0
    );
    assert_eq!(
        score("Accuracy", answers, "id,y\na,True\nb,true\nc,FALSE\nd,-3.5\n"),
        0.5
    );
}

#[test]
fn labels_that_are_truth_values_are_equal_in_any_notation() {
    let answers = "id,y\na,True\nb,False\nc,true\nd,FALSE\n";
    assert_eq!(
        score("Accuracy", answers, "id,y\na,true\nb,0\nc,1.0\nd,False\n"),
        1.0
    );
    let message = refusal("Accuracy", json!({}), answers, b"id,y\na,yes\nb,0\nc,2\nd,0\n");
    assert!(
        message.contains("`yes`, which is neither true nor false; 1 cell more like it"),
        "{message}"
    );
}

#[test]
fn labels_that_are_texts_are_equal_by_character() {
    let answers = "id,y\na,1\nb,01\nc,cat\nd,Cat\n";
    assert_eq!(
        score("Accuracy", answers, "id,y\na,1.0\nb,01\nc,cat\nd,cat\n"),
        0.5
    );
}

#[test]
fn labels_beyond_exact_numbers_are_texts() {
    let answers = "id,y\na,9007199254740993\nb,1\n";
    assert_eq!(score("Accuracy", answers, "id,y\na,9007199254740992\nb,1\n"), 0.5);
}

#[test]
fn a_row_of_several_labels_is_right_when_all_are() {
    let answers = "id,x,y\na,1,cat\nb,2,dog\n";
    assert_eq!(score("Accuracy", answers, "y,id,x\ncat,a,1\ncat,b,2\n"), 0.5);
}

#[test]
fn the_greater_of_two_classes_is_the_positive_one() {
    for (low, high) in [
        ("0", "1"),
        ("-1", "1"),
        ("9", "10"),
        ("False", "True"),
        ("ham", "spam"),
        ("1", "2"),
    ] {
        let answers = format!("id,y\na,{high}\nb,{low}\nc,{low}\n");
        assert_eq!(
            score("RocAuc", &answers, "id,y\na,0.9\nb,0.1\nc,0.2\n"),
            1.0,
            "{low} {high}"
        );
        assert!(
            score("LogLoss", &answers, "id,y\na,1\nb,0\nc,0\n") < 1e-12,
            "{low} {high}"
        );
    }
}

#[test]
fn class_probabilities_are_divided_by_their_sum() {
    let answers = "id,a,b\nx,1,0\ny,0,1\n";
    let score = score("LogLoss", answers, "id,a,b\nx,0.5,0\ny,0.9,0.3\n");
    assert!((score - 4.0_f64.ln() / 2.0).abs() < 1e-12);
    let message = refusal("LogLoss", json!({}), answers, b"id,a,b\nx,0.5,0\ny,0,0\n");
    assert_eq!(
        message,
        "row 2 (id `y`): all probabilities are 0: one class at least must be possible"
    );
}

#[test]
fn the_order_of_rows_and_columns_does_not_change_a_score() {
    let mut random = Random(7);
    let ids: Vec<usize> = (0..200).collect();
    let truth: Vec<f64> = ids.iter().map(|_| random.unit()).collect();
    let guess: Vec<f64> = truth.iter().map(|value| value + random.unit()).collect();
    let csv = |order: &[usize], values: &[f64]| {
        let rows = order.iter().map(|row| format!("{},k{row}\n", values[*row]));
        format!("y,id\n{}", rows.collect::<String>())
    };
    for metric in ["Rmse", "Mae", "Pearson", "Spearman"] {
        let grader = grader(&spec(metric, json!({})), &csv(&ids, &truth)).unwrap();
        let first = grader.grade(csv(&ids, &guess).as_bytes()).unwrap();
        for _ in 0..5 {
            let mut order = ids.clone();
            for at in (1..order.len()).rev() {
                order.swap(at, random.below(at + 1));
            }
            assert_eq!(
                grader.grade(csv(&order, &guess).as_bytes()).unwrap(),
                first,
                "{metric}"
            );
        }
    }
}

// --- submissions that are not valid ------------------------------------------------------------------------------

const ANSWERS: &str = "id,y\na,0.25\nb,0.5\nc,0.75\n";

#[test]
fn each_bad_submission_is_told_what_is_wrong_and_where() {
    for (submission, expected) in [
        (
            "",
            "the file is empty: a header line with the column names is needed",
        ),
        (
            "id,y\n",
            "column `id`: 3 ids missing: `a`, `b`, `c`; the file has 0 rows where 3 are needed, one for each id of the test set",
        ),
        (
            "id,x\na,1\n",
            "1 column missing: `y`; 1 column too many: `x`; the header must have exactly `id`, `y`, in any order",
        ),
        (
            "y\n1\n",
            "1 column missing: `id`; the header must have exactly `id`, `y`, in any order",
        ),
        (
            "id,y,y\na,1,1\n",
            "the header repeats `y`; the header must have exactly `id`, `y`, in any order",
        ),
        (
            ",id,y\n0,a,1\n",
            "1 column too many: ``; the header must have exactly `id`, `y`, in any order; the column without a name looks \
             like a row index: write the file without it (pandas: index=False)",
        ),
        (
            "id;y\na;1\n",
            "2 columns missing: `id`, `y`; 1 column too many: `id;y`; the header must have exactly `id`, `y`, in any \
             order; columns must be separated by commas",
        ),
        (
            "id,y\na,1\nb,2\n",
            "column `id`: 1 id missing: `c`; the file has 2 rows where 3 are needed, one for each id of the test set",
        ),
        (
            "id,y\na,1\nb,2\nc,3\nd,4\n",
            "column `id`: 1 id not in the test set: `d`; the file has 4 rows where 3 are needed, one for each id of the test set",
        ),
        (
            "id,y\na,1\nb,2\nb,9\nc,3\n",
            "column `id`: 1 id repeated: `b`; the file has 4 rows where 3 are needed, one for each id of the test set",
        ),
        (
            "id,y\na,1\nb,\nc,3\n",
            "column `y`: line 3 (id `b`) is blank: every row needs a value",
        ),
        (
            "id,y\nc,1\nb,nan\na,NaN\n",
            "column `y`: line 3 (id `b`) has `nan`: every row needs a finite number; 1 cell more like it",
        ),
        (
            "id,y\na,1\nb,-inf\nc,3\n",
            "column `y`: line 3 (id `b`) has `-inf`, which is not finite",
        ),
        (
            "id,y\na,1e999\nb,2\nc,3\n",
            "column `y`: line 2 (id `a`) has `1e999`, which is not finite",
        ),
        (
            "id,y\na,1\nb,high\nc,3\n",
            "column `y`: line 3 (id `b`) has `high`, which is not a number",
        ),
        (
            "id,y\na,1\nb,2,2\nc,3\n",
            "line 3 has 3 fields where the header has 2",
        ),
        (
            "id,y\na,1\n\nb,2\nc,3\n",
            "line 3 is blank: every line must be a row",
        ),
        (
            "id,y\na,1\nb,\"2\nc,3\n",
            "a quote that is opened in line 3 is never closed",
        ),
    ] {
        assert_eq!(
            refusal("Rmse", json!({}), ANSWERS, submission.as_bytes()),
            expected
        );
    }
}

#[test]
fn every_fault_is_named_at_once() {
    let message = refusal(
        "Rmse",
        json!({}),
        "id,x,y\na,1,1\nb,2,2\nc,3,3\n",
        b"id,x,y\na,1,\nd,1,1\nb,u,v\nb,1,1\n",
    );
    assert_eq!(
        message,
        "column `y`: line 2 (id `a`) is blank: every row needs a value; 1 cell more like it; \
         column `x`: line 4 (id `b`) has `u`, which is not a number; \
         column `id`: 1 id not in the test set: `d`; column `id`: 1 id repeated: `b`; \
         column `id`: 1 id missing: `c`; the file has 4 rows where 3 are needed, one for each id of the test set"
    );
}

#[test]
fn without_ids_the_number_of_rows_must_fit() {
    let answers = "y\n1\n2\n3\n";
    for (submission, has) in [
        ("y\n", "0 rows"),
        ("y\n1\n2\n", "2 rows"),
        ("y\n1\n2\n3\n4\n", "4 rows"),
        ("y\n1\n", "1 row"),
    ] {
        assert_eq!(
            refusal("Rmse", without_ids(), answers, submission.as_bytes()),
            format!("the file has {has} where 3 are needed, in the order of the test set")
        );
    }
    let exact = grade("Rmse", without_ids(), answers, "y\n1\n2\n3\n").unwrap();
    assert_eq!(exact.visible.score, 0.0);
}

#[test]
fn endless_rows_are_counted_and_not_kept() {
    let rows = 200_000;
    let text = format!("y\n{}", "1\n".repeat(rows));
    let message = refusal("Rmse", without_ids(), "y\n1\n2\n", text.as_bytes());
    assert_eq!(
        message,
        "the file has 200000 rows where 2 are needed, in the order of the test set"
    );
    let text = format!("id,y\n{}", "z,1\n".repeat(rows));
    let message = refusal("Rmse", json!({}), "id,y\na,1\nb,2\n", text.as_bytes());
    assert!(
        message.starts_with("column `id`: 1002 ids not in the test set: `z`"),
        "{message}"
    );
    assert!(
        message.contains("the file has 200000 rows where 2 are needed"),
        "{message}"
    );
}

#[test]
fn bytes_that_are_not_utf_8_are_named_by_their_place() {
    assert_eq!(
        refusal("Rmse", json!({}), ANSWERS, b"id,y\na,1\nb,\xFF\nc,3\n"),
        "byte 12 (in line 3) is not UTF-8: the file must be UTF-8 text"
    );
}

#[test]
fn a_submission_beyond_its_size_is_refused_unread() {
    let more = json!({"submission": {"idColumn": "id", "maxBytes": 20}});
    assert!(grade("Rmse", more.clone(), ANSWERS, "id,y\na,1\nb,2\nc,3\n").is_ok());
    assert_eq!(
        refusal("Rmse", more, ANSWERS, b"id,y\na,1\nb,2\nc,3.125\n"),
        "the file has 21 bytes, at most 20 are accepted"
    );
}

#[test]
fn ids_that_became_fractions_are_told_how_to_be_written() {
    let message = refusal("Rmse", json!({}), "id,y\n1,5\n2,6\n", b"id,y\n1.0,5\n2.0,6\n");
    assert!(
        message.contains("ids are compared as text: `1.0` must be written `1`"),
        "{message}"
    );
}

#[test]
fn what_is_no_probability_is_refused() {
    let answers = "id,y\na,0\nb,1\n";
    for (value, what) in [("1.5", "`1.5`"), ("-0.1", "`-0.1`")] {
        let message = refusal(
            "LogLoss",
            json!({}),
            answers,
            format!("id,y\na,0.5\nb,{value}\n").as_bytes(),
        );
        assert_eq!(
            message,
            format!("column `y`: line 3 (id `b`) has {what}, which is not a probability from 0 to 1")
        );
    }
}

#[test]
fn a_constant_has_no_correlation_and_is_told_so() {
    for metric in ["Pearson", "Spearman"] {
        let message = refusal(metric, json!({}), ANSWERS, b"id,y\na,2\nb,2.0\nc,2e0\n");
        assert_eq!(
            message,
            format!(
                "column `y`: all predictions are equal, and {metric} is not defined for a constant: predict values that \
                 differ between rows"
            )
        );
    }
}

#[test]
fn a_score_beyond_the_range_is_refused() {
    let answers = "id,y\na,1e308\nb,-1e308\n";
    let message = refusal("Rmse", json!({}), answers, b"id,y\na,-1e308\nb,1e308\n");
    assert!(message.contains("no finite value"), "{message}");
}

#[test]
fn a_blank_label_is_refused_where_labels_are_texts_too() {
    let message = refusal(
        "Accuracy",
        json!({}),
        "id,y\na,cat\nb,dog\n",
        b"id,y\na,cat\nb,\n",
    );
    assert_eq!(
        message,
        "column `y`: line 3 (id `b`) is blank: every row needs a value"
    );
}

#[test]
fn a_message_shows_little_of_what_it_quotes() {
    let long = "x".repeat(100_000);
    let many: String = (0..1000)
        .map(|i| format!("unknown{i},\u{1b}[2J{long}\n"))
        .take(20)
        .collect();
    for submission in [
        format!("id,y\na,{long}\nb,2\nc,3\n"),
        format!("id,y\n{many}"),
        format!("{long},{long}\n"),
    ] {
        let message = refusal("Rmse", json!({}), ANSWERS, submission.as_bytes());
        assert!(message.len() < 600, "{}", message.len());
        assert!(!message.contains('\u{1b}'));
    }
    let wide: String = (0..500).map(|i| format!(",c{i}")).collect();
    let answers = format!("id{wide}\na{}\n", ",1".repeat(500));
    let message = refusal(
        "Rmse",
        json!({}),
        &answers,
        format!("id{wide}\na{}\n", ",x".repeat(500)).as_bytes(),
    );
    assert!(
        message.len() < 600 && message.contains("497 columns more"),
        "{message}"
    );
}

#[test]
fn no_message_about_a_submission_holds_an_answer() {
    let answers = "id,y\na,31337.5\nb,31338.5\nc,31339.5\n";
    let mut random = Random(11);
    let pieces = [
        "id", "y", ",", "\n", "a", "b", "c", "1", "nan", "\"", "", "\r", "x", "31", "inf", "\u{feff}",
    ];
    for metric in ["Rmse", "Mae", "Pearson", "Spearman", "Accuracy"] {
        let grader = grader(&spec(metric, json!({})), answers).unwrap();
        assert!(!format!("{grader:?}").contains("313"));
        for _ in 0..2000 {
            let text: String = (0..random.below(24))
                .map(|_| pieces[random.below(pieces.len())])
                .collect();
            for submission in [text.clone(), format!("id,y\n{text}")] {
                if let Err(error) = grader.grade(submission.as_bytes()) {
                    let message = error.to_string();
                    assert!(matches!(error, GradeError::Invalid(_)), "{message}");
                    assert!(!message.contains("3133"), "{message}");
                }
            }
        }
    }
}

#[test]
fn no_bytes_make_grading_panic() {
    let mut random = Random(3);
    for metric in ["Accuracy", "RocAuc", "LogLoss", "Rmse", "Pearson", "Spearman"] {
        for ids in [json!({}), without_ids()] {
            let answers = if ids == json!({}) {
                "id,y\n0,0\n1,1\n2,1\n"
            } else {
                "y\n0\n1\n1\n"
            };
            let grader = grader(&spec(metric, ids), answers).unwrap();
            let board = spec("Rmse", json!({"leaderboards": [{"name": "b", "file": "b.csv"}]}));
            for _ in 0..3000 {
                let mut bytes: Vec<u8> = if random.below(2) == 0 {
                    b"id,y\n".to_vec()
                } else {
                    b"y\n".to_vec()
                };
                for _ in 0..random.below(40) {
                    bytes.push(match random.below(3) {
                        0 => random.below(256) as u8,
                        _ => b",\n\r\"0123.e-"[random.below(11)],
                    });
                }
                let _ = grader.grade(&bytes);
                let _ = Grader::new(
                    &spec(metric, json!({})),
                    &bytes,
                    no_boards(&spec(metric, json!({}))),
                );
                let _ = Boards::read(&board, &[("b".into(), bytes)]);
            }
        }
    }
}

// --- tasks that cannot grade -------------------------------------------------------------------------------------

#[test]
fn answers_that_cannot_be_graded_against_are_the_tasks_fault() {
    for (metric, answers, expected) in [
        ("Rmse", "", "the file is empty"),
        ("Rmse", "id,y\n", "there is a header and no row"),
        (
            "Rmse",
            "key,y\na,1\n",
            "there is no column `id`, which submission.idColumn names; there are `key`, `y`",
        ),
        ("Rmse", "id\na\n", "there is no column beside the ids"),
        ("Rmse", "id,y,y\na,1,1\n", "column `y` is there twice"),
        (
            "Rmse",
            "id,y\na,1\na,2\n",
            "row 2, column `id`: the id is repeated",
        ),
        (
            "Rmse",
            "id,y\na,1\n ,2\n",
            "line 3, column `id`: the cell is blank",
        ),
        ("Rmse", "id,y\na,1\nb,\n", "line 3, column `y`: the cell is blank"),
        (
            "Rmse",
            "id,y\na,1\nb,secret\n",
            "row 2, column `y`: Rmse needs a finite number",
        ),
        (
            "Mae",
            "id,y\na,1\nb,nan\n",
            "row 2, column `y`: Mae needs a finite number",
        ),
        (
            "RocAuc",
            "id,y\na,1\nb,1\n",
            "column `y` has one class: RocAuc compares exactly two classes",
        ),
        (
            "RocAuc",
            "id,y\na,x\nb,y\nc,z\n",
            "column `y` has more than two classes",
        ),
        (
            "LogLoss",
            "id,y\na,1\nb,1\n",
            "column `y` has one class: LogLoss compares exactly two classes",
        ),
        (
            "LogLoss",
            "id,x,y\na,1,0\nb,1,1\n",
            "row 2: LogLoss over several columns needs a 1",
        ),
        (
            "LogLoss",
            "id,x,y\na,1,0\nb,0,0\n",
            "row 2: LogLoss over several columns needs a 1",
        ),
        (
            "LogLoss",
            "id,x,y\na,1,0\nb,u,v\n",
            "LogLoss over several columns needs a 1",
        ),
        (
            "Pearson",
            "id,y\na,1\nb,1\n",
            "the target has one value only: Pearson is not defined there",
        ),
        (
            "Spearman",
            "id,x,y\na,1,1\nb,1,2\n",
            "Spearman compares one column, and there are 2: `x`, `y`",
        ),
    ] {
        let message = task_error(grader(&spec(metric, json!({})), answers));
        assert!(
            message.starts_with(&format!("answers `answers.csv`: {expected}")),
            "{message}"
        );
        assert!(!message.contains("secret"));
    }
}

// --- hold-out ----------------------------------------------------------------------------------------------------

fn holdout(percent: i32, seed: i64) -> Value {
    json!({"holdout": {"percent": percent, "seed": seed}})
}

/// The ids that are hidden: a wrong prediction changes the score of one side only.
fn hidden_ids(more: Value, answers: &[String]) -> Vec<String> {
    let csv = |wrong: Option<&String>| {
        let rows = answers
            .iter()
            .map(|id| format!("{id},{}\n", if Some(id) == wrong { 1 } else { 0 }));
        format!("id,y\n{}", rows.collect::<String>())
    };
    let grader = grader(&spec("Mae", more), &csv(None)).unwrap();
    let mut hidden = Vec::new();
    for id in answers {
        let grade = grader.grade(csv(Some(id)).as_bytes()).unwrap();
        let side = grade.hidden.unwrap();
        assert_ne!(grade.visible.score > 0.0, side.score > 0.0);
        if side.score > 0.0 {
            hidden.push(id.clone());
        }
    }
    hidden.sort();
    hidden
}

#[test]
fn the_hidden_rows_follow_from_seed_and_ids_alone() {
    let ids: Vec<String> = (0..10).map(|i| format!("k{i}")).collect();
    let hidden = hidden_ids(holdout(30, 0), &ids);
    // Written down, so that another platform or version that draws other rows is seen.
    assert_eq!(hidden, ["k0", "k3", "k4"]);
    let backwards: Vec<String> = ids.iter().rev().cloned().collect();
    assert_eq!(hidden_ids(holdout(30, 0), &backwards), hidden);
    assert_ne!(hidden_ids(holdout(30, 1), &ids), hidden);
    assert_eq!(hidden_ids(holdout(1, 0), &ids).len(), 1);
    assert_eq!(hidden_ids(holdout(99, 0), &ids).len(), 9);
}

#[test]
fn without_a_hold_out_nothing_is_hidden() {
    assert_eq!(grade("Mae", json!({}), ANSWERS, ANSWERS).unwrap().hidden, None);
}

#[test]
fn a_metric_that_is_undefined_on_one_side_is_the_tasks_fault() {
    for (metric, answers, what) in [
        ("RocAuc", "id,y\na,0\nb,1\nc,1\n", "one class only"),
        ("Pearson", "id,y\na,0\nb,1\nc,2\n", "one value only"),
    ] {
        let message = task_error(grader(&spec(metric, holdout(34, 0)), answers));
        assert!(
            message.contains("rows of the hold-out") && message.contains(what),
            "{message}"
        );
    }
    let message = task_error(grader(&spec("Rmse", holdout(50, 0)), "id,y\na,0\n"));
    assert!(message.contains("two rows or more"), "{message}");
}

// --- boards ------------------------------------------------------------------------------------------------------

fn boards(direction: &str, boards: &[(&str, &[f64])]) -> Boards {
    let named: Vec<Value> = boards
        .iter()
        .map(|(name, _)| json!({"name": name, "file": format!("{name}.csv")}))
        .collect();
    let files: Vec<(String, Vec<u8>)> = boards
        .iter()
        .map(|(name, scores)| {
            let rows = scores
                .iter()
                .enumerate()
                .map(|(at, score)| format!("{},{score}\n", at + 1));
            let csv = format!("rank,score\n{}", rows.collect::<String>());
            ((*name).to_owned(), csv.into_bytes())
        })
        .collect();
    let spec = spec("Rmse", json!({"direction": direction, "leaderboards": named}));
    Boards::read(&spec, &files).unwrap()
}

#[test]
fn human_rank_is_the_mean_share_of_entries_that_are_not_better() {
    let both = boards(
        "Minimize",
        &[
            ("private", &[0.1, 0.2, 0.2, 0.3, 0.5]),
            ("public", &[0.1, 0.2, 0.4, 0.9]),
        ],
    );
    for (score, rank) in [
        (0.05, 1.0),
        (0.1, 1.0),
        (0.15, 0.775),
        (0.2, 0.775),
        (0.25, 0.45),
        (0.5, 0.225),
        (0.6, 0.125),
        (1.0, 0.0),
        (f64::NAN, 0.0),
    ] {
        let found = both.standing(score).human_rank.unwrap();
        assert!((found - rank).abs() < 1e-12, "{score}: {found}");
    }
    let places: Vec<(u64, u64)> = both
        .standing(0.25)
        .places
        .iter()
        .map(|p| (p.place, p.total))
        .collect();
    assert_eq!(places, [(4, 5), (3, 4)]);
    let nowhere = both.standing(f64::NAN);
    assert_eq!((nowhere.places[0].place, nowhere.medal), (6, Some(Medal::None)));
    assert_eq!(nowhere.above_median, Some(false));
}

#[test]
fn ties_take_the_best_place_in_either_direction() {
    let scores = [3.0, 3.0, 2.0, -1.0];
    let up = boards("Maximize", &[("b", &scores)]);
    let down = boards("Minimize", &[("b", &scores)]);
    for (score, place_up, place_down) in [
        (3.0, 1, 3),
        (4.0, 1, 5),
        (2.0, 3, 2),
        (-1.0, 4, 1),
        (-2.0, 5, 1),
        (2.5, 3, 3),
    ] {
        assert_eq!(up.standing(score).places[0].place, place_up, "{score}");
        assert_eq!(down.standing(score).places[0].place, place_down, "{score}");
    }
}

#[test]
fn without_boards_there_is_a_score_and_nothing_else() {
    let standing = boards("Maximize", &[]).standing(0.5);
    assert_eq!(
        (standing.human_rank, standing.medal, standing.above_median),
        (None, None, None)
    );
    assert_eq!(standing.score, 0.5);
}

/// Last positions of gold, silver and bronze, found by asking for the medal of each place of a board.
fn medals(entries: usize) -> [usize; 3] {
    let scores: Vec<f64> = (1..=entries).map(|place| -(place as f64)).collect();
    let board = boards("Maximize", &[("private", &scores)]);
    let mut last = [0; 3];
    for (at, score) in scores.iter().enumerate() {
        match board.standing(*score).medal.unwrap() {
            Medal::Gold => last[0] = at + 1,
            Medal::Silver => last[1] = at + 1,
            Medal::Bronze => last[2] = at + 1,
            Medal::None => {}
        }
    }
    last
}

#[test]
fn medals_go_to_the_positions_of_mle_bench() {
    for (entries, expected) in [
        (1, [1, 0, 0]),
        (4, [1, 0, 0]),
        (5, [1, 0, 2]),
        (10, [1, 2, 4]),
        (99, [9, 19, 39]),
        (100, [10, 20, 40]),
        (249, [10, 49, 99]),
        (250, [10, 50, 100]),
        (499, [10, 50, 100]),
        (500, [11, 50, 100]),
        (999, [11, 50, 100]),
        (1000, [12, 50, 100]),
        (5000, [20, 250, 500]),
    ] {
        assert_eq!(medals(entries), expected, "{entries} entries");
    }
}

#[test]
fn a_tie_with_the_last_medal_position_wins_the_medal() {
    let mut scores = vec![1.0; 10];
    scores.extend(vec![0.5; 90]);
    let board = boards("Maximize", &[("private", &scores)]);
    assert_eq!(board.standing(1.0).medal, Some(Medal::Gold));
    assert_eq!(board.standing(0.5).medal, Some(Medal::Silver));
    assert_eq!(board.standing(0.499).medal, Some(Medal::None));
}

#[test]
fn above_the_median_is_strict() {
    let odd = boards("Minimize", &[("b", &[1.0, 2.0, 4.0])]);
    let even = boards("Minimize", &[("b", &[1.0, 2.0, 3.0, 4.0])]);
    for (board, score, above) in [
        (&odd, 2.0, false),
        (&odd, 1.9, true),
        (&even, 2.5, false),
        (&even, 2.4, true),
    ] {
        assert_eq!(board.standing(score).above_median, Some(above), "{score}");
    }
}

#[test]
fn the_board_named_private_decides_and_else_the_first() {
    let easy: &[f64] = &[0.0; 10];
    let hard: &[f64] = &[9.0; 10];
    let medal = |given: &[(&str, &[f64])]| boards("Maximize", given).standing(1.0).medal.unwrap();
    assert_eq!(medal(&[("public", easy), ("private", hard)]), Medal::None);
    assert_eq!(medal(&[("private", easy), ("public", hard)]), Medal::Gold);
    assert_eq!(medal(&[("one", easy), ("two", hard)]), Medal::Gold);
}

#[test]
fn broken_boards_are_the_tasks_fault() {
    let spec = spec(
        "Rmse",
        json!({"leaderboards": [{"name": "private", "file": "b.csv"}]}),
    );
    let read = |csv: &str| Boards::read(&spec, &[("private".into(), csv.into())]);
    for (csv, expected) in [
        ("", "the file is empty"),
        ("rank,score\n", "there is no entry"),
        (
            "rank\n1\n",
            "there is neither a column `score` nor a second column",
        ),
        ("rank,score\n1,0.5\n2,\n", "row 2 (line 3): the score is blank"),
        (
            "rank,score\n1,0.5\n2,nan\n",
            "row 2 (line 3): the score `nan` is not a finite number",
        ),
        (
            "rank,score\n1,inf\n",
            "row 1 (line 2): the score `inf` is not a finite number",
        ),
        ("rank,score\n1\n", "line 2 has 1 field where the header has 2"),
    ] {
        match read(csv) {
            Err(GradeError::Task(message)) => {
                let start = "leaderboard `private`: file `b.csv`: ";
                assert!(message.starts_with(&format!("{start}{expected}")), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(Boards::read(&spec, &[]), Err(GradeError::Task(_))));
    for csv in [
        "score\n0.5\n",
        "score,rank\n0.5,1\n",
        "rank,points\n1,0.5\n",
        "team,rank,score\nx,1,0.5\n",
    ] {
        assert_eq!(read(csv).unwrap().standing(0.5).places[0].place, 1, "{csv}");
        assert_eq!(read(csv).unwrap().standing(0.6).places[0].place, 2, "{csv}");
    }
}

/// xorshift64*: the same cases on every run.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
