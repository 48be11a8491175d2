//! The result file: rewritten after each step, and when a budget ends the episode.

use std::io;
use std::path::{Path, PathBuf};

use super::files;
use crate::wire::result::{EpisodeResult, MAX_RESULT_BYTES};

/// Longest text of a broken Task, in characters.
const MAX_TASK_ERROR: usize = 200;
/// What is left of it where the result would be too long.
const SHORT_TASK_ERROR: usize = 80;

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
        let bytes = encode(result)?;
        if self.in_place {
            files::overwrite(&self.path, &bytes)
        } else {
            files::exchange(&self.path, &self.spare, &bytes)
        }
    }
}

/// At most [`MAX_RESULT_BYTES`] of JSON. What is said elsewhere too (layers, places) gives way first.
fn encode(result: &EpisodeResult) -> io::Result<Vec<u8>> {
    let mut result = result.clone();
    shorten(&mut result.task_error, MAX_TASK_ERROR);
    let shrink: [fn(&mut EpisodeResult); 4] = [
        |_| {},
        |result| result.layers.clear(),
        |result| result.places.clear(),
        |result| shorten(&mut result.task_error, SHORT_TASK_ERROR),
    ];
    let mut bytes = Vec::new();
    for step in shrink {
        step(&mut result);
        bytes = serde_json::to_vec(&result)?;
        if bytes.len() <= MAX_RESULT_BYTES {
            break;
        }
    }
    Ok(bytes)
}

fn shorten(text: &mut Option<String>, characters: usize) {
    if let Some(text) = text
        && let Some((end, _)) = text.char_indices().nth(characters)
    {
        text.truncate(end);
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
    fn an_ordinary_result_is_written_whole() {
        let bytes = encode(&example()).unwrap();
        assert!(bytes.len() < MAX_RESULT_BYTES);
        assert_eq!(
            serde_json::from_slice::<EpisodeResult>(&bytes).unwrap(),
            example()
        );
    }

    #[test]
    fn no_result_is_longer_than_the_limit() {
        let mut result = example();
        result.layers = vec!["x".repeat(64); 32];
        assert!(encode(&result).unwrap().len() <= MAX_RESULT_BYTES);
        result.places = vec![("y".repeat(63), u64::MAX, u64::MAX); 4];
        result.task_error = Some("\u{1}".repeat(1000));
        let bytes = encode(&result).unwrap();
        assert!(bytes.len() <= MAX_RESULT_BYTES, "{}", bytes.len());
        let read: EpisodeResult = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(read.score, result.score);
        assert!(read.task_error.is_some() && read.executor);
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
