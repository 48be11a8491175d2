//! `dojo logs`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use super::{Failure, Source, Which, run};
use crate::wire::report::{FileEntry, LOGS, Listing, log_order};

/// Pause between two looks with `--follow`.
const LOOK: Duration = Duration::from_secs(2);
/// Looks in a row without anything new after which an episode that has ended is complete.
const QUIET_LOOKS: u32 = 2;

/// Arguments of `dojo logs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Go on until the episode ends
    #[arg(long, short, conflicts_with = "list")]
    follow: bool,
    /// Only list what is archived, with sizes in bytes
    #[arg(long)]
    list: bool,
}

/// Runs `dojo logs`.
pub fn main(args: &Args) -> ExitCode {
    run(print(args))
}

async fn print(args: &Args) -> Result<(), Failure> {
    let source = Source::open(&args.which).await?;
    let listing = source.list(args.which.attempt).await?;
    let attempt = listing.attempt;
    let mut output = io::stdout().lock();
    if args.list {
        for file in &listing.files {
            writeln!(output, "{:>12}  {}", file.size, file.path).map_err(Failure::Output)?;
        }
        return Ok(());
    }
    eprintln!(
        "dojo: output of the programs of attempt {attempt}; the agent's own output is in its container: kubectl logs -n {} \
         {}-{attempt} -c agent",
        source.namespace(),
        args.which.episode
    );
    let mut printed = Printed::default();
    let mut new = printed.update(&source, listing, &mut output).await?;
    if !args.follow {
        if !new {
            return Err(Failure::Told(format!(
                "no output is archived yet of attempt {attempt}"
            )));
        }
        return Ok(());
    }
    let mut quiet = 0;
    while quiet < QUIET_LOOKS {
        // Asked for before the look, so that what comes with the end is still seen.
        let over = ended(&source, attempt).await?;
        tokio::time::sleep(LOOK).await;
        let listing = source.list(Some(attempt)).await?;
        new = printed.update(&source, listing, &mut output).await?;
        quiet = if over && !new { quiet + 1 } else { 0 };
    }
    Ok(())
}

/// Whether nothing more comes of an attempt.
async fn ended(source: &Source, attempt: u32) -> Result<bool, String> {
    let status = source.episode().await?.status.unwrap_or_default();
    let later = status
        .attempt
        .is_some_and(|latest| i64::from(latest) > i64::from(attempt));
    Ok(later || status.phase.is_final())
}

/// How far each log is printed.
#[derive(Debug, Default)]
struct Printed {
    offsets: BTreeMap<String, u64>,
    /// The one whose bytes came last.
    last: Option<String>,
}

impl Printed {
    /// Prints what is new; says whether anything was.
    async fn update(
        &mut self,
        source: &Source,
        listing: Listing,
        output: &mut impl Write,
    ) -> Result<bool, Failure> {
        let attempt = listing.attempt;
        let due = self.due(listing.files);
        for (path, offset) in &due {
            if self.last.as_ref() != Some(path) {
                let gap = if self.last.is_some() { "\n" } else { "" };
                writeln!(output, "{gap}==> {path} <==").map_err(Failure::Output)?;
                self.last = Some(path.clone());
            }
            let end = source.copy(path, attempt, *offset, output).await?;
            self.offsets.insert(path.clone(), end);
        }
        Ok(!due.is_empty())
    }

    /// Logs that have more than was printed, in the order of their steps, with where to go on.
    fn due(&self, mut files: Vec<FileEntry>) -> Vec<(String, u64)> {
        files.sort_by(|a, b| log_order(&a.path).cmp(&log_order(&b.path)));
        files
            .into_iter()
            .filter(|file| {
                file.path
                    .strip_prefix(LOGS)
                    .is_some_and(|rest| rest.starts_with('/'))
            })
            .map(|file| (self.offsets.get(&file.path).copied().unwrap_or(0), file))
            .filter(|(offset, file)| file.size > *offset)
            .map(|(offset, file)| (file.path, offset))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(all: &[(&str, u64)]) -> Vec<FileEntry> {
        all.iter()
            .map(|(path, size)| FileEntry {
                path: (*path).into(),
                size: *size,
            })
            .collect()
    }

    #[test]
    fn what_is_due_is_what_has_grown_in_the_order_of_the_steps() {
        let mut printed = Printed::default();
        let all = [
            ("logs/execution_10.log", 5),
            ("logs/execution_2.log", 3),
            ("logs/execution_3.log", 0),
            ("trajectory.jsonl", 9),
        ];
        assert_eq!(
            printed.due(files(&all)),
            [
                ("logs/execution_2.log".into(), 0),
                ("logs/execution_10.log".into(), 0)
            ]
        );
        printed.offsets = [
            ("logs/execution_2.log".into(), 3),
            ("logs/execution_10.log".into(), 4),
        ]
        .into();
        assert_eq!(printed.due(files(&all)), [("logs/execution_10.log".into(), 4)]);
    }
}
