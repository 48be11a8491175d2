//! The cache of environments and data: an entry is whole or not there.
//!
//! ```text
//!   <cache>/venvs/<digest>/          bin/python …, entry.json
//!   <cache>/data/<digest>/           public/, private/ (0700), prepare.py, entry.json
//!   <cache>/<kind>/<digest>.lock     held while it is built, so that parallel runs share one build
//! ```
//!
//! `entry.json` is written last and makes an entry valid. A virtual environment has its own path in its scripts, so an
//! entry is built where it stays; what an interrupted build left behind has no `entry.json` and goes before the next.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::layout::dir_of;
use super::lock::{Lock, wait_lock};
use super::removal::remove;
use super::signals::Stop;
use super::unready::{Doing, NotDone, Unready};

const MARK: &str = "entry.json";

/// A place in the cache.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    dir: PathBuf,
}

/// An entry that is being built; removed when it is dropped unfinished.
#[derive(Debug)]
pub struct Building {
    entry: Entry,
    finished: bool,
    _lock: Lock,
}

/// What [`Entry::open`] found.
#[derive(Debug)]
pub enum Found<T> {
    /// It is there.
    Whole(T),
    /// It is to be built; nobody else does.
    Absent(Building),
}

impl Entry {
    /// The entry of this kind (`venvs` or `data`) and digest.
    pub fn new(cache: &Path, kind: &str, digest: &str) -> Self {
        Self {
            dir: cache.join(kind).join(digest),
        }
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is recorded of a whole entry.
    fn record<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&fs::read(self.dir.join(MARK)).ok()?).ok()
    }

    /// Gives what is recorded of it, or the right to build it, after whoever builds it now. `usable` says whether a
    /// whole entry can still be used; `on_wait` is called when another process builds it.
    pub async fn open<T: DeserializeOwned>(
        &self,
        stop: &Stop,
        usable: impl Fn(&T) -> bool,
        on_wait: impl FnOnce(&str),
    ) -> Result<Found<T>, NotDone> {
        if let Some(record) = self.record().filter(&usable) {
            return Ok(Found::Whole(record));
        }
        let parent = dir_of(&self.dir);
        fs::create_dir_all(parent).doing(|| format!("create {}", parent.display()))?;
        let lock_file = self.dir.with_extension("lock");
        let lock = wait_lock(&lock_file, stop, on_wait)
            .await
            .doing(|| format!("lock {}", lock_file.display()))?
            .ok_or(NotDone::Stopped)?;
        if let Some(record) = self.record().filter(&usable) {
            return Ok(Found::Whole(record));
        }
        remove(&self.dir).doing(|| format!("remove {}", self.dir.display()))?;
        fs::create_dir(&self.dir).doing(|| format!("create {}", self.dir.display()))?;
        Ok(Found::Absent(Building {
            entry: self.clone(),
            finished: false,
            _lock: lock,
        }))
    }
}

impl Building {
    /// Where it is built.
    pub fn dir(&self) -> &Path {
        &self.entry.dir
    }

    /// Makes it whole.
    pub fn finish<T: Serialize>(mut self, record: &T) -> Result<(), Unready> {
        let mark = self.entry.dir.join(MARK);
        serde_json::to_vec_pretty(record)
            .map_err(io::Error::other)
            .and_then(|bytes| write_whole(&mark, &bytes))
            .doing(|| format!("write {}", mark.display()))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be removed now has no mark and is removed before the next build.
            let _ = remove(&self.entry.dir);
        }
    }
}

/// Writes a file that is whole or not there, to the disk too.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes, true)
}

/// As [`write_whole`], but without waiting for the disk: after a power cut the file may be an older one.
pub fn write_soon(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes, false)
}

fn write(path: &Path, bytes: &[u8], durably: bool) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    let mut file = fs::File::create(&fresh)?;
    io::Write::write_all(&mut file, bytes)?;
    if durably {
        file.sync_all()?;
    }
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn open(entry: &Entry) -> Found<u32> {
        let (_tell, stop) = Stop::by_hand();
        entry.open(&stop, |_| true, |_| {}).await.unwrap()
    }

    #[tokio::test]
    async fn an_entry_is_there_only_when_it_was_finished() {
        let cache = tempfile::tempdir().unwrap();
        let entry = Entry::new(cache.path(), "data", "abc");
        let Found::Absent(building) = open(&entry).await else {
            panic!("it cannot be there")
        };
        fs::write(building.dir().join("half"), "made").unwrap();
        drop(building);
        assert!(!entry.dir().exists());

        // What a killed process leaves behind.
        fs::create_dir_all(entry.dir().join("half")).unwrap();
        let Found::Absent(building) = open(&entry).await else {
            panic!("it has no mark")
        };
        assert!(!entry.dir().join("half").exists());
        building.finish(&7).unwrap();
        assert!(matches!(open(&entry).await, Found::Whole(7)));
    }

    #[tokio::test]
    async fn the_second_builder_waits_and_finds_what_the_first_has_built() {
        let cache = tempfile::tempdir().unwrap();
        let entry = Entry::new(cache.path(), "data", "abc");
        let Found::Absent(building) = open(&entry).await else {
            panic!("it cannot be there")
        };
        let (_tell, stop) = Stop::by_hand();
        let mut first = Some(building);
        let second = entry.open(
            &stop,
            |_: &u32| true,
            |holder| {
                assert_eq!(holder, "another task of this run");
                first.take().unwrap().finish(&1).unwrap();
            },
        );
        assert!(matches!(second.await.unwrap(), Found::Whole(1)));
    }

    #[tokio::test]
    async fn an_entry_that_cannot_be_used_any_more_is_built_anew() {
        let cache = tempfile::tempdir().unwrap();
        let entry = Entry::new(cache.path(), "venvs", "abc");
        if let Found::Absent(building) = open(&entry).await {
            building.finish(&1).unwrap();
        }
        let (_tell, stop) = Stop::by_hand();
        let found = entry
            .open(&stop, |record: &u32| *record > 1, |_| {})
            .await
            .unwrap();
        assert!(matches!(found, Found::Absent(_)));
    }
}
