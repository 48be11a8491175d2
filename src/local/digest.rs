//! The digest of prepared data.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::plan::pod::PREPARED;
use crate::wire::hex;

/// What stands beside data in a volume of a cluster and is none: the mark of what has prepared them, and what a file system
/// keeps for itself.
const NO_DATA: &[&str] = &[PREPARED, "lost+found"];

/// SHA-256 over the names, sizes and contents of everything below `public` and `private`. A link counts by its target's
/// path, not by what is there.
pub fn of_data(public: &Path, private: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    for (name, dir) in [("public", public), ("private", private)] {
        entry(&mut hash, b'd', name.as_bytes(), 0);
        directory(&mut hash, dir, Path::new(name))?;
    }
    Ok(hex(&hash.finalize()))
}

/// Lengths and kinds come before contents, so that no two trees give the same bytes.
fn entry(hash: &mut Sha256, kind: u8, name: &[u8], size: u64) {
    hash.update([kind]);
    hash.update((name.len() as u64).to_be_bytes());
    hash.update(name);
    hash.update(size.to_be_bytes());
}

fn directory(hash: &mut Sha256, dir: &Path, relative: &Path) -> io::Result<()> {
    let mut names = Vec::new();
    for found in fs::read_dir(dir)? {
        names.push(found?.file_name());
    }
    names.sort();
    // At the top only: `relative` is the name of the side there.
    let top = relative.components().count() == 1;
    names.retain(|name| !(top && NO_DATA.iter().any(|other| name == other)));
    for name in names {
        let path = dir.join(&name);
        let relative = relative.join(&name);
        let shown = relative.as_os_str().as_bytes();
        let facts = fs::symlink_metadata(&path)?;
        if facts.is_dir() {
            entry(hash, b'd', shown, 0);
            directory(hash, &path, &relative)?;
        } else if facts.is_symlink() {
            let target = fs::read_link(&path)?;
            let target = target.as_os_str().as_bytes();
            entry(hash, b'l', shown, target.len() as u64);
            hash.update(target);
        } else if facts.is_file() {
            entry(hash, b'f', shown, facts.len());
            content(hash, &path)?;
        } else {
            return Err(io::Error::other(format!(
                "{} is neither a file nor a directory nor a link",
                path.display()
            )));
        }
    }
    Ok(())
}

fn content(hash: &mut Sha256, path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            count => hash.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> String {
        let dir = tempfile::tempdir().unwrap();
        for side in ["public", "private"] {
            fs::create_dir(dir.path().join(side)).unwrap();
        }
        for (name, content) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        of_data(&dir.path().join("public"), &dir.path().join("private")).unwrap()
    }

    #[test]
    fn names_contents_and_sides_all_count() {
        let base = tree(&[("public/a", "1"), ("private/b", "2")]);
        assert_eq!(base, tree(&[("private/b", "2"), ("public/a", "1")]));
        for other in [
            tree(&[("public/a", "1"), ("private/b", "3")]),
            tree(&[("public/a", "1"), ("private/c", "2")]),
            tree(&[("public/a", "1"), ("public/b", "2")]),
            tree(&[("public/a", "1"), ("private/d/b", "2")]),
            tree(&[("public/a", "1"), ("private/b", "2"), ("private/e", "")]),
        ] {
            assert_ne!(base, other);
        }
        assert_eq!(
            base,
            tree(&[("public/a", "1"), ("private/b", "2"), ("private/.prepared", "x")])
        );
        assert_ne!(
            base,
            tree(&[
                ("public/a", "1"),
                ("private/b", "2"),
                ("private/c/.prepared", "x")
            ])
        );
        // The same bytes in another order of borders.
        assert_ne!(tree(&[("public/a", "bc")]), tree(&[("public/ab", "c")]));
    }

    #[test]
    fn a_pipe_among_the_data_is_named_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        let error = of_data(dir.path(), dir.path()).unwrap_err().to_string();
        assert!(error.contains("fifo is neither a file"), "{error}");
    }
}
