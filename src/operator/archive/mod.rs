//! The archive: trajectories and logs in an object store, from which they can be read when their pod is long gone.
//!
//! | module | holds |
//! |---|---|
//! | `path` | which paths a pod may name |
//! | `pieces` | how a growing file lies in a store that cannot append |
//! | `seal` | making one object of a finished file |
//!
//! The store alone says what is there, so any replica can take the next piece. What a replica remembers of an attempt only
//! spares it the listing; it is read anew whenever a piece does not fit.

mod path;
mod pieces;
mod seal;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use reqwest::Url;
use thiserror::Error;

use crate::wire::report::{FileEntry, LOGS};
pub use path::FilePath;
pub use seal::Sealed;

/// Files of one attempt beside its logs.
const MAX_FILES: usize = 64;
/// Logs of one attempt: a step has at most a few.
const MAX_LOGS: usize = 8192;
/// Bytes of one attempt.
const MAX_BYTES: u64 = 4 << 30;
/// Attempts that a replica remembers; over it, it forgets all.
const REMEMBERED: usize = 512;

/// Why the archive does not do what it was asked.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The URL names no store.
    #[error("cannot use the archive {url:?}: {why}")]
    Unusable {
        /// The URL.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// An attempt wants more than it may have.
    #[error("{0}")]
    Full(String),
    /// The file is not what its relay said of it.
    #[error(
        "the archived {path} has the digest {found}, and its relay reports {expected}; its pieces are left as they are"
    )]
    Digest {
        /// The file.
        path: String,
        /// Digest of what is archived.
        found: String,
        /// Digest by the relay's word.
        expected: String,
    },
    /// The store failed.
    #[error("the archive's store failed: {0}")]
    Store(#[from] object_store::Error),
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Appended {
    /// It is there; the file is this long now.
    Taken(u64),
    /// There would be a gap: the file continues here.
    Elsewhere(u64),
}

/// Sizes of an attempt's files.
type Known = BTreeMap<FilePath, u64>;
/// The same as far as this replica knows, if at all. The lock is held while a piece is written.
type Remembered = Arc<tokio::sync::Mutex<Option<Known>>>;

/// An archive. Folders of attempts are made by [`crate::wire::report::archive_path`].
#[derive(Clone, Debug)]
pub struct Archive {
    store: Arc<dyn ObjectStore>,
    /// Folder of the archive within the store.
    base: Path,
    /// Its URL, without a slash at the end.
    url: String,
    /// By folder of the attempt.
    known: Arc<Mutex<HashMap<String, Remembered>>>,
}

impl Archive {
    /// Opens the archive at `url`: `file:///DIR`, `s3://`, `gs://`, `az://`, or `memory:///` for tests. `options` are those
    /// of the store's client, such as `AWS_ENDPOINT`; ones that it does not know are passed over.
    pub fn open(
        url: &str,
        options: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ArchiveError> {
        let unusable = |why: String| ArchiveError::Unusable {
            url: url.to_owned(),
            why,
        };
        let parsed = Url::parse(url).map_err(|error| {
            unusable(format!(
                "{error}; give a URL such as file:///var/lib/dojo or s3://bucket/folder"
            ))
        })?;
        // The stores' HTTP client takes the process's crypto library; an error says that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (store, base): (Arc<dyn ObjectStore>, Path) = if parsed.scheme() == "file" {
            let dir = parsed
                .to_file_path()
                .map_err(|()| unusable("a file URL has the form file:///DIR".into()))?;
            let store = std::fs::create_dir_all(&dir)
                .map_err(|error| unusable(error.to_string()))
                .and_then(|()| {
                    LocalFileSystem::new_with_prefix(&dir).map_err(|error| unusable(error.to_string()))
                })?;
            (Arc::new(store.with_automatic_cleanup(true)), Path::ROOT)
        } else {
            let (store, base) = object_store::parse_url_opts(&parsed, options)
                .map_err(|error| unusable(error.to_string()))?;
            (store.into(), base)
        };
        Ok(Self::over(store, base, url))
    }

    /// An archive in the folder `base` of a store that is open already.
    pub fn over(store: Arc<dyn ObjectStore>, base: Path, url: &str) -> Self {
        Self {
            store,
            base,
            url: url.trim_end_matches('/').to_owned(),
            known: Arc::default(),
        }
    }

    /// URI of a file; once it is sealed, an object is there.
    pub fn uri(&self, attempt: &str, path: &str) -> String {
        format!("{}/{attempt}/{path}", self.url)
    }

    /// Adds a piece of a file. The same piece again changes nothing.
    pub async fn append(
        &self,
        attempt: &str,
        path: &FilePath,
        offset: u64,
        bytes: Bytes,
    ) -> Result<Appended, ArchiveError> {
        let remembered = self.remembered(attempt);
        let mut remembered = remembered.lock().await;
        let fits = |known: &Known| known.get(path).is_some_and(|size| offset <= *size);
        let known = match remembered.take() {
            Some(known) if fits(&known) => known,
            // Another replica may have taken pieces, or this one knows nothing yet.
            _ => self.survey(attempt).await?,
        };
        let size = known.get(path).copied().unwrap_or(0);
        let known = remembered.insert(known);
        let end = offset.saturating_add(bytes.len() as u64);
        if offset > size {
            return Ok(Appended::Elsewhere(size));
        }
        if end <= size {
            return Ok(Appended::Taken(size));
        }
        room(known, path, end - size)?;
        let object = self.object(attempt, &pieces::object(path, offset));
        if let Err(error) = self.store.put(&object, bytes.into()).await {
            // It may have been written all the same.
            *remembered = None;
            return Err(error.into());
        }
        known.insert(path.clone(), end);
        Ok(Appended::Taken(end))
    }

    /// Files of an attempt, by path.
    pub async fn list(&self, attempt: &str) -> Result<Vec<FileEntry>, ArchiveError> {
        let files = self.survey(attempt).await?.into_iter();
        Ok(files
            .map(|(path, size)| FileEntry {
                path: path.as_str().to_owned(),
                size,
            })
            .collect())
    }

    /// The bytes of a file from `offset` on, with the number of them; unset: there is no such file.
    pub async fn read(
        &self,
        attempt: &str,
        path: &FilePath,
        offset: u64,
    ) -> Result<Option<(u64, BoxStream<'static, Result<Bytes, ArchiveError>>)>, ArchiveError> {
        let pieces = self.pieces(attempt, path).await?;
        let size = pieces::size(&pieces);
        if size == 0 {
            return Ok(None);
        }
        let reads: Vec<_> = pieces::plan(&pieces, offset)
            .into_iter()
            .map(|(piece, range)| (self.object(attempt, &piece.object), range))
            .collect();
        let store = Arc::clone(&self.store);
        let bytes = stream::iter(reads)
            .then(move |(object, range)| {
                let store = Arc::clone(&store);
                async move {
                    let options = GetOptions {
                        range: Some(GetRange::Bounded(range)),
                        ..GetOptions::default()
                    };
                    let piece = store.get_opts(&object, options).await?;
                    Ok::<_, ArchiveError>(piece.into_stream().map_err(ArchiveError::from))
                }
            })
            .try_flatten();
        Ok(Some((size.saturating_sub(offset), bytes.boxed())))
    }

    /// Sizes of an attempt's files, from the store.
    async fn survey(&self, attempt: &str) -> Result<Known, ArchiveError> {
        let files = pieces::by_file(self.objects(attempt, "").await?);
        Ok(files
            .into_iter()
            .map(|(path, pieces)| (path, pieces::size(&pieces)))
            .filter(|(_, size)| *size > 0)
            .collect())
    }

    /// Pieces of one file, in order.
    async fn pieces(&self, attempt: &str, path: &FilePath) -> Result<Vec<pieces::Piece>, ArchiveError> {
        let mut objects = self
            .objects(attempt, &format!("{}/{path}", pieces::PIECES))
            .await?;
        match self.store.head(&self.object(attempt, path.as_str())).await {
            Ok(sealed) => objects.push((path.as_str().to_owned(), sealed.size)),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(pieces::by_file(objects).remove(path).unwrap_or_default())
    }

    /// Objects below `folder` of an attempt, with their sizes.
    async fn objects(&self, attempt: &str, folder: &str) -> Result<Vec<(String, u64)>, ArchiveError> {
        let root = self.object(attempt, "");
        let prefix = self.object(attempt, folder);
        let objects: Vec<_> = self.store.list(Some(&prefix)).try_collect().await?;
        Ok(objects
            .into_iter()
            .filter_map(|meta| {
                let rest = meta.location.as_ref().strip_prefix(root.as_ref())?;
                Some((rest.trim_start_matches('/').to_owned(), meta.size))
            })
            .collect())
    }

    fn object(&self, attempt: &str, name: &str) -> Path {
        let mut path = self.base.clone();
        for part in attempt.split('/').chain(name.split('/')) {
            if !part.is_empty() {
                path = path.join(part);
            }
        }
        path
    }

    fn remembered(&self, attempt: &str) -> Remembered {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED && !all.contains_key(attempt) {
            all.clear();
        }
        Arc::clone(all.entry(attempt.to_owned()).or_default())
    }
}

/// Whether an attempt may have `more` bytes in `path`.
fn room(known: &Known, path: &FilePath, more: u64) -> Result<(), ArchiveError> {
    let is_log = |path: &FilePath| {
        path.as_str()
            .strip_prefix(LOGS)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    let alike = known.keys().filter(|other| is_log(other) == is_log(path)).count();
    let most = if is_log(path) { MAX_LOGS } else { MAX_FILES };
    if !known.contains_key(path) && alike >= most {
        return Err(ArchiveError::Full(format!(
            "the attempt has {alike} files of this kind and may have {most}; {path} is not archived"
        )));
    }
    let bytes: u64 = known.values().sum();
    if bytes.saturating_add(more) > MAX_BYTES {
        return Err(ArchiveError::Full(format!(
            "the attempt has {bytes} bytes in the archive and may have {MAX_BYTES}; {path} is archived no further"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
