//! A place for the sockets of a run. The path of a socket has 108 bytes, which leaves no room for a run's directory.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::layout::make;
use crate::wire::hex;

const PREFIX: &str = "dojo-";
const LOCK: &str = "lock";

/// A directory for sockets that goes when it is dropped, or with the next run when this one was killed.
#[derive(Debug)]
pub struct SocketDir {
    dir: PathBuf,
    /// Locked as long as the run lives.
    _lock: File,
}

impl SocketDir {
    /// Makes one in `parent`.
    pub fn create(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let dir = parent.join(format!("{PREFIX}{}", hex(&random)));
        // Fails where it exists, whoever made it.
        DirBuilder::new().create(&dir)?;
        fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
        // Under its name only when it is locked: one that is not locked has no owner any more.
        let new = dir.join("lock.new");
        let lock = File::create(&new)?;
        lock.try_lock()?;
        fs::rename(new, dir.join(LOCK))?;
        Ok(Self { dir, _lock: lock })
    }

    /// The socket of the episode with this number.
    pub fn socket(&self, number: usize) -> io::Result<PathBuf> {
        let dir = self.dir.join(number.to_string());
        make(&dir, 0o711)?;
        Ok(dir.join("exec.sock"))
    }
}

impl Drop for SocketDir {
    fn drop(&mut self) {
        // The next run sweeps what is left.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Removes what runs of this user left behind that were killed. What cannot be removed does no harm.
fn sweep(parent: &Path) {
    let user = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && fs::symlink_metadata(entry.path()).is_ok_and(|facts| facts.is_dir() && facts.uid() == user);
        let left = ours && File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if left {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_goes_with_the_next_and_what_lives_stays() {
        let parent = tempfile::tempdir().unwrap();
        let killed = parent.path().join("dojo-killed");
        fs::create_dir_all(killed.join("0")).unwrap();
        fs::write(killed.join(LOCK), "").unwrap();
        let foreign = parent.path().join("dojo-without-lock");
        fs::create_dir(&foreign).unwrap();
        let living = SocketDir::create(parent.path()).unwrap();
        let other = SocketDir::create(parent.path()).unwrap();
        assert!(!killed.exists());
        assert!(foreign.exists() && living.dir.exists());
        let socket = other.socket(3).unwrap();
        assert!(socket.ends_with("3/exec.sock") && socket.parent().unwrap().is_dir());
        drop(other);
        assert!(!socket.parent().unwrap().exists());
    }
}
