//! The result file: rewritten after each step, and when a budget ends the episode.

use std::io;
use std::path::{Path, PathBuf};

use super::files;
use crate::wire::result::EpisodeResult;

/// Where the result goes.
#[derive(Debug)]
pub(super) struct ResultFile {
    path: PathBuf,
    /// Beside it, the result before.
    spare: PathBuf,
    /// A container's termination message is a mount of its own: it exists before the relay does and cannot be renamed
    /// over.
    in_place: bool,
}

impl ResultFile {
    /// A file in the relay's own state directory is replaced; one that exists elsewhere is overwritten.
    pub(super) fn new(path: PathBuf, state: &Path) -> Self {
        let in_place = path.exists() && !path.starts_with(state);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let spare = path.with_file_name(format!(".{name}.before"));
        Self {
            path,
            spare,
            in_place,
        }
    }

    /// Writes the result.
    pub(super) fn write(&self, result: &EpisodeResult) -> io::Result<()> {
        let bytes = result.to_bytes();
        if self.in_place {
            files::overwrite(&self.path, &bytes)
        } else {
            files::exchange(&self.path, &self.spare, &bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::api::status::RewardBasis;

    fn example() -> EpisodeResult {
        EpisodeResult {
            sequence: 4,
            outcome: None,
            task_error: None,
            sandbox_error: None,
            steps: 3,
            step_limit: 15,
            score: Some(0.987_654_321),
            reward: 0.75,
            basis: RewardBasis::HumanRank,
            valid_submission: true,
            places: vec![("private".into(), 12, 500)],
            medal: None,
            above_median: Some(true),
            wall_seconds: 12.5,
            execution_seconds: 8.0,
            cpu_seconds: 7.5,
            peak_memory_bytes: 123_456_789,
            trajectory_sha256: "a".repeat(64),
            trajectory_bytes: 12_345,
            executor: true,
            layers: vec!["landlock-abi-7".into()],
        }
    }

    #[test]
    fn a_file_that_exists_outside_the_state_directory_is_written_in_place() {
        use std::os::unix::fs::MetadataExt;
        let (state, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (dir, kept) in [(&state, false), (&other, true)] {
            let path = dir.path().join("result.json");
            fs::write(&path, "x".repeat(4000)).unwrap();
            // Held open, so that its inode cannot be given to the file that replaces it.
            let held = fs::File::open(&path).unwrap();
            ResultFile::new(path.clone(), state.path())
                .write(&example())
                .unwrap();
            let read: EpisodeResult = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            assert_eq!(read, example());
            let same = held.metadata().unwrap().ino() == fs::metadata(&path).unwrap().ino();
            assert_eq!(same, kept);
        }
    }
}
