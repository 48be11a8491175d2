//! Hands directories to the user that code runs as.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid, chownat, openat, statat};
use rustix::io;

const OPEN: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Gives `dir` and what is in it to a user. Never follows a link, and leaves alone what the user has already: executed
/// code of an earlier run made it.
pub(super) fn give(dir: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let owner = (Uid::from_raw(uid), Gid::from_raw(gid));
    give_entries(&openat(CWD, dir, OPEN, Mode::empty())?, owner)?;
    chownat(CWD, dir, Some(owner.0), Some(owner.1), AtFlags::SYMLINK_NOFOLLOW)
}

/// A directory comes after its entries, so that what an interrupted call left undone is done by the next.
fn give_entries(dir: &OwnedFd, owner: (Uid, Gid)) -> io::Result<()> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let found = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if found.st_uid == owner.0.as_raw() {
            continue;
        }
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            give_entries(&openat(dir, name, OPEN | OFlags::NOFOLLOW, Mode::empty())?, owner)?;
        }
        chownat(dir, name, Some(owner.0), Some(owner.1), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}
