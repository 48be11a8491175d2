//! What the agent may be told of the public data: the beginning of the sample submission and the directory's shape.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use crate::env::{PublicFacts, TreeEntry};

/// Header and rows that are shown.
const SAMPLE_LINES: usize = 4;
/// Longest beginning of the sample submission that is looked at, in bytes.
const SAMPLE_BYTES: u64 = 64 * 1024;
/// Entries of one directory that are shown.
const ENTRIES: usize = 10;
/// Levels of directories that are looked into.
const DEPTH: usize = 4;

/// Looks at the public directory.
pub(super) fn facts(public: &Path) -> io::Result<PublicFacts> {
    Ok(PublicFacts {
        sample_submission: sample(&public.join("sample_submission.csv"))?,
        tree: entries(public, usize::MAX, DEPTH)?,
    })
}

/// The first lines of a file; none where there is no such file.
fn sample(path: &Path) -> io::Result<Option<String>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut beginning = Vec::new();
    file.take(SAMPLE_BYTES).read_to_end(&mut beginning)?;
    let text = String::from_utf8_lossy(&beginning);
    Ok(Some(
        text.split_inclusive('\n').take(SAMPLE_LINES).collect::<String>(),
    ))
}

/// The first `most` entries of a directory in name order; those that will be shown are looked into. A link is a leaf: it
/// may lead in a circle.
fn entries(dir: &Path, most: usize, depth: usize) -> io::Result<Vec<TreeEntry>> {
    let mut names = fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable();
    names
        .into_iter()
        .take(most)
        .enumerate()
        .map(|(index, name)| {
            let path = dir.join(&name);
            let is_dir = fs::symlink_metadata(&path)?.is_dir();
            Ok(TreeEntry {
                name: name.to_string_lossy().into_owned(),
                size: if is_dir {
                    fs::read_dir(&path)?.count() as u64
                } else {
                    // Through a link, so that its file's size is shown; a link to nothing has none.
                    fs::metadata(&path).map_or(0, |metadata| metadata.len())
                },
                children: match is_dir {
                    false => None,
                    true if depth == 0 || index >= ENTRIES => Some(Vec::new()),
                    true => Some(entries(&path, ENTRIES, depth - 1)?),
                },
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_a_header_and_three_rows() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(facts(dir.path()).unwrap().sample_submission, None);
        fs::write(
            dir.path().join("sample_submission.csv"),
            "id,y\n1,0\n2,0\n3,0\n4,0\n",
        )
        .unwrap();
        assert_eq!(
            facts(dir.path()).unwrap().sample_submission.as_deref(),
            Some("id,y\n1,0\n2,0\n3,0\n")
        );
    }

    #[test]
    fn a_directory_shows_its_first_ten_entries_and_counts_all() {
        let dir = tempfile::tempdir().unwrap();
        let images = dir.path().join("images");
        fs::create_dir(&images).unwrap();
        for index in 0..25 {
            fs::write(images.join(format!("{index:02}.png")), "pixel").unwrap();
        }
        std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
        let tree = facts(dir.path()).unwrap().tree;
        assert_eq!(
            tree.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(),
            ["images", "loop"]
        );
        assert_eq!(tree[0].size, 25);
        let children = tree[0].children.as_ref().unwrap();
        assert_eq!(children.len(), 10);
        assert_eq!((children[9].name.as_str(), children[9].size), ("09.png", 5));
        assert_eq!(tree[1].children, None);
    }
}
