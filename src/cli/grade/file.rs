//! A submission's file. It was made by code that nobody trusts: a pipe must not block, a link must not lead to the
//! answers, and a file that grows while it is read must not fill the memory.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;

use crate::grade::GradeError;

/// Reads a regular file of at most `max` bytes.
pub(super) fn read(path: &Path, max: u64) -> Result<Vec<u8>, GradeError> {
    let refuse = |what: String| GradeError::Invalid(format!("{} {what}", path.display()));
    // Without NONBLOCK, opening a pipe waits for its other end; with NOFOLLOW a link is an error of its own.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = open(path, flags, Mode::empty()).map_err(|error| {
        refuse(match error {
            Errno::NOENT => "does not exist".into(),
            Errno::LOOP => "is a symbolic link: a submission must be a regular file".into(),
            Errno::NXIO => "is a socket: a submission must be a regular file".into(),
            _ => format!("cannot be opened: {}", std::io::Error::from(error)),
        })
    })?;
    let status = fstat(&file).map_err(|error| refuse(format!("cannot be examined: {error}")))?;
    let kind = match FileType::from_raw_mode(status.st_mode) {
        FileType::RegularFile => None,
        FileType::Directory => Some("a directory"),
        FileType::Fifo => Some("a named pipe"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("a device"),
        _ => Some("a special file"),
    };
    if let Some(kind) = kind {
        return Err(refuse(format!("is {kind}: a submission must be a regular file")));
    }
    let too_large = |size: u64| refuse(format!("has {size} bytes, at most {max} are accepted"));
    let size = u64::try_from(status.st_size).unwrap_or(u64::MAX);
    if size > max {
        return Err(too_large(size));
    }
    let mut bytes = Vec::new();
    File::from(file)
        .take(max + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| refuse(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > max {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}
