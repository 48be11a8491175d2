//! Whether a program parses, asked of the interpreter that would run it.

use std::ffi::OsString;
use std::path::Path;

use super::supervise::{End, Ended};
use crate::wire::channel::OutputCaps;

/// Exit code of [`CHECK`] for a program that does not parse.
const DOES_NOT_PARSE: i32 = 65;

/// Compiles a file and says where it does not parse. Anything else that goes wrong is left to the run to show.
const CHECK: &str = r#"
import sys
path, name = sys.argv[1:]
with open(path, "rb") as file:
    source = file.read()
try:
    compile(source, name, "exec", dont_inherit=True)
except SyntaxError as error:
    where = "" if error.lineno is None else ", line %d" % error.lineno
    if error.offset:
        where += ", column %d" % error.offset
    message = "%s%s: %s: %s" % (name, where, type(error).__name__, error.msg)
    if error.text:
        line = error.text.rstrip()
        code = line.lstrip()
        message += "\n    " + code
        if error.offset:
            message += "\n    " + " " * max(error.offset - 1 - (len(line) - len(code)), 0) + "^"
except ValueError as error:
    message = "%s: %s" % (name, error)
else:
    sys.exit(0)
sys.stdout.buffer.write(message.encode("utf-8", "backslashreplace"))
sys.exit(65)
"#;

/// Output of the check that is kept.
pub(super) const OUTPUT: OutputCaps = OutputCaps {
    head: 4096,
    tail: 0,
    log: 0,
};

/// Arguments of the interpreter. Isolated and without site packages: nothing that earlier code left is imported.
pub(super) fn arguments(file: &Path, name: &str) -> Vec<OsString> {
    let fixed = ["-I", "-S", "-W", "ignore", "-c", CHECK].map(OsString::from);
    fixed.into_iter().chain([file.into(), name.into()]).collect()
}

/// What the check found.
pub(super) enum Checked {
    /// The program parses, or fails in a way that running it shows better.
    Passed,
    /// It does not parse: the message with line and column.
    Failed(String),
    /// The check itself was ended.
    Ended(End),
}

/// Reads the outcome of a check.
pub(super) fn outcome(ended: Ended) -> Checked {
    match ended.end {
        End::Exited(DOES_NOT_PARSE) => Checked::Failed(ended.stdout.text),
        End::Exited(_) | End::Signaled(_) => Checked::Passed,
        end => Checked::Ended(end),
    }
}
