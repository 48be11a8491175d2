//! Public and private data of a task: prepared into the cache, or taken from where the Task says.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cache::{Building, Entry, Found};
use super::digest;
use super::layout::make;
use super::process::{Invocation, Ran, run};
use super::progress::Line;
use super::python::Python;
use super::signals::Stop;
use super::unready::{Doing, NotDone, Unready};
use super::venv::Environment;
use crate::api::task::VolumeSource;
use crate::api::{EvaluationSpec, Task};
use crate::plan::pod::PREPARE_CALL;
use crate::wire::hex;

/// Changes when the same `prepare` would come to other data.
const CALL_VERSION: u32 = 1;

/// Data that episodes can work on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Data {
    /// What the agent may read.
    pub public: PathBuf,
    /// Answers and leaderboards.
    pub private: PathBuf,
    /// SHA-256 over names, sizes and contents.
    pub digest: String,
}

/// The files of a Task's data that stand in the YAML.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// Content of `prepare.py`.
    Prepare(Vec<u8>),
    /// A directory with `public/` and `private/`.
    Path(PathBuf),
    /// Files by name, from ConfigMaps.
    Files {
        /// Public ones.
        public: BTreeMap<String, Vec<u8>>,
        /// Private ones.
        private: BTreeMap<String, Vec<u8>>,
    },
}

/// What data are made with.
#[derive(Clone, Copy, Debug)]
pub struct Maker<'a> {
    /// This program's own executable.
    pub dojo: &'a Path,
    /// Root of the cache.
    pub cache: &'a Path,
    /// The interpreter that environments are made from.
    pub python: &'a Python,
    /// What `prepare` runs under.
    pub environment: &'a Environment,
    /// Log of the preparation.
    pub log: &'a Path,
    /// Whether executed code runs under another user.
    pub shared: bool,
}

#[derive(Debug, Deserialize, Serialize)]
struct Record {
    digest: String,
}

/// A volume that this machine cannot mount; unset: it can be used here.
pub fn unsupported(volume: &VolumeSource) -> Option<&'static str> {
    if volume.persistent_volume_claim.is_some() {
        Some("persistentVolumeClaim")
    } else if volume.image.is_some() {
        Some("image")
    } else {
        None
    }
}

/// Digest of what decides on prepared data.
fn prepared_digest(prepare: &[u8], requirements: &[String], python: &Python) -> String {
    let mut hash = Sha256::new();
    hash.update(CALL_VERSION.to_be_bytes());
    hash.update((prepare.len() as u64).to_be_bytes());
    hash.update(prepare);
    // Where the interpreter lies does not matter here, only which one it is.
    let anywhere = Python {
        base_executable: PathBuf::new(),
        ..python.clone()
    };
    hash.update(super::venv::digest(requirements, &anywhere).as_bytes());
    hex(&hash.finalize())
}

