//! A directory that executed code works in, as the executor touches it: by a descriptor that it opened before any code
//! ran, and only while no code runs.

use std::ffi::{CString, OsStr};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, fchmod, fstat, openat};
use rustix::io;

use super::removal;

/// A directory that executed code works in.
#[derive(Debug)]
pub(super) struct Workspace {
    dir: OwnedFd,
    /// Permissions that it had at first.
    mode: Mode,
}

impl Workspace {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(CWD, path, flags, Mode::empty())?;
        let mode = Mode::from_raw_mode(fstat(&dir)?.st_mode) | Mode::RWXU;
        Ok(Self { dir, mode })
    }

    /// The open directory.
    pub(super) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Gives the directory the permissions that it had at first: executed code may have taken them away. A volume of a
    /// pod belongs to root, and neither that code nor this process can change them.
    pub(super) fn restore(&self) -> io::Result<()> {
        if Mode::from_raw_mode(fstat(&self.dir)?.st_mode) == self.mode {
            return Ok(());
        }
        fchmod(&self.dir, self.mode)
    }

    /// Removes an entry, whatever it is.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        removal::remove(&self.dir, &entry(name)?)
    }

    /// Removes everything.
    pub(super) fn empty(&self) -> io::Result<()> {
        self.restore()?;
        removal::empty(&self.dir, |_| true)
    }

    /// Writes a new file in place of whatever has its name.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> std::io::Result<()> {
        self.remove(name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.dir, &*entry(name)?, flags, Mode::from_raw_mode(0o644))?;
        std::fs::File::from(file).write_all(content)
    }
}

/// A name of an entry: not empty, without a directory, and not a way out.
pub(super) fn entry(name: &str) -> io::Result<CString> {
    let plain = Path::new(name).file_name() == Some(OsStr::from_bytes(name.as_bytes()));
    if plain {
        CString::new(name).map_err(|_| io::Errno::INVAL)
    } else {
        Err(io::Errno::INVAL)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_name_with_a_way_out_is_refused() {
        for name in ["", ".", "..", "a/b", "/etc/passwd", "a/", "../x", "a\0b"] {
            assert!(entry(name).is_err(), "{name:?}");
        }
        assert_eq!(entry("execution_3.py").unwrap().as_c_str(), c"execution_3.py");
    }

    #[test]
    fn a_file_is_written_in_place_of_a_link_and_not_through_it() {
        let outside = tempfile::tempdir().unwrap();
        let target = outside.path().join("target");
        fs::write(&target, "kept").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(dir.path()).unwrap();
        symlink(&target, dir.path().join("p.py")).unwrap();
        workspace.write("p.py", b"new").unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("p.py")).unwrap(), "new");
        assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
    }

    #[test]
    fn permissions_that_were_taken_away_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(dir.path()).unwrap();
        let before = fs::metadata(dir.path()).unwrap().permissions().mode();
        fs::write(dir.path().join("x"), "").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o000)).unwrap();
        workspace.empty().unwrap();
        assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode(), before);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
