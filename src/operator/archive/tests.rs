use object_store::memory::InMemory;
use sha2::{Digest, Sha256};

use super::*;
use crate::wire::hex;

const ATTEMPT: &str = "ns/ep/uid/1";

/// Two replicas over a store in memory, two over a directory.
fn pairs() -> Vec<(Archive, Archive, Option<tempfile::TempDir>)> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let memory = || {
        Archive::over(
            Arc::clone(&store),
            Path::from("some/folder"),
            "memory:///some/folder/",
        )
    };
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}/below", dir.path().display());
    let local = || Archive::open(&url, []).unwrap();
    vec![(memory(), memory(), None), (local(), local(), Some(dir))]
}

fn file(path: &str) -> FilePath {
    FilePath::parse(path).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

async fn put(archive: &Archive, path: &str, offset: u64, bytes: &'static [u8]) -> Appended {
    archive
        .append(ATTEMPT, &file(path), offset, Bytes::from_static(bytes))
        .await
        .unwrap()
}

async fn text(archive: &Archive, path: &str, offset: u64) -> Option<String> {
    let (length, bytes) = archive.read(ATTEMPT, &file(path), offset).await.unwrap()?;
    let bytes: Vec<u8> = bytes.try_concat_vec().await;
    assert_eq!(bytes.len() as u64, length);
    Some(String::from_utf8(bytes).unwrap())
}

trait Concat {
    async fn try_concat_vec(self) -> Vec<u8>;
}

impl Concat for BoxStream<'static, Result<Bytes, ArchiveError>> {
    async fn try_concat_vec(mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(bytes) = self.try_next().await.unwrap() {
            all.extend_from_slice(&bytes);
        }
        all
    }
}

