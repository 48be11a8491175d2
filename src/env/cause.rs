//! Why a program failed, in one line that names the cause, with the traceback as details.

use super::actions::error;
use super::budget::{TimeLimit, seconds};
use super::effect::Loss;
use super::text;
use crate::wire::agent::{ErrorType, StepError};
use crate::wire::channel::{RunExit, RunFinished};

/// Longest details, in bytes.
const MAX_DETAILS: usize = 4 * 1024;
/// Longest line of a program that is repeated as a cause, in bytes.
const MAX_CAUSE: usize = 300;
const TRACEBACK: &str = "Traceback (most recent call last):";

/// The error of a program that failed; none for one that succeeded. `own_ms` is the action's own time limit.
pub(super) fn of_exit(ran: &RunFinished, limit: TimeLimit, own_ms: u64) -> Option<StepError> {
    let (error_type, message) = match &ran.exit {
        RunExit::Exited { code: 0 } => return None,
        RunExit::Exited { code } => (ErrorType::CodeRuntimeError, exited(*code, &ran.stderr.text)),
        RunExit::Syntax { message } => (
            ErrorType::CodeSyntaxError,
            format!("the code does not parse: {message}"),
        ),
        RunExit::Signaled { signal } => (
            ErrorType::CodeRuntimeError,
            format!("the program was ended by signal {}", signal_name(*signal)),
        ),
        RunExit::TimedOut { killed } => (ErrorType::CodeTimeoutError, timed_out(*killed, limit, own_ms)),
        RunExit::Cancelled => (
            ErrorType::CodeCancelledError,
            "the program was cancelled from outside".into(),
        ),
        RunExit::Resource { message } => (
            ErrorType::SandboxResourceError,
            format!("the program was stopped: {message}"),
        ),
        RunExit::Sandbox { message } => (
            ErrorType::SandboxError,
            format!("the program could not be run: {message}"),
        ),
    };
    let details = match ran.exit {
        RunExit::Syntax { .. } | RunExit::Sandbox { .. } => String::new(),
        _ => tail(&ran.stderr.text),
    };
    Some(StepError {
        error_type,
        error: message,
        details,
    })
}

/// The error after the executor itself was lost.
pub(super) fn of_loss(loss: Loss) -> StepError {
    let why = match loss {
        Loss::Closed => ": it was out of memory, or the program killed it",
        Loss::Silent | Loss::Confused | Loss::Replaced => "",
    };
    error(
        ErrorType::SandboxResourceError,
        format!(
            "{} while the program ran{why}; its output is lost, the workspace is kept",
            what_happened(loss)
        ),
    )
}

/// A loss for the agent, which knows of a sandbox and of nothing behind it.
pub(super) fn what_happened(loss: Loss) -> &'static str {
    match loss {
        Loss::Closed => "the sandbox ended",
        Loss::Silent => "the sandbox stopped answering and was given up",
        Loss::Confused => "the sandbox gave an answer that makes no sense and was given up",
        Loss::Replaced => "the sandbox was started again",
    }
}

fn exited(code: i32, stderr: &str) -> String {
    match exception(stderr) {
        Some(line) => format!("the program exited with code {code}: {line}"),
        None => match last_line(stderr) {
            Some(line) => format!("the program exited with code {code}; its stderr ends with: {line}"),
            None => format!("the program exited with code {code} and wrote nothing to stderr"),
        },
    }
}

fn timed_out(killed: bool, limit: TimeLimit, own_ms: u64) -> String {
    let after = text::duration(seconds(limit.ms));
    let mut message = if limit.by_wall_clock {
        format!(
            "the wall clock of the episode ran out {after} after the program was started, so it was stopped; its own time \
             limit would have been {}",
            text::duration(seconds(own_ms))
        )
    } else {
        format!("the program ran into its time limit of {after} and was stopped")
    };
    if killed {
        message.push_str("; it did not react to SIGTERM and was killed");
    }
    message
}

/// The exception's own line of the last traceback.
fn exception(stderr: &str) -> Option<String> {
    let (_, after) = stderr.rsplit_once(TRACEBACK)?;
    let line = after
        .lines()
        .skip(1)
        .find(|line| !line.is_empty() && !line.starts_with(char::is_whitespace))?;
    Some(cause(line))
}

fn last_line(stderr: &str) -> Option<String> {
    let line = stderr.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(cause(line))
}

fn cause(line: &str) -> String {
    text::clip(&text::one_line(line.trim()), MAX_CAUSE, 0).into_owned()
}

