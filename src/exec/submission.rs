//! Hands over the submission that a program has written.

use std::ffi::CStr;
use std::fs::File;
use std::io::Read;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, renameat, statat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::workspace::{Workspace, entry};
use crate::wire::channel::{SubmissionFound, SubmissionRequest};
use crate::wire::frame::{CHUNK, Frame};
use crate::wire::hex;

/// Sends the submission in the workspace, if there is one that can be taken, and keeps it there under another name. No
/// executed code runs meanwhile, so what is looked at is what is read.
pub(super) async fn hand_over(
    workspace: &Workspace,
    run: u64,
    request: &SubmissionRequest,
    frames: &mpsc::Sender<Frame>,
) -> SubmissionFound {
    let name = match entry(&request.file) {
        Ok(name) => name,
        Err(_) => return refused(format!("{:?} is no file name", request.file)),
    };
    let mut file = match open(workspace, &name, request) {
        Ok(Some(file)) => file,
        Ok(None) => return SubmissionFound::Missing,
        Err(reason) => return refused(reason),
    };
    let mut digest = Sha256::new();
    let mut bytes = 0;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        match file.by_ref().take(CHUNK as u64).read_to_end(&mut chunk) {
            Ok(0) => break,
            Ok(count) => bytes += count as u64,
            Err(error) => return refused(format!("{} cannot be read: {error}", request.file)),
        }
        if bytes > request.max_bytes {
            return refused(too_large(request, bytes));
        }
        digest.update(&chunk);
        if frames.send(Frame::Submission(run, chunk)).await.is_err() {
            return refused("the connection to the relay is gone".into());
        }
    }
    if let Err(error) = keep(workspace, &name, &request.keep_as) {
        // It is graded all the same; before the next run whatever still has its name is removed.
        tracing::warn!(%error, keep_as = request.keep_as, "cannot keep the submission");
    }
    let sha256 = hex(&digest.finalize());
    SubmissionFound::Sent { bytes, sha256 }
}

/// Opens the submission; nothing where there is none, and the reason where it cannot be taken.
fn open(workspace: &Workspace, name: &CStr, request: &SubmissionRequest) -> Result<Option<File>, String> {
    let file = &request.file;
    let stat = match statat(workspace.dir(), name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(format!("{file} cannot be looked at: {error}")),
    };
    if let Some(what) = not_a_file(FileType::from_raw_mode(stat.st_mode)) {
        return Err(format!("{file} is {what}; write a regular file"));
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = openat(workspace.dir(), name, flags, Mode::empty())
        .map_err(|error| format!("{file} cannot be opened: {error}"))?;
    let stat = fstat(&opened).map_err(|error| format!("{file} cannot be looked at: {error}"))?;
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    if size > request.max_bytes {
        return Err(too_large(request, size));
    }
    Ok(Some(File::from(opened)))
}

fn not_a_file(kind: FileType) -> Option<&'static str> {
    match kind {
        FileType::RegularFile => None,
        FileType::Directory => Some("a directory"),
        FileType::Symlink => Some("a symbolic link"),
        FileType::Fifo => Some("a FIFO"),
        FileType::Socket => Some("a socket"),
        _ => Some("a device"),
    }
}

/// Renames the submission over whatever has the other name.
fn keep(workspace: &Workspace, name: &CStr, keep_as: &str) -> rustix::io::Result<()> {
    let kept = entry(keep_as)?;
    if *kept == *name {
        return Ok(());
    }
    workspace.remove(keep_as)?;
    renameat(workspace.dir(), name, workspace.dir(), &*kept)
}

fn too_large(request: &SubmissionRequest, bytes: u64) -> String {
    format!(
        "{} has {bytes} bytes, over the limit of {}",
        request.file, request.max_bytes
    )
}

fn refused(reason: String) -> SubmissionFound {
    SubmissionFound::Refused { reason }
}
