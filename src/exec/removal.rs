//! Removes what executed code has left, whatever it is: trees of any depth and width, directories without permissions,
//! names that are no text. Links are removed, never followed.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, chmodat, openat, renameat, statat, unlinkat};
use rustix::io::{self, Errno};

const OPEN: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// What is needed to list a directory and to remove from it.
const FULL: Mode = Mode::RWXU;

/// Removes `name` in `dir`, if it is there.
pub(super) fn remove(dir: impl AsFd, name: &CStr) -> io::Result<()> {
    let dir = dir.as_fd();
    match kind(dir, name) {
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
        Ok(FileType::Directory) => {
            let inner = open(dir, name)?;
            empty(&inner, |_| true)?;
            unlinkat(dir, name, AtFlags::REMOVEDIR)
        }
        Ok(_) => unlinkat(dir, name, AtFlags::empty()),
    }
}

/// Removes the entries of `dir` that are `chosen`, and nothing else.
///
/// A tree may be deeper than a stack, the table of open files or a path can be. So each directory that is found inside
/// a directory of `dir` is moved up into `dir`, and looked at from there: two directories are open at a time.
pub(super) fn empty(dir: impl AsFd, chosen: impl Fn(&CStr) -> bool) -> io::Result<()> {
    let dir = dir.as_fd();
    let mut moved = Moved::default();
    loop {
        let mut found = false;
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." || !(chosen(name) || moved.is_one(name)) {
                continue;
            }
            found = true;
            if kind(dir, name)? == FileType::Directory {
                flatten(dir, &open(dir, name)?, &mut moved)?;
                unlinkat(dir, name, AtFlags::REMOVEDIR)?;
            } else {
                unlinkat(dir, name, AtFlags::empty())?;
            }
        }
        if !found {
            return Ok(());
        }
    }
}

/// Empties `inner`: its directories go up into `outer`.
fn flatten(outer: impl AsFd, inner: &OwnedFd, moved: &mut Moved) -> io::Result<()> {
    loop {
        let mut found = false;
        for entry in Dir::read_from(inner)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            found = true;
            if kind(inner, name)? != FileType::Directory {
                unlinkat(inner, name, AtFlags::empty())?;
            } else if unlinkat(inner, name, AtFlags::REMOVEDIR).is_err() {
                // To be moved, a directory must be writable itself: its parent is written in it.
                chmodat(inner, name, FULL, AtFlags::empty())?;
                // An empty directory of that name is replaced, which is as good; else it is the next name's turn.
                while let Err(error) = renameat(inner, name, &outer, moved.next()?) {
                    if ![Errno::EXIST, Errno::NOTEMPTY, Errno::NOTDIR].contains(&error) {
                        return Err(error);
                    }
                }
            }
        }
        if !found {
            return Ok(());
        }
    }
}

/// Names of directories that were moved up.
#[derive(Default)]
struct Moved {
    count: u64,
    last: CString,
}

impl Moved {
    const PREFIX: &str = ".dojo-removed-";

    fn next(&mut self) -> io::Result<&CStr> {
        self.count += 1;
        self.last = CString::new(format!("{}{}", Self::PREFIX, self.count)).map_err(|_| Errno::INVAL)?;
        Ok(&self.last)
    }

    fn is_one(&self, name: &CStr) -> bool {
        self.count > 0 && name.to_bytes().starts_with(Self::PREFIX.as_bytes())
    }
}

fn kind(dir: impl AsFd, name: &CStr) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(
        statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode,
    ))
}

/// Opens a directory, with permissions that allow to empty it. The caller knows that it is a directory, and nothing
/// else runs that could put a link in its place.
fn open(dir: impl AsFd, name: &CStr) -> io::Result<OwnedFd> {
    let mode = Mode::from_raw_mode(statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
    if !mode.contains(FULL) {
        chmodat(&dir, name, FULL, AtFlags::empty())?;
    }
    openat(dir, name, OPEN, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use rustix::fs::{CWD, mkdirat};

    use super::*;

    fn opened(path: &Path) -> OwnedFd {
        openat(CWD, path, OPEN, Mode::empty()).unwrap()
    }

    fn entries(path: &Path) -> usize {
        fs::read_dir(path).unwrap().count()
    }

    #[test]
    fn a_tree_deeper_than_any_path_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let top = opened(dir.path());
        let mut at = openat(&top, c".", OPEN, Mode::empty()).unwrap();
        for _ in 0..6000 {
            mkdirat(&at, c"d", Mode::from_raw_mode(0o755)).unwrap();
            at = openat(&at, c"d", OPEN, Mode::empty()).unwrap();
        }
        drop(at);
        empty(&top, |_| true).unwrap();
        assert_eq!(entries(dir.path()), 0);
    }

    #[test]
    fn odd_names_and_permissions_are_removed_and_links_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "kept").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        symlink(outside.path(), inner.join("link")).unwrap();
        symlink(outside.path(), dir.path().join("link")).unwrap();
        fs::write(inner.join(OsStr::from_bytes(b"\xff\n \x01")), "").unwrap();
        fs::create_dir_all(dir.path().join("a/closed/c")).unwrap();
        fs::create_dir_all(dir.path().join(".dojo-removed-1/x/y")).unwrap();
        fs::set_permissions(dir.path().join("a/closed"), fs::Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(dir.path().join("a"), fs::Permissions::from_mode(0o500)).unwrap();
        empty(opened(dir.path()), |_| true).unwrap();
        assert_eq!(entries(dir.path()), 0);
        assert_eq!(fs::read_to_string(outside.path().join("kept")).unwrap(), "kept");
    }

    #[test]
    fn only_what_is_named_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("submission.csv/x/y")).unwrap();
        fs::write(dir.path().join("model.bin"), "weights").unwrap();
        let top = opened(dir.path());
        remove(&top, c"submission.csv").unwrap();
        remove(&top, c"submission.csv").unwrap();
        assert_eq!(entries(dir.path()), 1);
        empty(&top, |name| name != c"model.bin").unwrap();
        assert_eq!(entries(dir.path()), 1);
    }
}
