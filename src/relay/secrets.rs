//! The relay's secrets, kept over a restart in `<state>/.state/relay/secrets.json` (mode 0600 in a directory of 0700):
//! the agent's token, the executor's resume secret, and beside them the port, so that clients find the relay again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{RelayError, files};
use crate::wire::hex;

/// What is kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Kept {
    token: String,
    resume: String,
    /// Whether a program was ever sent to an executor. From then on a connection must show the resume secret: before,
    /// no foreign code has run, and an executor that was killed before it could keep the secret is let in again.
    claimed: bool,
    port: Option<u16>,
}

/// Secrets of one episode, with the file that keeps them.
#[derive(Debug)]
pub(super) struct Secrets {
    kept: Kept,
    file: PathBuf,
}

impl Secrets {
    /// Reads the secrets in `dir`, or makes new ones.
    pub(super) fn load(dir: &Path) -> Result<Self, RelayError> {
        let file = dir.join("secrets.json");
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            RelayError::Failed(format!(
                "cannot {what} the secrets in {}: {error}",
                file.display()
            ))
        };
        let kept = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed("understand", &error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let kept = Kept {
                    token: random().map_err(|error| failed("make", &error))?,
                    resume: random().map_err(|error| failed("make", &error))?,
                    claimed: false,
                    port: None,
                };
                write(&file, &kept).map_err(|error| failed("write", &error))?;
                kept
            }
            Err(error) => return Err(failed("read", &error)),
        };
        Ok(Self { kept, file })
    }

    /// The agent's bearer token: 64 hexadecimal digits.
    pub(super) fn token(&self) -> &str {
        &self.kept.token
    }

    /// What an executor must show when it comes again.
    pub(super) fn resume(&self) -> &str {
        &self.kept.resume
    }

    /// Whether an executor must show the resume secret.
    pub(super) fn claimed(&self) -> bool {
        self.kept.claimed
    }

    /// Notes that foreign code is about to run. On the disk when it returns.
    pub(super) fn claim(&mut self) -> io::Result<()> {
        if !self.kept.claimed {
            self.kept.claimed = true;
            write(&self.file, &self.kept).inspect_err(|_| self.kept.claimed = false)?;
        }
        Ok(())
    }

    /// The port of the last run.
    pub(super) fn port(&self) -> Option<u16> {
        self.kept.port
    }

    /// Keeps the port for the next run.
    pub(super) fn set_port(&mut self, port: u16) -> io::Result<()> {
        if self.kept.port != Some(port) {
            self.kept.port = Some(port);
            write(&self.file, &self.kept)?;
        }
        Ok(())
    }
}

fn write(file: &Path, kept: &Kept) -> io::Result<()> {
    files::replace_durably(file, &serde_json::to_vec(kept)?, 0o600)
}

/// 32 bytes from the kernel as 64 hexadecimal digits.
fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

/// Whether two secrets are the same, in a time that depends on their lengths only.
pub(super) fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let difference = a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b));
    a.len() == b.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn secrets_survive_a_restart_and_are_readable_by_their_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Secrets::load(dir.path()).unwrap();
        assert_eq!(first.token().len(), 64);
        assert_ne!(first.token(), first.resume());
        assert!(!first.claimed());
        first.claim().unwrap();
        first.set_port(4321).unwrap();
        let second = Secrets::load(dir.path()).unwrap();
        assert_eq!((second.token(), second.resume()), (first.token(), first.resume()));
        assert_eq!((second.claimed(), second.port()), (true, Some(4321)));
        let mode = fs::metadata(dir.path().join("secrets.json"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_secret_equals_itself_and_neither_a_beginning_nor_another() {
        assert!(same("abcd", "abcd"));
        assert!(!same("abcd", "abc"));
        assert!(!same("", "abcd"));
        assert!(!same("abcd", "abce"));
    }
}
