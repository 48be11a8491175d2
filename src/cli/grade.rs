//! `dojo grade`: grades one submission, or places one score, without an episode.

mod file;
mod report;
mod task;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;

use self::report::Report;
use crate::api::Task;
use crate::api::evaluation::EvaluationSpec;
use crate::grade::{Boards, GradeError, Grader, max_bytes};

/// Arguments of `dojo grade`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("graded").required(true).args(["submission", "score"]))]
#[command(after_help = "Exit code: 0 valid, 1 invalid submission or broken task, 2 wrong usage.")]
pub struct Args {
    /// Task: a YAML file, or a directory of YAML files; #NAME picks one of several Tasks
    #[arg(long, value_name = "FILE|DIR[#NAME]")]
    task: String,
    /// Directory of the private data: answers and leaderboards
    #[arg(long, value_name = "DIR")]
    private: PathBuf,
    /// Submission to grade, a CSV file
    #[arg(long, value_name = "FILE")]
    submission: Option<PathBuf>,
    /// Score to place in place of a submission, such as 0.97 or -1.5
    #[arg(long, value_name = "X", allow_hyphen_values = true, value_parser = finite)]
    score: Option<f64>,
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

/// Why there is no report.
enum Failure {
    /// The call is wrong: exit code 2.
    Usage(String),
    /// Task or private data are broken: exit code 1.
    Broken(String),
}

impl From<GradeError> for Failure {
    fn from(error: GradeError) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Runs `dojo grade`.
pub fn main(args: Args) -> ExitCode {
    let form = args.output;
    let report = match run(args) {
        Ok(report) => report,
        Err(Failure::Usage(message)) => {
            eprintln!("dojo grade: {message}");
            return ExitCode::from(2);
        }
        Err(Failure::Broken(message)) => {
            eprintln!("dojo grade: {message}");
            return ExitCode::FAILURE;
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
        (None, None) => return Err(Failure::Usage("give --submission or --score".into())),
    };
    let answers = read(&private.join(&spec.answers), "answers")?;
    let grader = Grader::new(spec, &answers, boards)?;
    let grade = file::read(&path, max_bytes(&spec.submission)).and_then(|bytes| grader.grade(&bytes));
    match grade {
        Ok(grade) => Ok(Report::of_submission(name, spec, grade)),
        Err(GradeError::Invalid(reason)) => Ok(Report::of_refusal(name, spec, reason)),
        Err(error) => Err(error.into()),
    }
}

/// Finds the Task and its private data.
fn locate(args: &Args) -> Result<(Task, PathBuf), Failure> {
    let task = task::find(&args.task).map_err(Failure::Usage)?;
    if !args.private.is_dir() {
        let private = args.private.display();
        return Err(Failure::Usage(format!("--private {private} is not a directory")));
    }
    Ok((task, args.private.clone()))
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
    fs::read(path)
        .map_err(|error| Failure::Broken(format!("{what}: cannot read {}: {error}", path.display())))
}
