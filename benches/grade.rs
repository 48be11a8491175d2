//! Grading a million rows, against pandas and scikit-learn in the same run.
//!
//! ```text
//! DOJO_BENCH_PYTHON=/path/to/venv/bin/python cargo bench --bench grade
//! ```
//!
//! What is timed, on both sides: reading answers, submission and a board of 5,000 entries from files that the page cache
//! holds, every check, alignment by id, the metric, and the place on the board. One thread each; the time is that of the
//! CPU (system calls included), so that other work on the machine does not count; where that cannot be read, that of the
//! wall. The start of a process, and Python's imports, are not in it; one run before the first is not counted.
//! `benches/grade.py` is the other side; it aligns by `merge(validate="one_to_one")`, which the target is measured against,
//! and, for information, by `reindex`, the fastest way that we know in pandas.

#![allow(clippy::disallowed_methods)] // a benchmark reads the clock

use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant;
use std::{env, fs};

use mledojo::api::evaluation::EvaluationSpec;
use mledojo::api::standing::Grade;
use mledojo::grade::{Boards, Grader};
use serde_json::{Value, json};

const ROWS: usize = 1_000_000;
const ENTRIES: usize = 5_000;
const RUNS: usize = 3;
/// Greatest share of the reference's time that grading may take.
const TARGET: f64 = 0.2;

/// xorshift64*: the same data on every machine.
struct Generator(u64);

impl Generator {
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// From 0 to 1, with all 53 bits: as many digits as programs write.
    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Time that the work of this process takes, on one thread.
enum Clock {
    Cpu,
    Wall(Instant),
}

impl Clock {
    fn new() -> Self {
        if cpu_seconds().is_some() {
            Self::Cpu
        } else {
            Self::Wall(Instant::now())
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Wall(_) => "wall",
        }
    }

    fn seconds(&self) -> f64 {
        match self {
            Self::Cpu => cpu_seconds().unwrap_or(f64::NAN),
            Self::Wall(start) => start.elapsed().as_secs_f64(),
        }
    }
}

/// CPU time of this thread, where Linux tells it: nanoseconds, then the time that it waited, then how often it was given a
/// processor. A kernel that does not count has zeros.
fn cpu_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let mut fields = text.split_whitespace();
    let nanoseconds: f64 = fields.next()?.parse().ok()?;
    let times: u64 = fields.nth(1)?.parse().ok()?;
    (times > 0).then_some(nanoseconds / 1e9)
}

struct Case {
    /// As the Task names it, and as the other side does.
    metric: (&'static str, &'static str),
    ids: &'static str,
    /// Whether the submission has the order of the answers.
    shuffled: bool,
}

const CASES: &[Case] = &[
    Case {
        metric: ("Accuracy", "accuracy"),
        ids: "number",
        shuffled: false,
    },
    Case {
        metric: ("Accuracy", "accuracy"),
        ids: "number",
        shuffled: true,
    },
    Case {
        metric: ("Rmse", "rmse"),
        ids: "number",
        shuffled: false,
    },
    Case {
        metric: ("Rmse", "rmse"),
        ids: "number",
        shuffled: true,
    },
    Case {
        metric: ("RocAuc", "roc_auc"),
        ids: "number",
        shuffled: false,
    },
    Case {
        metric: ("RocAuc", "roc_auc"),
        ids: "number",
        shuffled: true,
    },
    Case {
        metric: ("RocAuc", "roc_auc"),
        ids: "text",
        shuffled: true,
    },
];

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let python = env::var("DOJO_BENCH_PYTHON").ok();
    let clock = Clock::new();
    println!(
        "grade: {ROWS} rows, board of {ENTRIES}, {} time, median of {RUNS} runs, one thread",
        clock.name()
    );
    println!("timed: read files, check, align by id, metric, place; process start and imports are not in it");
    if python.is_none() {
        println!("DOJO_BENCH_PYTHON is not set: no comparison with pandas and scikit-learn");
    }
    println!();
    println!(
        "{:<9} {:<16} {:>7} {:>8} {:>9} {:>6}  {:<13} {:>10} {:>6}",
        "METRIC", "IDS", "MB READ", "DOJO ms", "MERGE ms", "RATIO", "TARGET", "REINDEX ms", "RATIO"
    );
    let mut missed = 0;
    for case in CASES {
        let bytes = write(case, dir.path())?;
        let spec = spec(case.metric.0)?;
        let mut seconds = Vec::new();
        let mut grade = run(&spec, dir.path())?;
        for _ in 0..RUNS {
            let start = clock.seconds();
            grade = black_box(run(&spec, dir.path())?);
            seconds.push(clock.seconds() - start);
        }
        let ours = median(&mut seconds);
        let order = if case.shuffled { "shuffled" } else { "in order" };
        let name = format!("{} {order}", case.ids);
        print!(
            "{:<9} {name:<16} {:>7.1} {:>8.1}",
            case.metric.0,
            bytes as f64 / 1e6,
            ours * 1e3
        );
        match &python {
            None => println!(),
            Some(python) => {
                let [merge, reindex] = compare(python, &clock, case, dir.path(), &grade)?;
                let ratio = ours / merge;
                let met = ratio <= TARGET;
                missed += usize::from(!met);
                println!(
                    " {:>9.1} {ratio:>6.3}  <= {TARGET:<3} {:<6} {:>10.1} {:>6.3}",
                    merge * 1e3,
                    if met { "met" } else { "MISSED" },
                    reindex * 1e3,
                    ours / reindex
                );
            }
        }
    }
    if missed > 0 {
        return Err(format!("{missed} of {} targets missed", CASES.len()).into());
    }
    Ok(())
}

