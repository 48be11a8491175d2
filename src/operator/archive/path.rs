//! Paths of files within an attempt. They come from pods, so only plain ones are taken.

use std::fmt;

use super::pieces;

/// Longest path in bytes.
const MAX_PATH: usize = 256;
/// Longest segment in bytes: file systems take 255, and the store's unfinished files have somewhat longer names.
const MAX_SEGMENT: usize = 200;

/// A path such as `logs/execution_3.log`: segments of letters, digits, `.`, `_` and `-`, none of which begins with a dot or
/// could be the name of a piece.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct FilePath(String);

impl FilePath {
    /// Checks a path; unset: it is not one that is taken.
    pub fn parse(path: &str) -> Option<Self> {
        let plain = |segment: &str| {
            (1..=MAX_SEGMENT).contains(&segment.len())
                && !pieces::is_offset(segment)
                && !segment.starts_with('.')
                && segment
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        };
        (path.len() <= MAX_PATH && path.split('/').all(plain)).then(|| Self(path.to_owned()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_are_taken() {
        for path in ["trajectory.jsonl", "logs/execution_3.log", "a/b/c-d/E..f"] {
            assert_eq!(FilePath::parse(path).unwrap().as_str(), path);
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        let long = "x/".repeat(128) + "x";
        let long_segment = "x".repeat(201);
        for path in [
            "",
            "/",
            "/etc/passwd",
            "logs/",
            "logs//x",
            "..",
            "../x",
            "logs/../../x",
            "logs/./x",
            ".pieces/trajectory.jsonl/00000000000000000000",
            "logs/.hidden",
            "a b",
            "a%2fb",
            "a\\b",
            "a\0b",
            "ä",
            "x#1",
            &long,
            &long_segment,
            // The first piece of `k`.
            "k/00000000000000000000",
            "00000000000000000017/k",
        ] {
            assert_eq!(FilePath::parse(path), None, "{path:?}");
        }
    }
}
