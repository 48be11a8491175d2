//! Making one object of a finished file, so that what the status names is a plain file.

use futures::stream::TryStreamExt;
use object_store::{ObjectStoreExt, WriteMultipart};
use sha2::{Digest, Sha256};

use super::path::FilePath;
use super::{Archive, ArchiveError};
use crate::wire::hex;

/// Parts of an upload that are under way at one time.
const PARTS: usize = 2;

/// What became of a file that was to be sealed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sealed {
    /// It is one object.
    Done,
    /// It has this size so far, and not the one that was reported.
    Incomplete(u64),
}

impl Archive {
    /// Makes one object of the file, if it has the reported size and digest (SHA-256, hexadecimal). Its pieces go then. A file
    /// that is sealed already stays as it is; one that has grown since is sealed anew.
    pub async fn seal(
        &self,
        attempt: &str,
        path: &FilePath,
        size: u64,
        sha256: &str,
    ) -> Result<Sealed, ArchiveError> {
        let pieces = self.pieces(attempt, path).await?;
        let found = super::pieces::size(&pieces);
        if found != size || size == 0 {
            return Ok(Sealed::Incomplete(found));
        }
        if !pieces.iter().any(|piece| piece.sealed() && piece.length == size) {
            self.unite(attempt, path, sha256).await?;
        }
        for piece in pieces.iter().filter(|piece| !piece.sealed()) {
            match self.store.delete(&self.object(attempt, &piece.object)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Sealed::Done)
    }

    /// Writes the whole file as one object, which appears only if the digest is right.
    async fn unite(&self, attempt: &str, path: &FilePath, expected: &str) -> Result<(), ArchiveError> {
        let object = self.object(attempt, path.as_str());
        let mut upload = WriteMultipart::new(self.store.put_multipart(&object).await?);
        let mut digest = Sha256::new();
        let copied = async {
            if let Some((_, mut bytes)) = self.read(attempt, path, 0).await? {
                while let Some(bytes) = bytes.try_next().await? {
                    digest.update(&bytes);
                    upload.wait_for_capacity(PARTS).await?;
                    upload.put(bytes);
                }
            }
            let found = hex(&digest.finalize());
            if found != expected {
                return Err(ArchiveError::Digest {
                    path: path.to_string(),
                    found,
                    expected: expected.to_owned(),
                });
            }
            Ok(())
        }
        .await;
        match copied {
            Ok(()) => {
                upload.finish().await?;
                Ok(())
            }
            Err(error) => {
                // The error that counts is the one above.
                let _ = upload.abort().await;
                Err(error)
            }
        }
    }
}