#[tokio::test]
async fn a_file_grows_through_two_replicas_and_is_read_from_either() {
    for (a, b, _dir) in pairs() {
        assert_eq!(put(&a, "trajectory.jsonl", 0, b"one\n").await, Appended::Taken(4));
        assert_eq!(put(&b, "trajectory.jsonl", 4, b"two\n").await, Appended::Taken(8));
        assert_eq!(
            put(&a, "trajectory.jsonl", 8, b"three\n").await,
            Appended::Taken(14)
        );
        assert_eq!(
            put(&b, "logs/execution_1.log", 0, b"hi").await,
            Appended::Taken(2)
        );
        for archive in [&a, &b] {
            assert_eq!(
                text(archive, "trajectory.jsonl", 0).await.unwrap(),
                "one\ntwo\nthree\n"
            );
            assert_eq!(text(archive, "trajectory.jsonl", 6).await.unwrap(), "o\nthree\n");
            assert_eq!(text(archive, "trajectory.jsonl", 99).await.unwrap(), "");
            assert_eq!(text(archive, "logs/none.log", 0).await, None);
            let list = archive.list(ATTEMPT).await.unwrap();
            let sizes: Vec<_> = list.iter().map(|file| (file.path.as_str(), file.size)).collect();
            assert_eq!(sizes, [("logs/execution_1.log", 2), ("trajectory.jsonl", 14)]);
        }
        assert!(a.list("ns/ep/uid/2").await.unwrap().is_empty());
        assert!(a.list("ns/ep/uid/11").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_gap_is_refused_with_the_place_where_the_file_continues() {
    for (a, b, _dir) in pairs() {
        assert_eq!(put(&a, "f", 3, b"x").await, Appended::Elsewhere(0));
        assert_eq!(put(&a, "f", 0, b"ab").await, Appended::Taken(2));
        assert_eq!(put(&b, "f", 3, b"x").await, Appended::Elsewhere(2));
        assert_eq!(text(&b, "f", 0).await.unwrap(), "ab");
    }
}

#[tokio::test]
async fn a_repeated_piece_changes_nothing_and_a_longer_one_adds_its_end() {
    for (a, b, _dir) in pairs() {
        put(&a, "f", 0, b"abc").await;
        put(&a, "f", 3, b"def").await;
        for archive in [&a, &b] {
            assert_eq!(put(archive, "f", 3, b"def").await, Appended::Taken(6));
            assert_eq!(put(archive, "f", 1, b"b").await, Appended::Taken(6));
        }
        assert_eq!(put(&b, "f", 3, b"defgh").await, Appended::Taken(8));
        assert_eq!(put(&a, "f", 8, b"i").await, Appended::Taken(9));
        assert_eq!(text(&a, "f", 0).await.unwrap(), "abcdefghi");
    }
}

#[tokio::test]
async fn a_sealed_file_is_one_object_and_can_still_grow() {
    for (a, b, dir) in pairs() {
        let path = file("trajectory.jsonl");
        put(&a, path.as_str(), 0, b"one\n").await;
        put(&b, path.as_str(), 4, b"two\n").await;
        assert_eq!(
            a.seal(ATTEMPT, &path, 9, &sha256(b"one\ntwo\n")).await.unwrap(),
            Sealed::Incomplete(8)
        );
        let wrong = a.seal(ATTEMPT, &path, 8, &sha256(b"other")).await.unwrap_err();
        assert!(matches!(wrong, ArchiveError::Digest { .. }), "{wrong}");
        for archive in [&a, &b] {
            let sealed = archive.seal(ATTEMPT, &path, 8, &sha256(b"one\ntwo\n")).await;
            assert_eq!(sealed.unwrap(), Sealed::Done);
        }
        assert_eq!(
            a.objects(ATTEMPT, "").await.unwrap(),
            [("trajectory.jsonl".into(), 8)]
        );
        if let Some(dir) = &dir {
            let uri = a.uri(ATTEMPT, path.as_str());
            let named = uri.strip_prefix("file://").unwrap();
            assert!(named.starts_with(dir.path().to_str().unwrap()));
            assert_eq!(std::fs::read(named).unwrap(), b"one\ntwo\n");
        }
        assert_eq!(put(&b, path.as_str(), 0, b"one\n").await, Appended::Taken(8));
        assert_eq!(put(&b, path.as_str(), 8, b"three\n").await, Appended::Taken(14));
        assert_eq!(text(&a, path.as_str(), 2).await.unwrap(), "e\ntwo\nthree\n");
        let whole = sha256(b"one\ntwo\nthree\n");
        assert_eq!(b.seal(ATTEMPT, &path, 14, &whole).await.unwrap(), Sealed::Done);
        assert_eq!(text(&a, path.as_str(), 0).await.unwrap(), "one\ntwo\nthree\n");
    }
}

#[tokio::test]
async fn an_attempt_has_a_bounded_number_of_files() {
    let (archive, ..) = pairs().remove(0);
    for n in 0..MAX_FILES {
        put(&archive, &format!("f{n}"), 0, b"x").await;
    }
    let over = archive
        .append(ATTEMPT, &file("one-more"), 0, Bytes::from_static(b"x"))
        .await;
    assert!(matches!(over, Err(ArchiveError::Full(_))), "{over:?}");
    assert_eq!(put(&archive, "f0", 1, b"y").await, Appended::Taken(2));
    assert_eq!(
        put(&archive, "logs/execution_1.log", 0, b"y").await,
        Appended::Taken(1)
    );
}

#[test]
fn an_attempt_has_a_bounded_number_of_bytes() {
    let known: Known = [(file("f"), MAX_BYTES - 1)].into();
    assert!(room(&known, &file("g"), 1).is_ok());
    assert!(room(&known, &file("g"), 2).is_err());
}

#[test]
fn a_url_that_names_no_store_is_refused_with_the_reason() {
    for url in ["", "/var/lib/dojo", "ftp://x/y", "file://host/x"] {
        let error = Archive::open(url, []).unwrap_err().to_string();
        assert!(error.contains(&format!("{url:?}")), "{error}");
    }
}

#[test]
fn stores_of_three_clouds_can_be_opened() {
    let options = [
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "b"),
        ("AWS_REGION", "eu-central-1"),
        ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
        ("AZURE_STORAGE_ACCOUNT_KEY", "a2V5"),
        ("PATH", "/bin"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()));
    for url in [
        "s3://bucket/folder/",
        "gs://bucket/folder",
        "az://container/folder",
    ] {
        let archive = Archive::open(url, options.clone()).unwrap();
        assert_eq!(archive.base.as_ref(), "folder");
        assert_eq!(
            archive.uri("a/b", "c"),
            format!("{}/a/b/c", url.trim_end_matches('/'))
        );
    }
}
