//! Removes what executed code has left: trees of any depth, and directories that it has closed. Links are removed, never
//! followed.
//!
//! There is no recursion: what lies deeper is moved up until the top directory has it all, so neither the stack nor the
//! number of open files grows with the depth.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, chmodat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

/// Removes a directory with all it has, if it is there.
pub fn remove(dir: &Path) -> io::Result<()> {
    match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(facts) if !facts.is_dir() => return fs::remove_file(dir),
        Ok(_) => {}
    }
    let name = CString::new(dir.as_os_str().as_encoded_bytes())?;
    let top = open(CWD, &name)?;
    let mut waiting: VecDeque<CString> = empty(&top)?.into();
    let mut moved = 0_u64;
    while let Some(name) = waiting.pop_front() {
        match unlinkat(&top, &name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => continue,
            Err(_) => {}
        }
        let inner = open(&top, &name)?;
        for deeper in empty(&inner)? {
            waiting.push_back(lift(&inner, &deeper, &top, &mut moved)?);
        }
        unlinkat(&top, &name, AtFlags::REMOVEDIR)?;
    }
    fs::remove_dir(dir)
}

/// Removes all from a directory but the directories in it, whose names it gives.
fn empty(dir: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut directories = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                FileType::from_raw_mode(statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
            }
            known => known,
        };
        match kind {
            FileType::Directory => directories.push(name.to_owned()),
            _ => unlinkat(dir, name, AtFlags::empty())?,
        }
    }
    Ok(directories)
}

/// Moves a directory into the top directory, under a name that nothing there has, and gives that name.
fn lift(from: &OwnedFd, name: &CStr, top: &OwnedFd, moved: &mut u64) -> io::Result<CString> {
    // To give a directory another parent, one must be able to write to it.
    chmodat(from, name, Mode::RWXU, AtFlags::empty())?;
    loop {
        *moved += 1;
        let new = CString::new(format!("{moved}.moved"))?;
        match renameat(from, name, top, &new) {
            Ok(()) => return Ok(new),
            // It is taken by something of the tree's own.
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Opens a directory so that everything can be removed from it.
fn open(parent: impl AsFd, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    chmodat(&parent, name, Mode::RWXU, AtFlags::empty())?;
    Ok(openat(&parent, name, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rustix::fs::mkdirat;

    use super::*;

    #[test]
    fn directories_that_are_closed_are_removed_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, other) = (dir.path().join("tree"), dir.path().join("other"));
        fs::create_dir_all(tree.join("a/closed/deeper/1.moved")).unwrap();
        fs::create_dir_all(tree.join("1.moved/full")).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("precious"), "x").unwrap();
        fs::write(tree.join("a/closed/file"), "x").unwrap();
        symlink(&other, tree.join("a/link")).unwrap();
        for (path, mode) in [("a/closed/deeper", 0), ("a/closed", 0), ("a", 0o500), ("", 0)] {
            fs::set_permissions(tree.join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        remove(&tree).unwrap();
        assert!(!tree.exists());
        assert!(other.join("precious").exists());
        remove(&tree).unwrap();
    }

    #[test]
    fn a_tree_that_is_deeper_than_files_can_be_open_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let mut at = OwnedFd::from(fs::File::open(&tree).unwrap());
        for _ in 0..2_000 {
            mkdirat(&at, c"d", Mode::RWXU).unwrap();
            at = openat(&at, c"d", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        }
        drop(at);
        remove(&tree).unwrap();
        assert!(!tree.exists());
    }
}
