//! `dojo grade`: grades one submission, or places one score, without an episode.

mod file;
mod report;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;

use self::report::Report;
use crate::api::Task;
use crate::api::evaluation::EvaluationSpec;
use crate::grade::{Boards, GradeError, Grader};
use crate::local::grading::{self, Options};
use crate::local::runner::RunError;

/// Arguments of `dojo grade`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("graded").required(true).args(["submission", "score"]))]
#[command(after_help = "Exit code: 0 valid, 1 invalid submission or broken task, 2 wrong usage.")]
pub struct Args {
    /// Task: a YAML file, or a directory as `dojo run` takes it; #NAME picks one of several Tasks
    #[arg(long, value_name = "FILE|DIR[#NAME]")]
    task: String,
    /// Directory with answers and leaderboards [default: the data of the Task, prepared if they are not there yet]
    #[arg(long, value_name = "DIR")]
    private: Option<PathBuf>,
    /// Submission to grade, a CSV file
    #[arg(long, value_name = "FILE")]
    submission: Option<PathBuf>,
    /// Score to place in place of a submission, such as 0.97 or -1.5
    #[arg(long, value_name = "X", allow_hyphen_values = true, value_parser = finite)]
    score: Option<f64>,
    /// Python interpreter to prepare data with
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: OsString,
    /// Form of the report
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,
}

/// Form of the report.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// Lined up for people
    Table,
    /// One JSON object
    Json,
}

fn finite(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(score) if score.is_finite() => Ok(score),
        _ => Err("a score is a finite number".into()),
    }
}

/// Why there is no report: the exit code, and what to print.
struct Failure(u8, String);

impl From<GradeError> for Failure {
    fn from(error: GradeError) -> Self {
        Self(1, error.to_string())
    }
}

/// Runs `dojo grade`.
pub fn main(args: Args) -> ExitCode {
    let form = args.output;
    let report = match run(args) {
        Ok(report) => report,
        Err(Failure(code, message)) => {
            eprintln!("dojo grade: {message}");
            return ExitCode::from(code);
        }
    };
    let text = match form {
        Form::Table => report.table(),
        Form::Json => report.json(),
    };
    // A reader that has gone away is no failure of the grading.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    if report.valid() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run(args: Args) -> Result<Report, Failure> {
    let (task, private) = locate(&args)?;
    let spec = &task.spec.evaluation;
    let boards = Boards::read(spec, &board_files(spec, &private)?)?;
    let name = task.metadata.name.as_deref().unwrap_or_default();
    let path = match (args.score, args.submission) {
        (Some(score), _) => return Ok(Report::of_score(name, spec, boards.standing(score))),
        (None, Some(path)) => path,
        (None, None) => return Err(Failure(2, "give --submission or --score".into())),
    };
    let answers = read(&private.join(&spec.answers), "answers")?;
    let grader = Grader::new(spec, &answers, boards)?;
    let grade = file::read(&path, spec.submission.size_limit()).and_then(|bytes| grader.grade(&bytes));
    match grade {
        Ok(grade) => Ok(Report::of_submission(name, spec, grade)),
        Err(GradeError::Invalid(reason)) => Ok(Report::of_refusal(name, spec, reason)),
        Err(error) => Err(error.into()),
    }
}

/// Finds the Task and its private data.
fn locate(args: &Args) -> Result<(Task, PathBuf), Failure> {
    let (path, name) = split(&args.task);
    let dojo =
        std::env::current_exe().map_err(|error| Failure(1, format!("cannot find this program: {error}")))?;
    let options = Options {
        path: path.to_owned(),
        name: name.map(str::to_owned),
        private: args.private.clone(),
        python: args.python.clone(),
        cache: super::cache().map_err(|message| Failure(1, message))?,
        dojo,
    };
    grading::locate(&options).map_err(|error| {
        if let RunError::Documents(problems) = &error {
            for problem in problems {
                eprintln!("{problem}");
            }
        }
        Failure(error.exit_code(), error.to_string())
    })
}

/// Path and name. A path that exists may have a `#` of its own.
fn split(selector: &str) -> (&Path, Option<&str>) {
    match selector.rsplit_once('#') {
        Some((path, name)) if !Path::new(selector).exists() => (Path::new(path), Some(name)),
        _ => (Path::new(selector), None),
    }
}

fn board_files(spec: &EvaluationSpec, private: &Path) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    spec.leaderboards
        .iter()
        .map(|board| {
            let what = format!("leaderboard {}", board.name);
            Ok((board.name.clone(), read(&private.join(&board.file), &what)?))
        })
        .collect()
}

fn read(path: &Path, what: &str) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure(1, format!("{what}: cannot read {}: {error}", path.display())))
}
