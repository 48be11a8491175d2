//! File locks: one run in a directory, one builder of a cache entry, one episode for a user id.
//!
//! All are flock(2) locks of the open file: the kernel gives them back when the last process that holds the file ends,
//! however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::signals::Stop;

/// How often a lock that others hold is asked for again.
const POLL: Duration = Duration::from_millis(50);

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes the lock if nobody has it, and writes this process's id into the file. Else the id of who has it.
pub fn try_lock(path: &Path) -> io::Result<Result<Lock, String>> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    if locked(&file)? {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        return Ok(Ok(Lock { _file: file }));
    }
    let mut holder = String::new();
    file.read_to_string(&mut holder)?;
    Ok(Err(holder.trim().to_owned()))
}

/// Takes the lock as soon as nobody has it; `None` when it is time to stop. `on_wait` is called once with who has it.
pub async fn wait_lock(path: &Path, stop: &Stop, on_wait: impl FnOnce(&str)) -> io::Result<Option<Lock>> {
    let own = std::process::id().to_string();
    let mut on_wait = Some(on_wait);
    loop {
        match try_lock(path)? {
            Ok(lock) => return Ok(Some(lock)),
            Err(holder) => {
                if let Some(tell) = on_wait.take() {
                    if holder == own {
                        tell("another task of this run");
                    } else {
                        tell(&format!("process {holder}"));
                    }
                }
            }
        }
        tokio::select! {
            () = sleep(POLL) => {}
            () = stop.wait() => return Ok(None),
        }
    }
}

/// Opens a log for appending, with a lock that every process shares whose output goes there. So it is free when none of
/// an earlier run is left. Fails with [`io::ErrorKind::WouldBlock`] when that takes longer than `patience`.
pub async fn open_log(path: &Path, patience: Duration) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    let deadline = Instant::now() + patience;
    while !locked(&file)? {
        if Instant::now() > deadline {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        sleep(POLL).await;
    }
    Ok(file)
}

fn locked(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_for_one_and_names_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = try_lock(&path).unwrap().unwrap();
        assert_eq!(
            try_lock(&path).unwrap().unwrap_err(),
            std::process::id().to_string()
        );
        drop(first);
        assert!(try_lock(&path).unwrap().is_ok());
    }

    #[tokio::test]
    async fn waiting_for_a_lock_ends_when_it_is_time_to_stop() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = try_lock(&path).unwrap().unwrap();
        let (tell, stop) = Stop::by_hand();
        let waiting = wait_lock(&path, &stop, |_| {
            tell.send(super::super::signals::Urgency::Stop).unwrap();
        });
        assert!(waiting.await.unwrap().is_none());
        drop(held);
    }

    #[tokio::test]
    async fn a_log_stays_locked_while_a_process_writes_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = open_log(&path, Duration::ZERO).await.unwrap();
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .spawn()
            .unwrap();
        drop(log);
        let refused = open_log(&path, Duration::ZERO).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(child.stdin.take());
        child.wait().unwrap();
        open_log(&path, Duration::ZERO).await.unwrap();
    }
}
