//! Keeps one role of an episode running: a process that ends before it should is started again, a few times.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::machine::privately;
use super::process::{Invocation, Role};
use super::signals::Stop;

/// How often one role is started again in the life of an episode.
const MAX_RESTARTS: u32 = 5;
/// Pause before the first restart; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Lines of its log that stand in the message of a role that does not stay up.
const LAST_LINES: usize = 3;

/// A role that is kept running.
#[derive(Debug)]
pub struct Keeper {
    name: &'static str,
    what: Invocation,
    log: File,
    log_path: PathBuf,
    /// Exit codes that a restart would only repeat.
    last_words: &'static [i32],
    /// Whether the files that it makes are for the runner's user alone.
    secretive: bool,
    role: Option<Role>,
    start_at: Instant,
    starts: u32,
    /// Size of the log at the last start.
    log_start: u64,
}

/// A role cannot be kept running.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GaveUp {
    /// Its last exit code; unset where it could not even be started.
    pub code: Option<i32>,
    /// What happened, with the last lines of its log.
    pub message: String,
}

impl Keeper {
    /// Nothing runs before [`Keeper::next`] is called. `last_words` are exit codes after which there is no restart.
    pub fn new(
        name: &'static str,
        what: Invocation,
        log: File,
        log_path: PathBuf,
        last_words: &'static [i32],
    ) -> Self {
        Self {
            name,
            what,
            log,
            log_path,
            last_words,
            secretive: false,
            role: None,
            start_at: Instant::now(),
            starts: 0,
            log_start: 0,
        }
    }

    /// The files that it makes are for the runner's user alone, where code runs under others.
    pub fn secretive(mut self) -> Self {
        self.secretive = true;
        self
    }

    /// Starts the role, or waits for its end, whichever is due: returns after each. Nothing is lost when it is dropped
    /// while it waits.
    pub async fn next(&mut self) -> Result<(), GaveUp> {
        let Some(role) = &mut self.role else {
            sleep_until(self.start_at).await;
            self.starts += 1;
            self.log_start = self.log.metadata().map_or(0, |facts| facts.len());
            let start = || Role::start(&self.what, &self.log);
            let started = if self.secretive { privately(start) } else { start() };
            let started = started.map_err(|error| GaveUp {
                code: None,
                message: format!("{} cannot be started: {error}", self.name),
            })?;
            self.role = Some(started);
            return Ok(());
        };
        let code = role.ended().await;
        self.role = None;
        if self.last_words.contains(&code) || self.starts > MAX_RESTARTS {
            return Err(GaveUp {
                code: Some(code),
                message: format!(
                    "{} ended with exit code {code} {}: {}",
                    self.name,
                    times(self.starts),
                    last_lines(&self.log_path, self.log_start)
                ),
            });
        }
        self.start_at = Instant::now() + FIRST_PAUSE * 2_u32.pow(self.starts - 1);
        Ok(())
    }

    /// Ends the role.
    pub async fn stop(&mut self, grace: Duration, stop: &Stop) {
        if let Some(role) = &mut self.role {
            role.stop(grace, stop).await;
        }
    }
}

fn times(starts: u32) -> String {
    match starts {
        1 => "once".to_owned(),
        starts => format!("the last of {starts} times"),
    }
}

/// The last lines of a log from `start` on, on one line.
fn last_lines(path: &Path, start: u64) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    let text = String::from_utf8_lossy(bytes.get(start..).unwrap_or_default());
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    if last.is_empty() {
        "it wrote nothing to its log".to_owned()
    } else {
        last.join(" | ").replace(|c: char| c.is_control(), " ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::lock::open_log;

    /// A role that is a shell: `--lifeline` is its `$0`.
    async fn keeper(dir: &Path, script: &str, last_words: &'static [i32]) -> Keeper {
        let program = dir.join("role.sh");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
        fs::set_permissions(&program, mode).unwrap();
        let log_path = dir.join("role.log");
        let log = open_log(&log_path, Duration::ZERO).await.unwrap();
        let what = Invocation {
            program,
            args: Vec::new(),
            env: Vec::new(),
            cwd: dir.to_owned(),
        };
        Keeper::new("the role", what, log, log_path, last_words)
    }

    #[tokio::test]
    async fn a_role_that_keeps_ending_is_started_six_times_and_given_up_with_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = keeper(dir.path(), "echo so it goes $$; exit 7", &[]).await;
        let gave_up = loop {
            if let Err(gave_up) = keeper.next().await {
                break gave_up;
            }
        };
        assert_eq!(gave_up.code, Some(7));
        let expected = "the role ended with exit code 7 the last of 6 times: so it goes ";
        assert!(gave_up.message.starts_with(expected), "{}", gave_up.message);
        // Only of the last time.
        assert_eq!(gave_up.message.matches("so it goes").count(), 1);
        let log = fs::read_to_string(dir.path().join("role.log")).unwrap();
        assert_eq!(log.lines().count(), 6);
    }

    #[tokio::test]
    async fn some_ends_are_not_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = keeper(dir.path(), "exit 3", &[2, 3]).await;
        keeper.next().await.unwrap();
        let gave_up = keeper.next().await.unwrap_err();
        assert_eq!(
            gave_up.message,
            "the role ended with exit code 3 once: it wrote nothing to its log"
        );
    }

    #[tokio::test]
    async fn a_role_that_ignores_sigterm_is_killed_after_its_grace() {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = keeper(dir.path(), "trap '' TERM; echo up; while :; do read x; done", &[]).await;
        keeper.next().await.unwrap();
        let log = dir.path().join("role.log");
        let deadline = Instant::now() + Duration::from_secs(20);
        while fs::read_to_string(&log).unwrap().is_empty() {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (_tell, stop) = Stop::by_hand();
        keeper.stop(Duration::from_millis(50), &stop).await;
        let role = keeper.role.as_mut().unwrap();
        assert_eq!(role.ended().await, 128 + 9);
    }
}
