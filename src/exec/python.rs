//! Where a Python interpreter keeps what it needs, found without running it.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A Python interpreter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Interpreter {
    /// The path that it is started by. A virtual environment is recognised by it, so links are kept.
    pub path: PathBuf,
    /// Directories that it must be able to read: its own installation, and the virtual environment.
    pub prefixes: Vec<PathBuf>,
    /// The virtual environment.
    pub virtual_env: Option<PathBuf>,
}

impl Interpreter {
    /// An interpreter of which only the path is known.
    pub(super) fn unreachable(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            prefixes: Vec::new(),
            virtual_env: None,
        }
    }
}

/// Finds out about the interpreter at `path`. `data` are directories that must not come into reach because an
/// installation happens to contain them.
pub(super) fn inspect(path: &Path, data: &[&Path]) -> Result<Interpreter, String> {
    let real = fs::canonicalize(path).map_err(|error| {
        format!("there is no Python at {path:?} ({error}); give --python the path of an interpreter")
    })?;
    let magic = first_bytes(&real).map_err(|error| format!("{real:?} cannot be read: {error}"))?;
    if magic != *b"\x7fELF" {
        return Err(format!(
            "{real:?} is not an interpreter but a script that starts one; give --python what \
             `python -c 'import sys; print(sys.executable)'` prints"
        ));
    }
    let mut prefixes = Vec::new();
    let virtual_env = virtual_env(path);
    prefixes.extend(virtual_env.clone());
    for prefix in [Some(installation(&real)), virtual_env.as_deref().and_then(home)]
        .into_iter()
        .flatten()
    {
        prefixes.extend(roots(&prefix, data));
    }
    prefixes.dedup();
    Ok(Interpreter {
        path: path.to_owned(),
        prefixes,
        virtual_env,
    })
}

fn first_bytes(path: &Path) -> io::Result<[u8; 4]> {
    let mut magic = [0; 4];
    fs::File::open(path)?.read_exact(&mut magic)?;
    Ok(magic)
}

/// The directory with `pyvenv.cfg`, if `path` belongs to a virtual environment.
fn virtual_env(path: &Path) -> Option<PathBuf> {
    let bin = path.parent()?;
    [Some(bin), bin.parent()]
        .into_iter()
        .flatten()
        .find(|dir| dir.join("pyvenv.cfg").is_file())
        .map(Path::to_owned)
}

/// The installation that a virtual environment was made from, by its `home` line.
fn home(environment: &Path) -> Option<PathBuf> {
    let config = fs::read_to_string(environment.join("pyvenv.cfg")).ok()?;
    let home = config.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "home").then(|| PathBuf::from(value.trim()))
    })?;
    Some(installation(&fs::canonicalize(home).ok()?.join("python")))
}

/// The prefix of an interpreter: the parent of its `bin`.
fn installation(real: &Path) -> PathBuf {
    let dir = real.parent().unwrap_or(real);
    match dir.parent() {
        Some(prefix) if dir.ends_with("bin") => prefix.to_owned(),
        _ => dir.to_owned(),
    }
}

/// What of an installation is made readable: all of it, or only its usual directories where it contains data.
fn roots(prefix: &Path, data: &[&Path]) -> Vec<PathBuf> {
    if prefix.parent().is_some() && !data.iter().any(|dir| dir.starts_with(prefix)) {
        return vec![prefix.to_owned()];
    }
    ["bin", "include", "lib", "lib32", "lib64", "libexec", "share"]
        .iter()
        .map(|name| prefix.join(name))
        .filter(|dir| dir.is_dir())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn installed(dir: &Path) -> PathBuf {
        let python = dir.join("python3");
        fs::create_dir_all(dir).unwrap();
        fs::write(&python, b"\x7fELF and more").unwrap();
        python
    }

    #[test]
    fn a_virtual_environment_needs_itself_and_its_installation() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let base = installed(&dir.join("base/bin"));
        fs::create_dir_all(dir.join("venv/bin")).unwrap();
        symlink(&base, dir.join("venv/bin/python")).unwrap();
        fs::write(
            dir.join("venv/pyvenv.cfg"),
            format!("home = {}\n", dir.join("base/bin").display()),
        )
        .unwrap();
        let found = inspect(&dir.join("venv/bin/python"), &[]).unwrap();
        assert_eq!(found.virtual_env, Some(dir.join("venv")));
        assert_eq!(found.prefixes, [dir.join("venv"), dir.join("base")]);
        assert_eq!(found.path, dir.join("venv/bin/python"));
    }

    #[test]
    fn an_installation_around_the_data_is_not_opened_whole() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let python = installed(&dir.join("bin"));
        fs::create_dir(dir.join("lib")).unwrap();
        let found = inspect(&python, &[&dir.join("data/public")]).unwrap();
        assert_eq!(found.prefixes, [dir.join("bin"), dir.join("lib")]);
    }

    #[test]
    fn a_script_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let shim = dir.path().join("python3");
        fs::write(&shim, "#!/bin/sh\nexec python3.12 \"$@\"\n").unwrap();
        let error = inspect(&shim, &[]).unwrap_err();
        assert!(error.contains("sys.executable"), "{error}");
    }

    #[test]
    fn a_missing_interpreter_is_named() {
        let error = inspect(Path::new("/nonexistent/python3"), &[]).unwrap_err();
        assert!(
            error.contains("/nonexistent/python3") && error.contains("--python"),
            "{error}"
        );
    }
}
