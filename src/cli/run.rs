//! `dojo run`.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

use crate::local::record::list;
use crate::local::report::Report;
use crate::local::runner::{self, Options, RunError};

/// Arguments of `dojo run`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code: 0 every episode is completed, 1 one is not, 2 the input is wrong, 130 interrupted.\n\
    Packages and prepared data are kept in $DOJO_CACHE, else $XDG_CACHE_HOME/mle-dojo, else ~/.cache/mle-dojo."
)]
pub struct Args {
    /// YAML files with Tasks, Episodes and ConfigMaps, or directories: with a kustomization.yaml as it says, else all
    /// *.yaml in them
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Directory for what the episodes leave, one directory for each; a second run continues what is unfinished there
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// Episodes at one time [default: as many as CPUs and memory allow, by what their Tasks ask for]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    parallel: Option<u16>,
    /// Start all episodes anew, finished ones too; what they have in --out is removed
    #[arg(long)]
    fresh: bool,
    /// Python interpreter to prepare data with, to make environments from, and to run code of Tasks without
    /// requirements
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: OsString,
    /// What is printed at the end
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,
}

/// What is printed at the end.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// The table that `kubectl get episodes` would print
    Table,
    /// A List of the episodes, as `kubectl get episodes -o json` would print it
    Json,
    /// The same as YAML
    Yaml,
}

/// Runs `dojo run`.
pub fn main(args: Args) -> ExitCode {
    let Args {
        paths,
        out,
        parallel,
        fresh,
        python,
        output,
    } = args;
    let options = super::cache().and_then(|cache| {
        let dojo = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
        Ok(Options {
            paths,
            out,
            parallel: parallel.map(usize::from),
            fresh,
            python,
            cache,
            dojo,
        })
    });
    let options = match options {
        Ok(options) => options,
        Err(message) => {
            eprintln!("dojo run: {message}");
            return ExitCode::FAILURE;
        }
    };
    match runner::run(&options) {
        Ok(report) => match print(&report, output) {
            Ok(()) => ExitCode::from(report.exit_code()),
            // Whoever reads has gone away: what is in the run directory stays.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(report.exit_code()),
            Err(error) => {
                eprintln!("dojo run: cannot print: {error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            if let RunError::Documents(problems) = &error {
                for problem in problems {
                    eprintln!("{problem}");
                }
            }
            eprintln!("dojo run: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn print(report: &Report, output: Output) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let whole = match output {
        Output::Table => {
            stdout.write_all(report.table().as_bytes())?;
            for remark in &report.remarks {
                writeln!(stdout, "{remark}")?;
            }
            stdout.flush()?;
            None
        }
        Output::Json => Some(serde_json::to_string_pretty(&list(&report.episodes))? + "\n"),
        Output::Yaml => Some(serde_saphyr::to_string(&list(&report.episodes)).map_err(io::Error::other)?),
    };
    if let Some(whole) = whole {
        stdout.write_all(whole.as_bytes())?;
        stdout.flush()?;
        for remark in &report.remarks {
            eprintln!("{remark}");
        }
    }
    if let Some(farewell) = report.farewell() {
        eprintln!("{farewell}");
    }
    Ok(())
}
