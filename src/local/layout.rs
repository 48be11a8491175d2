//! Where the files of a run and of an episode are.
//!
//! ```text
//!   <out>/.dojo/           lock, logs of preparations
//!   <out>/<episode>/       episode.yaml, trajectory.jsonl, result.json, logs/, code/, workspace/
//!   <out>/<episode>/.state/   what the processes need: configuration, connection, executor's state, scratch
//! ```

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::plan::document::DEFAULT_NAMESPACE;

/// A directory with the episodes of a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RunDir {
    root: PathBuf,
}

impl RunDir {
    /// Makes it where it is not there.
    pub fn create(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let run = Self {
            root: fs::canonicalize(root)?,
        };
        fs::create_dir_all(run.own())?;
        Ok(run)
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the run's own files are: the lock and the logs of preparations.
    pub fn own(&self) -> PathBuf {
        // No name of a Kubernetes object begins with a dot.
        self.root.join(".dojo")
    }

    /// Held by the run that works here.
    pub fn lock(&self) -> PathBuf {
        self.own().join("lock")
    }

    /// Directory of an episode.
    pub fn episode(&self, metadata: &ObjectMeta) -> EpisodeDir {
        let name = metadata.name.as_deref().unwrap_or_default();
        let dir = match metadata.namespace.as_deref() {
            None | Some(DEFAULT_NAMESPACE) => name.to_owned(),
            // An underscore cannot be in either name, so no two episodes share a directory.
            Some(namespace) => format!("{namespace}_{name}"),
        };
        EpisodeDir {
            root: self.root.join(dir),
        }
    }
}

/// The directory of one episode.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EpisodeDir {
    root: PathBuf,
}

impl EpisodeDir {
    /// Makes the directory and those that the processes expect. `shared`: executed code runs under another user, which
    /// must be able to pass through to its own directories, and to read nothing else of this or another episode.
    pub fn create(&self, shared: bool) -> io::Result<()> {
        if shared {
            make(&self.root, 0o711)?;
            for dir in [self.logs(), self.code()] {
                make(&dir, 0o700)?;
            }
        } else {
            fs::create_dir_all(&self.root)?;
            fs::create_dir_all(self.logs())?;
        }
        make(&self.state(), if shared { 0o711 } else { 0o700 })?;
        for dir in [self.exec_state(), self.scratch(), self.workspace()] {
            make(&dir, 0o700)?;
        }
        Ok(())
    }

    /// Removes the directory with all it has.
    pub fn remove(&self) -> io::Result<()> {
        super::removal::remove(&self.root)
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The Episode with its status.
    pub fn episode(&self) -> PathBuf {
        self.root.join("episode.yaml")
    }

    /// The journal, which is the trajectory.
    pub fn trajectory(&self) -> PathBuf {
        self.root.join("trajectory.jsonl")
    }

    /// The relay's result file.
    pub fn result(&self) -> PathBuf {
        self.root.join("result.json")
    }

    /// Output of the processes and of each program.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Texts of the programs that were executed.
    pub fn code(&self) -> PathBuf {
        self.root.join("code")
    }

    /// Output of one role.
    pub fn log(&self, role: &str) -> PathBuf {
        self.logs().join(format!("{role}.log"))
    }

    /// The sandbox's workspace.
    pub fn workspace(&self) -> PathBuf {
        self.root.join("workspace")
    }

    /// What the processes need.
    pub fn state(&self) -> PathBuf {
        self.root.join(".state")
    }

    /// Configuration of the relay.
    pub fn relay_config(&self) -> PathBuf {
        self.state().join("relay-config.json")
    }

    /// URL and token, for the agent.
    pub fn connection(&self) -> PathBuf {
        self.state().join("connection.json")
    }

    /// What this episode was started with ([`super::resume::Configuration`]).
    pub fn configuration(&self) -> PathBuf {
        self.state().join("configuration.json")
    }

    /// Directory with the replay agent's file, under the name that its author gave it.
    pub fn actions(&self) -> PathBuf {
        self.state().join("actions")
    }

    /// The executor's own state.
    pub fn exec_state(&self) -> PathBuf {
        self.state().join("exec")
    }

    /// Temporary files of executed code.
    pub fn scratch(&self) -> PathBuf {
        self.state().join("scratch")
    }
}

/// Makes a directory with exactly this mode; one that is there keeps its own.
pub fn make(dir: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(dir) {
        Ok(()) => fs::set_permissions(dir, Permissions::from_mode(mode)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The directory that a file is in; `.` for a name alone.
pub fn dir_of(file: &Path) -> &Path {
    match file.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn episodes_of_two_namespaces_do_not_share_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(&dir.path().join("runs")).unwrap();
        let of = |namespace: Option<&str>, name: &str| {
            run.episode(&ObjectMeta {
                name: Some(name.into()),
                namespace: namespace.map(Into::into),
                ..ObjectMeta::default()
            })
        };
        assert_eq!(of(None, "a"), of(Some("default"), "a"));
        assert!(of(None, "a").root().ends_with("runs/a"));
        assert!(of(Some("lab"), "a").root().ends_with("runs/lab_a"));
    }

    #[test]
    fn what_is_private_is_so_whatever_the_umask() {
        let dir = tempfile::tempdir().unwrap();
        for (shared, expected) in [(true, 0o711), (false, 0o700)] {
            let episode = EpisodeDir {
                root: dir.path().join(format!("episode-{shared}")),
            };
            episode.create(shared).unwrap();
            episode.create(shared).unwrap();
            let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(episode.state()), expected);
            assert_eq!(mode(episode.exec_state()), 0o700);
            if shared {
                assert_eq!(mode(episode.root.clone()), 0o711);
                assert_eq!(mode(episode.logs()), 0o700);
                assert_eq!(mode(episode.code()), 0o700);
            }
        }
    }
}
