//! The throw-away copy of a workspace that a validation runs in.

use std::ffi::CStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps, fchmod, futimens, mkdirat, openat,
    readlinkat, statat, symlinkat,
};
use rustix::io::Errno;
use thiserror::Error;

/// Largest workspace in bytes that is copied: 1 GiB.
const MAX_BYTES: u64 = 1024 * 1024 * 1024;
/// Most entries that are copied.
const MAX_ENTRIES: u64 = 20_000;
/// Deepest directory that is copied.
const MAX_DEPTH: u32 = 64;

/// Bytes of a file that are copied before a look whether the copy is still wanted: 16 MiB.
const AT_ONCE: u64 = 16 * 1024 * 1024;

/// Why there is no copy.
#[derive(Debug, Error)]
pub(super) enum CopyError {
    /// The workspace is over a cap.
    #[error(
        "the workspace has {0}, too much to copy for a validation (at most {MAX_ENTRIES} files, 1 GiB, {MAX_DEPTH} directories deep); \
         remove what is no longer needed, or execute the code instead"
    )]
    TooMuch(String),
    /// The file system refuses.
    #[error("the workspace cannot be copied for a validation: {0}")]
    Io(#[from] std::io::Error),
    /// The copy was no longer wanted.
    #[error("the copy was given up")]
    Cancelled,
    /// The time limit of the run passed.
    #[error("the workspace was still being copied when the time limit passed")]
    TimedOut,
}

impl From<Errno> for CopyError {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

/// Copies what is in `from` to `to`: files by sharing their blocks where the file system can, links as links. FIFOs,
/// sockets and devices are left out.
pub(super) fn copy(from: impl AsFd, to: impl AsFd, cancelled: &AtomicBool) -> Result<(), CopyError> {
    let mut copier = Copier {
        bytes: 0,
        entries: 0,
        cancelled,
    };
    copier.directory(from, to, 0)
}

struct Copier<'a> {
    bytes: u64,
    entries: u64,
    cancelled: &'a AtomicBool,
}

impl Copier<'_> {
    fn directory(&mut self, from: impl AsFd, to: impl AsFd, depth: u32) -> Result<(), CopyError> {
        if depth > MAX_DEPTH {
            return Err(CopyError::TooMuch(format!(
                "more than {MAX_DEPTH} directories in each other"
            )));
        }
        for entry in Dir::read_from(&from)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            self.go_on()?;
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(CopyError::TooMuch(format!("more than {MAX_ENTRIES} files")));
            }
            let stat = statat(&from, name, AtFlags::SYMLINK_NOFOLLOW)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => self.subdirectory(&from, &to, name, &stat, depth)?,
                FileType::RegularFile => self.file(&from, &to, name, &stat)?,
                FileType::Symlink => symlinkat(readlinkat(&from, name, Vec::new())?, &to, name)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn go_on(&self) -> Result<(), CopyError> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(CopyError::Cancelled);
        }
        Ok(())
    }

    fn subdirectory(
        &mut self,
        from: impl AsFd,
        to: impl AsFd,
        name: &CStr,
        stat: &Stat,
        depth: u32,
    ) -> Result<(), CopyError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        mkdirat(&to, name, Mode::RWXU)?;
        let copy = openat(to, name, flags, Mode::empty())?;
        match openat(from, name, flags, Mode::empty()) {
            Ok(original) => self.directory(&original, &copy, depth + 1)?,
            // Executed code cannot look into it either.
            Err(Errno::ACCESS) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(fchmod(&copy, Mode::from_raw_mode(stat.st_mode))?)
    }

    fn file(&mut self, from: impl AsFd, to: impl AsFd, name: &CStr, stat: &Stat) -> Result<(), CopyError> {
        self.bytes += u64::try_from(stat.st_size).unwrap_or(0);
        if self.bytes > MAX_BYTES {
            return Err(CopyError::TooMuch("more than 1 GiB".into()));
        }
        let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let copy = File::from(openat(to, name, write, Mode::RUSR | Mode::WUSR)?);
        match openat(from, name, read, Mode::empty()) {
            Ok(original) => {
                let mut original = File::from(original);
                if reflink_copy::reflink_file(&original, &copy).is_err() {
                    while std::io::copy(&mut (&mut original).take(AT_ONCE), &mut &copy)? > 0 {
                        self.go_on()?;
                    }
                }
            }
            Err(Errno::ACCESS) => {}
            Err(error) => return Err(error.into()),
        }
        fchmod(&copy, Mode::from_raw_mode(stat.st_mode))?;
        // Compiled modules are valid for one time of change.
        let time = |seconds, nanoseconds: u64| Timespec {
            tv_sec: seconds,
            tv_nsec: i64::try_from(nanoseconds).unwrap_or(0),
        };
        let times = Timestamps {
            last_access: time(stat.st_atime, stat.st_atime_nsec),
            last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
        };
        Ok(futimens(&copy, &times)?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::*;

    fn copied(from: &Path) -> Result<tempfile::TempDir, CopyError> {
        let to = tempfile::tempdir().unwrap();
        copy(
            File::open(from).unwrap(),
            File::open(to.path()).unwrap(),
            &AtomicBool::new(false),
        )?;
        Ok(to)
    }

    #[test]
    fn files_directories_and_links_are_copied_and_nothing_else() {
        let from = tempfile::tempdir().unwrap();
        fs::create_dir_all(from.path().join("a/b")).unwrap();
        fs::write(from.path().join("a/b/model.bin"), "weights").unwrap();
        fs::write(from.path().join("run.sh"), "").unwrap();
        fs::set_permissions(from.path().join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("/nonexistent", from.path().join("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            from.path().join("fifo"),
            FileType::Fifo,
            Mode::RWXU,
            0,
        )
        .unwrap();
        let to = copied(from.path()).unwrap();
        assert_eq!(
            fs::read_to_string(to.path().join("a/b/model.bin")).unwrap(),
            "weights"
        );
        assert_eq!(
            fs::read_link(to.path().join("link")).unwrap(),
            Path::new("/nonexistent")
        );
        assert_eq!(
            fs::metadata(to.path().join("run.sh"))
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o755
        );
        assert!(fs::symlink_metadata(to.path().join("fifo")).is_err());
        let modified = |dir: &Path| fs::metadata(dir.join("run.sh")).unwrap().modified().unwrap();
        assert_eq!(modified(to.path()), modified(from.path()));
    }

    #[test]
    fn a_workspace_over_a_cap_is_refused_with_what_to_do() {
        let from = tempfile::tempdir().unwrap();
        let large = File::create(from.path().join("large")).unwrap();
        large.set_len(MAX_BYTES + 1).unwrap();
        let error = copied(from.path()).unwrap_err().to_string();
        assert!(
            error.contains("more than 1 GiB") && error.contains("remove"),
            "{error}"
        );
        fs::remove_file(from.path().join("large")).unwrap();
        let deep = (0..=MAX_DEPTH).fold(from.path().to_owned(), |path, _| path.join("d"));
        fs::create_dir_all(deep).unwrap();
        assert!(matches!(copied(from.path()), Err(CopyError::TooMuch(_))));
    }

    #[test]
    fn a_copy_can_be_given_up() {
        let from = tempfile::tempdir().unwrap();
        fs::write(from.path().join("x"), "").unwrap();
        let to = tempfile::tempdir().unwrap();
        let outcome = copy(
            File::open(from.path()).unwrap(),
            File::open(to.path()).unwrap(),
            &AtomicBool::new(true),
        );
        assert!(matches!(outcome, Err(CopyError::Cancelled)));
    }
}
