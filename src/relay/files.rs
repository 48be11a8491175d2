//! Files that appear whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

/// Writes `bytes` beside `path` and renames, so that a reader sees the old content or the new one.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let written = create(&temporary, mode).and_then(|mut file| file.write_all(bytes));
    written
        .and_then(|()| fs::rename(&temporary, path))
        .inspect_err(|_| {
            // The error that counts is the one above.
            let _ = fs::remove_file(&temporary);
        })
}

/// As [`replace`], and on the disk when it returns: for what must not be lost to a power cut.
pub(super) fn replace_durably(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace(path, bytes, mode)?;
    File::open(path)?.sync_all()
}

/// As [`replace`], for a file that is written often. The content goes into the file that was replaced last time, `spare`,
/// and the two change places: on ext4, to make a new file each time and rename it over the old one costs 200 µs, since
/// that file system then writes the data out, and this costs 10. What is written must be in one piece; a reader sees
/// the old or the new one unless it keeps the file open over the next two writes.
pub(super) fn exchange(path: &Path, spare: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .open(spare)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    match rustix::fs::renameat_with(CWD, spare, CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // There is no file to change places with, or the file system cannot do it.
        Err(Errno::NOENT | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => fs::rename(spare, path),
        Err(error) => Err(error.into()),
    }
}

/// Writes into the file that is there: for a file that is a mount of its own and so cannot be renamed over. One write,
/// then the rest of a longer older content is cut.
pub(super) fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(false).open(path)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)
}

/// Creates a directory that only its owner may enter; one that exists gets that mode.
pub(super) fn private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

/// An empty file of the given mode, whatever the process's mask says.
fn create(path: &Path, mode: u32) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_has_the_new_content_and_mode_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "older and longer").unwrap();
        replace(&path, b"new", 0o640).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn files_that_change_places_show_the_last_content() {
        let dir = tempfile::tempdir().unwrap();
        let (path, spare) = (dir.path().join("file"), dir.path().join(".file"));
        for content in ["first", "the second, longer", "third", "4"] {
            exchange(&path, &spare, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(fs::read_to_string(&spare).unwrap(), "third");
    }

    #[test]
    fn an_overwritten_file_keeps_its_inode_and_loses_the_older_rest() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "older and longer").unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        overwrite(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    }
}
