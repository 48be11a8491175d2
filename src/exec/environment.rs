//! The clean environment of executed code.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::options::Inherited;
use super::python::Interpreter;

/// Where programs are looked for besides the image's own `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Variables by which numeric libraries are told how many threads to start.
const THREADS: [&str; 6] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "POLARS_MAX_THREADS",
];

/// What the environment of executed code is made from.
pub(super) struct Environment<'a> {
    /// The interpreter.
    pub python: &'a Interpreter,
    /// What executed code may read.
    pub read: &'a [PathBuf],
    /// What is kept of the executor's own environment.
    pub inherited: &'a Inherited,
    /// Threads of numeric libraries.
    pub cpus: u32,
    /// Where temporary files go.
    pub temporary: &'a Path,
}

impl Environment<'_> {
    /// All variables of a program that works in `home`. `requested` wins over what is the same for all programs.
    pub(super) fn of(&self, home: &Path, requested: &[(String, String)]) -> Vec<(OsString, OsString)> {
        let mut variables: Vec<(OsString, OsString)> = Vec::new();
        let mut set = |name: &str, value: OsString| variables.push((name.into(), value));
        set("PATH", self.path());
        if let Some(path) = self.library_path() {
            set("LD_LIBRARY_PATH", path);
        }
        if let Some(environment) = &self.python.virtual_env {
            set("VIRTUAL_ENV", environment.into());
        }
        set("HOME", home.into());
        // There may be no entry for the user in the image; libraries that ask for its name look here first.
        set("USER", "dojo".into());
        set("LOGNAME", "dojo".into());
        set("TMPDIR", self.temporary.into());
        set("LANG", "C.UTF-8".into());
        set("PYTHONUNBUFFERED", "1".into());
        set("MPLCONFIGDIR", home.join(".config/matplotlib").into());
        set("XDG_CACHE_HOME", home.join(".cache").into());
        for name in THREADS {
            set(name, self.cpus.to_string().into());
        }
        for (name, value) in &self.inherited.others {
            set(name, value.into());
        }
        for (name, value) in requested {
            set(name, value.into());
        }
        // Where a workspace is a copy, it is the copy that counts.
        set("DOJO_WORKSPACE", home.into());
        variables
    }

    /// The interpreter's directory, then what of the image's path can be read.
    fn path(&self) -> OsString {
        let own = self.python.path.parent().map(Path::to_owned);
        let inherited = self.inherited.path.clone().unwrap_or_else(|| DEFAULT_PATH.into());
        let rest: Vec<PathBuf> = std::env::split_paths(&inherited)
            .filter(|dir| self.is_readable(dir))
            .collect();
        let rest = if rest.is_empty() {
            std::env::split_paths(DEFAULT_PATH).collect()
        } else {
            rest
        };
        // Only a colon in a directory's name makes this fail.
        std::env::join_paths(own.into_iter().chain(rest)).unwrap_or_else(|_| DEFAULT_PATH.into())
    }

    fn library_path(&self) -> Option<OsString> {
        let inherited = self.inherited.library_path.as_ref()?;
        let readable: Vec<PathBuf> = std::env::split_paths(inherited)
            .filter(|dir| self.is_readable(dir))
            .collect();
        if readable.is_empty() {
            None
        } else {
            std::env::join_paths(readable).ok()
        }
    }

    fn is_readable(&self, dir: &Path) -> bool {
        let real = std::fs::canonicalize(dir);
        dir.is_absolute() && real.is_ok_and(|real| self.read.iter().any(|path| real.starts_with(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(inherited: &Inherited, requested: &[(String, String)]) -> Vec<(OsString, OsString)> {
        let python = Interpreter {
            path: "/venv/bin/python".into(),
            prefixes: vec![],
            virtual_env: Some("/venv".into()),
        };
        let environment = Environment {
            python: &python,
            read: &[PathBuf::from("/usr")],
            inherited,
            cpus: 3,
            temporary: Path::new("/var/tmp"),
        };
        environment.of(Path::new("/work"), requested)
    }

    /// As a process would see it: a later setting wins.
    fn value(variables: &[(OsString, OsString)], name: &str) -> Option<String> {
        let found = variables.iter().rev().find(|(known, _)| known == name)?;
        Some(found.1.to_str()?.to_owned())
    }

    #[test]
    fn only_readable_directories_of_the_image_stay_on_the_paths() {
        let inherited = Inherited {
            path: Some("/usr/bin:/root:relative".into()),
            library_path: Some("/usr/lib::/root".into()),
            others: vec![("TZ".into(), "UTC".into())],
        };
        let variables = variables(&inherited, &[]);
        assert_eq!(value(&variables, "PATH").unwrap(), "/venv/bin:/usr/bin");
        assert_eq!(value(&variables, "LD_LIBRARY_PATH").unwrap(), "/usr/lib");
        assert_eq!(value(&variables, "TZ").unwrap(), "UTC");
    }

    #[test]
    fn what_a_run_asks_for_wins_but_the_workspace_is_where_it_runs() {
        let requested = [
            ("OMP_NUM_THREADS", "1"),
            ("DOJO_SEED", "7"),
            ("DOJO_WORKSPACE", "/elsewhere"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let variables = variables(&Inherited::default(), &requested);
        for (name, expected) in [
            ("OMP_NUM_THREADS", "1"),
            ("DOJO_SEED", "7"),
            ("DOJO_WORKSPACE", "/work"),
            ("HOME", "/work"),
        ] {
            assert_eq!(value(&variables, name).unwrap(), expected, "{name}");
        }
        assert_eq!(value(&variables, "LD_LIBRARY_PATH"), None);
        assert_eq!(value(&variables, "MKL_NUM_THREADS").unwrap(), "3");
    }
}