fn files_digest(public: &BTreeMap<String, Vec<u8>>, private: &BTreeMap<String, Vec<u8>>) -> String {
    let mut hash = Sha256::new();
    for files in [public, private] {
        hash.update((files.len() as u64).to_be_bytes());
        for (name, content) in files {
            for part in [name.as_bytes(), content] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
    }
    hex(&hash.finalize())
}

/// The data of a task, made if they are not there, with everything that grading needs.
pub async fn ensure(
    maker: Maker<'_>,
    task: &Task,
    source: &Source,
    stop: &Stop,
    line: &Line,
) -> Result<Data, NotDone> {
    let evaluation = &task.spec.evaluation;
    let key = match source {
        Source::Path(path) => return Ok(existing(path, evaluation, maker.shared).await?),
        Source::Prepare(prepare) => {
            prepared_digest(prepare, &task.spec.environment.requirements, maker.python)
        }
        Source::Files { public, private } => files_digest(public, private),
    };
    let entry = Entry::new(maker.cache, "data", &key);
    let (public, private) = (entry.dir().join("public"), entry.dir().join("private"));
    let found = entry
        .open(
            stop,
            |_: &Record| public.is_dir() && private.is_dir(),
            |holder| {
                line.say(&format!("waiting for {holder}, which prepares the same data"));
            },
        )
        .await?;
    let digest = match found {
        Found::Whole(Record { digest }) => {
            check(&private, evaluation)?;
            digest
        }
        Found::Absent(building) => {
            let dir = building.dir().to_owned();
            make(&public, 0o755)
                .and_then(|()| make(&private, 0o700))
                .doing(|| format!("create directories in {}", dir.display()))?;
            match source {
                Source::Prepare(code) => prepare(maker, &building, code, stop, line).await?,
                Source::Files {
                    public: open,
                    private: closed,
                } => {
                    write_files(&public, open)?;
                    write_files(&private, closed)?;
                }
                Source::Path(_) => {}
            }
            finish(building, &public, &private, evaluation, maker.log).await?
        }
    };
    Ok(Data {
        public,
        private,
        digest,
    })
}

async fn prepare(
    maker: Maker<'_>,
    building: &Building,
    code: &[u8],
    stop: &Stop,
    line: &Line,
) -> Result<(), NotDone> {
    line.say("preparing data");
    let dir = building.dir();
    let (file, raw) = (dir.join("prepare.py"), dir.join("raw"));
    fs::write(&file, code).doing(|| format!("write {}", file.display()))?;
    make(&raw, 0o700).doing(|| format!("create {}", raw.display()))?;
    let mut log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(maker.log)
        .doing(|| format!("write {}", maker.log.display()))?;
    let mut args: Vec<OsString> = vec!["-c".into(), PREPARE_CALL.into()];
    args.extend([&file, &raw, &dir.join("public"), &dir.join("private")].map(OsString::from));
    let what = Invocation {
        program: maker.environment.python.clone(),
        args,
        env: [
            ("PYTHONUNBUFFERED", "1"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            // The order of sets of text, so that the same code comes to the same data.
            ("PYTHONHASHSEED", "0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        cwd: dir.to_owned(),
    };
    let ran = run(maker.dojo, &what, &mut log, stop, |text| line.detail(text))
        .await
        .doing(|| format!("run {}", what.program.display()))?;
    // An author's prepare may have removed `raw` itself.
    super::removal::remove(&raw).doing(|| format!("remove {}", raw.display()))?;
    match ran {
        Ran::Well => Ok(()),
        Ran::Stopped => Err(NotDone::Stopped),
        Ran::Badly { code, tail } => Err(Unready::task(
            "PrepareFailed",
            format!("prepare ended with exit code {code}:\n{tail}"),
        )
        .with_log(maker.log)
        .into()),
    }
}

async fn finish(
    building: Building,
    public: &Path,
    private: &Path,
    evaluation: &EvaluationSpec,
    log: &Path,
) -> Result<String, NotDone> {
    check(private, evaluation).map_err(|unready| unready.with_log(log))?;
    let empty = fs::read_dir(public)
        .doing(|| format!("read {}", public.display()))?
        .next()
        .is_none();
    if empty {
        return Err(Unready::task(
            "DataIncomplete",
            "there are no public data: prepare has left `public` empty",
        )
        .with_log(log)
        .into());
    }
    make_readable(public).doing(|| format!("make {} readable", public.display()))?;
    let digest = digest_of(public, private).await?;
    building.finish(&Record {
        digest: digest.clone(),
    })?;
    Ok(digest)
}

/// Data that the author has prepared.
async fn existing(path: &Path, evaluation: &EvaluationSpec, shared: bool) -> Result<Data, Unready> {
    // Without links and dots: executed code sees nothing of the way there.
    let real = |side: &str| {
        let side = path.join(side);
        fs::canonicalize(&side).unwrap_or(side)
    };
    let [public, private] = ["public", "private"].map(real);
    for side in [&public, &private] {
        if !side.is_dir() {
            return Err(Unready::task(
                "DataIncomplete",
                format!(
                    "{} is no directory: data.path names a directory with public/ and private/",
                    side.display()
                ),
            ));
        }
    }
    check(&private, evaluation)?;
    if shared && let Some(hidden) = unreadable(&public).doing(|| format!("read {}", public.display()))? {
        return Err(Unready::task(
            "DataUnreadable",
            format!(
                "executed code runs under a user of its own and cannot read {}: `chmod -R a+rX {}`",
                hidden.display(),
                public.display()
            ),
        ));
    }
    let digest = digest_of(&public, &private).await?;
    Ok(Data {
        public,
        private,
        digest,
    })
}

async fn digest_of(public: &Path, private: &Path) -> Result<String, Unready> {
    let (open, closed) = (public.to_owned(), private.to_owned());
    tokio::task::spawn_blocking(move || digest::of_data(&open, &closed))
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
        .doing(|| format!("read the data in {}", public.display()))
}

/// Everything that grading reads must be there before an agent spends an hour.
fn check(private: &Path, evaluation: &EvaluationSpec) -> Result<(), Unready> {
    let boards = evaluation.leaderboards.iter().map(|board| &board.file);
    let missing: Vec<&str> = std::iter::once(&evaluation.answers)
        .chain(boards)
        .filter(|file| !private.join(file).is_file())
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut there: Vec<String> = fs::read_dir(private)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    there.sort();
    let there = if there.is_empty() {
        "they have nothing".to_owned()
    } else {
        format!("they have {}", there.join(", "))
    };
    Err(Unready::task(
        "DataIncomplete",
        format!("the private data lack {}: {there}", missing.join(" and ")),
    ))
}

/// Something in or below `dir` that other users cannot read.
fn unreadable(dir: &Path) -> io::Result<Option<PathBuf>> {
    let lacks = |path: &Path, bits: u32| -> io::Result<bool> {
        Ok(fs::metadata(path)?.permissions().mode() & bits != bits)
    };
    if lacks(dir, 0o005)? {
        return Ok(Some(dir.to_owned()));
    }
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let facts = fs::symlink_metadata(&path)?;
        if facts.is_dir() {
            if let Some(found) = unreadable(&path)? {
                return Ok(Some(found));
            }
        } else if facts.is_file() && lacks(&path, 0o004)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn write_files(dir: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<(), Unready> {
    for (name, content) in files {
        // Keys of a ConfigMap have no slashes.
        let path = dir.join(name);
        fs::write(&path, content).doing(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// Executed code may run under another user; whatever umask `prepare` had, it can read what is public.
fn make_readable(dir: &Path) -> io::Result<()> {
    let mode = fs::metadata(dir)?.permissions().mode();
    fs::set_permissions(dir, Permissions::from_mode(mode | 0o555))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let facts = fs::symlink_metadata(entry.path())?;
        if facts.is_dir() {
            make_readable(&entry.path())?;
        } else if facts.is_file() {
            let mode = facts.permissions().mode();
            fs::set_permissions(entry.path(), Permissions::from_mode(mode | 0o444))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_cannot_read_is_found_and_made_readable() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("public");
        make(&root, 0o755).unwrap();
        make(&root.join("images"), 0o755).unwrap();
        let file = root.join("images/1.png");
        fs::write(&file, "x").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(unreadable(&root).unwrap(), Some(file));
        make_readable(&root).unwrap();
        assert_eq!(unreadable(&root).unwrap(), None);
        fs::set_permissions(&root, Permissions::from_mode(0o700)).unwrap();
        assert_eq!(unreadable(&root).unwrap(), Some(root));
    }

    #[test]
    fn prepared_data_depend_on_code_requirements_and_python_but_not_on_its_place() {
        let python = Python {
            executable: "/usr/bin/python3".into(),
            base_executable: "/usr/bin/python3".into(),
            prefix: "/usr".into(),
            base_prefix: "/usr".into(),
            paths: Vec::new(),
            version: "3.12.1".into(),
            implementation: "CPython".into(),
            platform: "linux-x86_64".into(),
            has_venv: true,
        };
        let base = prepared_digest(b"code", &["pandas".into()], &python);
        let elsewhere = Python {
            base_executable: "/opt/python3".into(),
            ..python.clone()
        };
        assert_eq!(base, prepared_digest(b"code", &["pandas".into()], &elsewhere));
        let newer = Python {
            version: "3.13.0".into(),
            ..python.clone()
        };
        assert_ne!(base, prepared_digest(b"code", &["pandas".into()], &newer));
        assert_ne!(base, prepared_digest(b"edoc", &["pandas".into()], &python));
        assert_ne!(base, prepared_digest(b"code", &[], &python));
    }

    #[test]
    fn files_of_config_maps_have_a_digest_that_knows_sides_and_borders() {
        let files = |pairs: &[(&str, &str)]| -> BTreeMap<String, Vec<u8>> {
            let all = pairs.iter();
            all.map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
                .collect()
        };
        let (a, b) = (files(&[("a", "xy")]), files(&[("b", "z")]));
        let base = files_digest(&a, &b);
        assert_ne!(base, files_digest(&b, &a));
        assert_ne!(base, files_digest(&files(&[("ax", "y")]), &b));
        assert_ne!(
            base,
            files_digest(&files(&[("a", "xy"), ("b", "z")]), &files(&[]))
        );
    }
}
