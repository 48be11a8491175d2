//! Which Python this is.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use thiserror::Error;
use tokio::process::Command;

/// Asked of the interpreter itself: a shim (pyenv, asdf) is not where Python is.
const PROBE: &str = r#"
import importlib.util, json, platform, sys, sysconfig
print(json.dumps({
    "executable": sys.executable,
    "base_executable": getattr(sys, "_base_executable", None) or sys.executable,
    "prefix": sys.prefix,
    "base_prefix": sys.base_prefix,
    "paths": [path for path in sys.path if path],
    "version": platform.python_version(),
    "implementation": platform.python_implementation(),
    "platform": sysconfig.get_platform(),
    "has_venv": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
}))
"#;

/// A Python interpreter.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Python {
    /// The interpreter; within a virtual environment, that environment's.
    pub executable: PathBuf,
    /// The interpreter that environments are made from.
    pub base_executable: PathBuf,
    /// Where its packages are.
    pub prefix: PathBuf,
    /// Where its standard library is.
    pub base_prefix: PathBuf,
    /// Where it looks for modules.
    pub paths: Vec<PathBuf>,
    /// Version, such as `3.12.4`.
    pub version: String,
    /// Implementation, such as `CPython`.
    pub implementation: String,
    /// Platform, such as `linux-x86_64`.
    pub platform: String,
    /// Whether it can make virtual environments with pip in them.
    pub has_venv: bool,
}

/// Why there is no Python.
#[derive(Debug, Error)]
pub enum PythonError {
    /// It cannot be started.
    #[error(
        "Python 3 is needed to prepare data and to run code, and {command:?} cannot be started: {error}; install it, or name one with --python"
    )]
    Missing {
        /// What was started.
        command: String,
        /// Why not.
        error: std::io::Error,
    },
    /// It does not say what it is.
    #[error("{command:?} is not a working Python 3: {output}")]
    Broken {
        /// What was started.
        command: String,
        /// What it said.
        output: String,
    },
}

/// Asks an interpreter, by path or by name on PATH, what it is.
pub async fn inspect(command: &OsStr) -> Result<Python, PythonError> {
    let shown = command.to_string_lossy().into_owned();
    let output = Command::new(command)
        // Isolated: executed code has a clean environment and another HOME, so it does not see what these point to.
        .args(["-I", "-c", PROBE])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| PythonError::Missing {
            command: shown.clone(),
            error,
        })?;
    let broken = |output: String| PythonError::Broken {
        command: shown.clone(),
        output,
    };
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let last = text.lines().last().map(str::to_owned);
        return Err(broken(last.unwrap_or_else(|| output.status.to_string())));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| broken(error.to_string()))
}

impl Python {
    /// Directories that a program needs to read to run under it: the interpreter, its standard library, its packages.
    pub fn read_paths(&self) -> Vec<PathBuf> {
        let mut wanted = vec![self.base_prefix.clone(), self.prefix.clone()];
        for executable in [&self.executable, &self.base_executable] {
            let real = std::fs::canonicalize(executable);
            wanted.extend(real.ok().as_deref().and_then(Path::parent).map(Path::to_owned));
            wanted.extend(executable.parent().map(Path::to_owned));
        }
        wanted.extend(self.paths.iter().filter(|path| path.is_dir()).cloned());
        outermost(wanted)
    }
}

/// Without those that lie within another one.
fn outermost(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.sort();
    paths.dedup();
    let all = paths.clone();
    paths.retain(|path| !all.iter().any(|other| other != path && path.starts_with(other)));
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_python_on_path_says_where_it_really_is() {
        let python = inspect(OsStr::new("python3")).await.unwrap();
        assert!(python.executable.is_absolute() && python.executable.is_file());
        assert!(!python.executable.to_string_lossy().contains("shims"));
        assert!(python.version.starts_with("3."));
        assert!(
            python
                .read_paths()
                .iter()
                .any(|path| python.base_prefix.starts_with(path))
        );
        assert_eq!(
            inspect(python.executable.as_os_str()).await.unwrap().version,
            python.version
        );
    }

    #[tokio::test]
    async fn a_python_that_is_missing_or_none_is_named() {
        let missing = inspect(OsStr::new("/nowhere/python3"))
            .await
            .unwrap_err()
            .to_string();
        assert!(missing.contains("\"/nowhere/python3\" cannot be started") && missing.contains("--python"));
        for other in ["true", "false", "cat"] {
            let broken = inspect(OsStr::new(other)).await.unwrap_err().to_string();
            assert!(broken.contains("is not a working Python 3"), "{broken}");
        }
    }

    #[test]
    fn directories_within_others_are_left_out() {
        let paths = ["/usr/lib", "/usr", "/usr-other", "/opt/py", "/usr"].map(PathBuf::from);
        assert_eq!(
            outermost(paths.into()),
            ["/opt/py", "/usr", "/usr-other"].map(PathBuf::from)
        );
    }
}
