//! Set-up of the log: `tracing` to standard error; errors in one line.
//!
//! Lines for people by default, JSON for collectors. The filter comes from the caller: only [`crate::cli`] reads the
//! environment.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// What is logged when no filter is given.
const DEFAULT_FILTER: &str = "info";

/// Logs `info` and above to standard error: as JSON lines, or as text.
pub fn init(json: bool) {
    init_filtered(DEFAULT_FILTER, json);
}

/// As [`init`] with a filter such as `debug` or `warn,mledojo::relay=debug`; one that does not parse is reported and
/// the default taken. A second call changes nothing.
pub fn init_filtered(filter: &str, json: bool) {
    let parsed = EnvFilter::try_new(filter);
    let complaint = parsed.as_ref().err().map(ToString::to_string);
    let filter = parsed.unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal());
    // An error here says that a log is set up already, which is as good.
    let _ = if json {
        log.json().try_init()
    } else {
        log.with_target(false).try_init()
    };
    if let Some(complaint) = complaint {
        tracing::warn!(%complaint, "the log filter does not parse; logging at `{DEFAULT_FILTER}`");
    }
}

/// An error with its causes, for one line: the first words of many, such as reqwest's, name only what was tried.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
