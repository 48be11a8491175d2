//! What executed code leaves behind outside its workspace: temporary files and shared memory.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, fchmod, openat};
use rustix::process::geteuid;

use super::isolate::{MEMORY_TEMPORARY, TEMPORARY};
use super::layout::SHARED_MEMORY;
use super::removal;

/// Longest path for temporary files. UNIX sockets that multiprocessing makes below it may have 107 bytes with 42 of
/// their own.
const LONGEST: usize = 64;

/// Where executed code puts temporary files and shared memory.
#[derive(Debug)]
pub(super) struct Scratch {
    /// On disk.
    disk: PathBuf,
    /// How executed code knows it.
    pub name: PathBuf,
    /// A short link to it, removed at the end.
    link: Option<PathBuf>,
    /// File systems in memory that belong to executed code alone.
    pub memory: Vec<PathBuf>,
    /// Whether the user of this executor is its own, and with it what this user has in the machine's shared memory.
    own_user: bool,
    /// What was in them before any code ran: directories of the private root that other directories are mounted in.
    kept: BTreeSet<CString>,
}

impl Scratch {
    /// `private`: whether this is a private root directory. `own_user`: whether the user is this executor's alone. Where
    /// neither is so, what executed code leaves in the machine's shared memory stays there: it cannot be told from what
    /// other programs of the user keep there.
    pub(super) fn new(disk: PathBuf, private: bool, own_user: bool) -> Self {
        if private {
            let memory = vec![MEMORY_TEMPORARY.into(), SHARED_MEMORY.into()];
            let there = fs::read_dir(MEMORY_TEMPORARY).into_iter().flatten().flatten();
            let kept = there
                .filter_map(|entry| CString::new(entry.file_name().into_encoded_bytes()).ok())
                .collect();
            return Self {
                disk,
                name: TEMPORARY.into(),
                link: None,
                memory,
                own_user,
                kept,
            };
        }
        // In a container, process 1 and its descendants have /dev/shm for themselves.
        let alone = rustix::process::getpid().is_init();
        let memory = if alone {
            vec![SHARED_MEMORY.into()]
        } else {
            Vec::new()
        };
        let link = (disk.as_os_str().len() > LONGEST)
            .then(|| short_link(&disk))
            .flatten();
        Self {
            name: link.clone().unwrap_or_else(|| disk.clone()),
            disk,
            link,
            memory,
            own_user,
            kept: BTreeSet::new(),
        }
    }

    /// Directories that executed code may write to, besides its workspace.
    pub(super) fn writable(&self) -> Vec<PathBuf> {
        let shared = Some(PathBuf::from(SHARED_MEMORY)).filter(|dir| !self.memory.contains(dir));
        [self.disk.clone(), self.name.clone()]
            .into_iter()
            .chain(self.memory.clone())
            .chain(shared)
            .collect()
    }

    /// Removes what a run has left that began at `began`, in seconds since 1970. No executed code runs any more.
    pub(super) fn wipe(&self, began: i64) {
        for dir in [&self.disk].into_iter().chain(&self.memory) {
            if let Err(error) =
                open(dir).and_then(|dir| removal::empty(&dir, |name| !self.kept.contains(name)))
            {
                tracing::warn!(%error, ?dir, "temporary files of executed code are left");
            }
        }
        if self.own_user && self.memory.iter().all(|dir| dir != Path::new(SHARED_MEMORY)) {
            wipe_shared(began);
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            // The directory of temporary files is cleaned by the system where this fails.
            let _ = fs::remove_file(link);
        }
    }
}

fn open(dir: &Path) -> rustix::io::Result<OwnedFd> {
    let opened = openat(
        CWD,
        dir,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    // Executed code owns the one on disk and may have closed it; on the others this fails and is not needed.
    let _ = fchmod(&opened, Mode::RWXU);
    Ok(opened)
}

fn short_link(disk: &Path) -> Option<PathBuf> {
    let link = std::env::temp_dir().join(format!("dojo-{}", std::process::id()));
    // An earlier executor with this number may have been killed.
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(disk, &link).ok().map(|()| link)
}

/// Removes from the machine's shared memory what a run has left there: files of this user that were made since it began
/// and that no process uses. For a user that no other program has.
fn wipe_shared(began: i64) {
    let left: Vec<PathBuf> = fs::read_dir(SHARED_MEMORY)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            entry
                .metadata()
                .is_ok_and(|found| found.uid() == geteuid().as_raw() && found.ctime() >= began)
        })
        .map(|entry| entry.path())
        .collect();
    if left.is_empty() {
        return;
    }
    let used = in_use();
    for path in left
        .iter()
        .filter(|path| !used.iter().any(|user| user.starts_with(path)))
    {
        // Another executor of this user may have been quicker.
        let _ = if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
    }
}

/// Files in shared memory that some process of this user has open or mapped.
fn in_use() -> BTreeSet<PathBuf> {
    let mut used = BTreeSet::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let open = fs::read_dir(process.path().join("fd"))
            .into_iter()
            .flatten()
            .flatten();
        used.extend(
            open.filter_map(|fd| fs::read_link(fd.path()).ok())
                .filter(|path| path.starts_with(SHARED_MEMORY)),
        );
        let maps = fs::read_to_string(process.path().join("maps")).unwrap_or_default();
        used.extend(
            maps.lines()
                .filter_map(|line| line.find(SHARED_MEMORY).map(|at| PathBuf::from(&line[at..]))),
        );
    }
    used
}