/// The last traceback, else the end of what was written.
fn tail(stderr: &str) -> String {
    let from = stderr.rfind(TRACEBACK).unwrap_or(0);
    let tail = stderr[from..].trim_end();
    text::clip(tail, MAX_DETAILS / 4, MAX_DETAILS - MAX_DETAILS / 4).into_owned()
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS: a system call that the sandbox refuses",
        _ => return signal.to_string(),
    };
    format!("{signal} ({name})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::channel::{Captured, RunUsage, SubmissionFound};

    const LIMIT: TimeLimit = TimeLimit {
        ms: 5_000,
        by_wall_clock: false,
    };

    fn ran(exit: RunExit, stderr: &str) -> RunFinished {
        RunFinished {
            run: 1,
            exit,
            submission: SubmissionFound::NotLooked,
            stdout: Captured::default(),
            stderr: Captured {
                text: stderr.into(),
                total_bytes: stderr.len() as u64,
                truncated: false,
            },
            usage: RunUsage::default(),
        }
    }

    fn exit_1(stderr: &str) -> StepError {
        of_exit(&ran(RunExit::Exited { code: 1 }, stderr), LIMIT, 5_000).unwrap()
    }

    #[test]
    fn a_program_that_succeeds_has_no_error() {
        assert_eq!(
            of_exit(&ran(RunExit::Exited { code: 0 }, "warning"), LIMIT, 5_000),
            None
        );
    }

    #[test]
    fn an_exception_is_the_cause_and_its_traceback_the_details() {
        let stderr = "UserWarning: x\nTraceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    \
                      f()\nKeyError: 'target'\nsys:1: ResourceWarning: unclosed file\n";
        let error = exit_1(stderr);
        assert_eq!(error.error_type, ErrorType::CodeRuntimeError);
        assert_eq!(error.error, "the program exited with code 1: KeyError: 'target'");
        assert!(error.details.starts_with(TRACEBACK), "{}", error.details);
        assert!(error.details.contains("KeyError"), "{}", error.details);
    }

    #[test]
    fn of_chained_exceptions_the_last_is_the_cause() {
        let stderr = format!(
            "{TRACEBACK}\n  File \"a.py\", line 1\nKeyError: 1\n\nDuring handling of the above exception, another \
             exception occurred:\n\n{TRACEBACK}\n  File \"a.py\", line 3\nValueError: two\n"
        );
        assert_eq!(
            exit_1(&stderr).error,
            "the program exited with code 1: ValueError: two"
        );
    }

    #[test]
    fn an_exit_without_exception_names_what_there_is() {
        assert_eq!(
            exit_1("  bad data\n\n").error,
            "the program exited with code 1; its stderr ends with: bad data"
        );
        let silent = exit_1("");
        assert_eq!(
            silent.error,
            "the program exited with code 1 and wrote nothing to stderr"
        );
        assert_eq!(silent.details, "");
    }

    #[test]
    fn an_exception_of_any_length_gives_bounded_text() {
        let stderr = format!(
            "{TRACEBACK}\n  File \"a.py\", line 1\nValueError: {}\n",
            "é".repeat(8_000)
        );
        let error = exit_1(&stderr);
        assert!(error.error.len() < 400, "{}", error.error.len());
        assert!(error.details.len() < MAX_DETAILS + 64, "{}", error.details.len());
    }

    #[test]
    fn memory_is_blamed_only_where_the_sandbox_ended_by_itself() {
        let said =
            [Loss::Closed, Loss::Silent, Loss::Confused, Loss::Replaced].map(|loss| of_loss(loss).error);
        assert_eq!(
            said[0],
            "the sandbox ended while the program ran: it was out of memory, or the program killed it; its output is \
             lost, the workspace is kept"
        );
        for said in &said[1..] {
            assert!(!said.contains("memory") && !said.contains("killed"), "{said}");
            assert!(
                said.contains("while the program ran; its output is lost"),
                "{said}"
            );
        }
    }

    #[test]
    fn each_end_of_a_program_has_its_type_and_says_why() {
        let by_wall_clock = TimeLimit {
            ms: 1_500,
            by_wall_clock: true,
        };
        let cases = [
            (
                RunExit::Syntax {
                    message: "line 3: '(' was never closed".into(),
                },
                LIMIT,
                ErrorType::CodeSyntaxError,
                "the code does not parse: line 3: '(' was never closed",
            ),
            (
                RunExit::Signaled { signal: 11 },
                LIMIT,
                ErrorType::CodeRuntimeError,
                "the program was ended by signal 11 (SIGSEGV)",
            ),
            (
                RunExit::Signaled { signal: 60 },
                LIMIT,
                ErrorType::CodeRuntimeError,
                "the program was ended by signal 60",
            ),
            (
                RunExit::TimedOut { killed: false },
                LIMIT,
                ErrorType::CodeTimeoutError,
                "the program ran into its time limit of 5 s and was stopped",
            ),
            (
                RunExit::TimedOut { killed: true },
                by_wall_clock,
                ErrorType::CodeTimeoutError,
                "the wall clock of the episode ran out 1.5 s after the program was started, so it was stopped; its own \
                 time limit would have been 5 s; it did not react to SIGTERM and was killed",
            ),
            (
                RunExit::Cancelled,
                LIMIT,
                ErrorType::CodeCancelledError,
                "the program was cancelled from outside",
            ),
            (
                RunExit::Resource {
                    message: "memory over 2.0 GB".into(),
                },
                LIMIT,
                ErrorType::SandboxResourceError,
                "the program was stopped: memory over 2.0 GB",
            ),
            (
                RunExit::Sandbox {
                    message: "no python3 at /usr/bin/python3".into(),
                },
                LIMIT,
                ErrorType::SandboxError,
                "the program could not be run: no python3 at /usr/bin/python3",
            ),
        ];
        for (exit, limit, error_type, message) in cases {
            let error = of_exit(&ran(exit, ""), limit, 5_000).unwrap();
            assert_eq!((error.error_type, error.error.as_str()), (error_type, message));
        }
    }
}