fn spec(metric: &str) -> Result<EvaluationSpec, serde_json::Error> {
    serde_json::from_value(json!({
        "metric": {"builtin": metric},
        "submission": {"idColumn": "id"},
        "leaderboards": [{"name": "private", "file": "board.csv"}],
    }))
}

fn run(spec: &EvaluationSpec, dir: &Path) -> Result<Grade, Box<dyn Error>> {
    let files = [("private".to_owned(), fs::read(dir.join("board.csv"))?)];
    let boards = Boards::read(spec, &files)?;
    let grader = Grader::new(spec, &fs::read(dir.join("answers.csv"))?, boards)?;
    Ok(grader.grade(&fs::read(dir.join("submission.csv"))?)?)
}

/// Writes the files of a case and gives their size.
fn write(case: &Case, dir: &Path) -> Result<usize, Box<dyn Error>> {
    let mut generator = Generator(0x5EED);
    let mut order: Vec<usize> = (0..ROWS).collect();
    if case.shuffled {
        for at in (1..ROWS).rev() {
            order.swap(at, generator.below(at + 1));
        }
    }
    let id = |row: usize| match case.ids {
        "text" => format!("{:08x}_{row}", row.wrapping_mul(0x9E37_79B1) & 0xFFFF_FFFF),
        _ => row.to_string(),
    };
    let mut answers = String::from("id,target\n");
    let mut predictions = Vec::with_capacity(ROWS);
    for row in 0..ROWS {
        let (answer, prediction) = match case.metric.0 {
            "Accuracy" => {
                let label = generator.below(10);
                let right = generator.below(5) > 0;
                (
                    label.to_string(),
                    if right { label } else { generator.below(10) }.to_string(),
                )
            }
            "Rmse" => {
                let value = generator.unit() * 100.0;
                (format!("{value:.4}"), (value + generator.unit()).to_string())
            }
            _ => {
                let positive = generator.below(2);
                let score = (positive as f64 + 2.0 * generator.unit()) / 3.0;
                (positive.to_string(), score.to_string())
            }
        };
        writeln!(answers, "{},{answer}", id(row))?;
        predictions.push(prediction);
    }
    let mut submission = String::from("id,target\n");
    for row in order {
        writeln!(submission, "{},{}", id(row), predictions[row])?;
    }
    let mut board = String::from("rank,score\n");
    for rank in 1..=ENTRIES {
        writeln!(board, "{rank},{}", generator.unit())?;
    }
    fs::write(dir.join("answers.csv"), &answers)?;
    fs::write(dir.join("submission.csv"), &submission)?;
    fs::write(dir.join("board.csv"), &board)?;
    Ok(answers.len() + submission.len() + board.len())
}

/// Seconds of the other side, by `merge` and by `reindex`. Both sides must agree on score and place.
fn compare(
    python: &str,
    clock: &Clock,
    case: &Case,
    dir: &Path,
    grade: &Grade,
) -> Result<[f64; 2], Box<dyn Error>> {
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/grade.py"));
    for file in ["answers.csv", "submission.csv", "board.csv"] {
        command.arg(dir.join(file));
    }
    command.args([case.metric.1, &RUNS.to_string(), clock.name()]);
    for threads in [
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    ] {
        command.env(threads, "1");
    }
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let reply: Value = serde_json::from_slice(&output.stdout)?;
    let seconds = |way: &str| -> Result<f64, serde_json::Error> {
        Ok(median(&mut serde_json::from_value::<Vec<f64>>(
            reply["seconds"][way].clone(),
        )?))
    };
    let score = reply["score"].as_f64().ok_or("no score")?;
    let place = reply["place"].as_u64().ok_or("no place")?;
    let ours_standing = &grade.visible;
    let agree = (score - ours_standing.score).abs() <= 1e-9 * score.abs()
        && ours_standing
            .places
            .first()
            .is_some_and(|ours| ours.place == place);
    if !agree {
        return Err(format!(
            "{}: {score} and place {place}, here {ours_standing:?}",
            case.metric.0
        )
        .into());
    }
    Ok([seconds("merge")?, seconds("reindex")?])
}

fn median(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
