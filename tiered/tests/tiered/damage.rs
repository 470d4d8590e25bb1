//! Flipped bits, wherever they are: found, named, never handed out.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use headwater_tiered::{
    ReadError, SegmentKey, SegmentRef, Store, StoreErrorKind, StoreOptions, UploadError,
    VerifyError,
};
use tempfile::TempDir;

use crate::source::{Source, base_offset, chunks, next_offset, reader};

/// One segment in a directory, whose bytes can be changed.
struct Fixture {
    dir: TempDir,
    store: Store,
    source: Source,
    segment: SegmentRef,
}

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("file://{}", dir.path().display());
        let store = Store::open(&url, StoreOptions::default()).unwrap();
        let source = Source::dense(900, 2 << 20, 30_000);
        let segment = source.upload(&store).await;
        Self {
            dir,
            store,
            source,
            segment,
        }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join(&self.segment.key)
    }

    fn flip(&self, position: u64) {
        let mut bytes = fs::read(self.file()).unwrap();
        bytes[position as usize] ^= 4;
        fs::write(self.file(), bytes).unwrap();
    }

    /// Where the batch with this number begins.
    fn position(&self, batch: usize) -> u64 {
        let before = &self.source.batches[..batch];
        before.iter().map(|batch| batch.len() as u64).sum()
    }

    /// Reads all that can be read; what was, and the offsets that were not.
    async fn read_all(&self) -> (Vec<Bytes>, Vec<(u64, u64)>) {
        let (reader, _dir) = reader(&self.store, 4 << 20);
        let (mut offset, mut read, mut corrupt) =
            (self.segment.base_offset, Vec::new(), Vec::new());
        while offset < self.segment.end_offset {
            let segments = std::slice::from_ref(&self.segment);
            match reader.read(segments, offset, 100_000).await {
                Ok(batches) => {
                    offset = next_offset(batches.last().unwrap());
                    read.extend(batches);
                }
                Err(ReadError::Corrupt { from, to, .. }) => {
                    assert!(to > offset, "reading goes on");
                    corrupt.push((from, to));
                    offset = to;
                }
                Err(error) => panic!("{error}"),
            }
        }
        (read, corrupt)
    }
}

/// Both ways of comparing an object with its row see the same.
async fn verify(store: &Store, segment: &SegmentRef) -> Result<(), VerifyError> {
    let found = store.verify(segment).await;
    assert_eq!(store.verify_written(segment).await, found);
    found
}

#[tokio::test]
async fn a_bit_in_the_data() {
    // Header fields by their place: those that a batch's checksum covers, and those it does not.
    for (place, what) in [
        (3, "base offset, high"),
        (7, "base offset, low"),
        (9, "length, high"),
        (11, "length, low"),
        (16, "magic"),
        (19, "checksum"),
        (24, "last offset"),
        (15_000, "a value"),
    ] {
        let fixture = Fixture::new().await;
        let batch = 20;
        let position = fixture.position(batch) + place;
        fixture.flip(position);
        match verify(&fixture.store, &fixture.segment).await {
            Err(VerifyError::Damaged { bytes, offsets, .. }) => {
                assert!(bytes.contains(&position) && bytes.end - bytes.start <= 256 << 10);
                assert!(offsets.contains(&base_offset(&fixture.source.batches[batch])));
                assert!(offsets.end - offsets.start < 100, "{offsets:?}");
            }
            other => panic!("{what}: {other:?}"),
        }
        let (read, corrupt) = fixture.read_all().await;
        let (before, after) = fixture.source.batches.split_at(batch);
        let lost = base_offset(&after[0])..next_offset(&after[0]);
        // A wrong length or magic leaves only the index to go on from: it knows each batch as long
        // as this one.
        assert_eq!(corrupt, [(lost.start, lost.end)], "{what}");
        let kept: Vec<_> = before.iter().chain(&after[1..]).cloned().collect();
        assert!(read == kept, "{what}");
    }
}

#[tokio::test]
async fn a_bit_behind_the_data() {
    let fixture = Fixture::new().await;
    let pristine = fs::read(fixture.file()).unwrap();
    let segment = &fixture.segment;
    let all = (segment.base_offset, segment.end_offset);
    let size = segment.size_bytes;
    for (position, what) in [
        (segment.data_bytes + 5, "producers"),
        (segment.index_position - 1, "the producers' checksum"),
        (segment.index_position, "index"),
        (size - 36 - 10, "footer"),
        (size - 36, "trailer, data length"),
        (size - 16, "trailer, format"),
        (size - 12, "trailer, checksum"),
        (size - 1, "trailer, magic"),
    ] {
        fs::write(fixture.file(), &pristine).unwrap();
        fixture.flip(position);
        match verify(&fixture.store, segment).await {
            Err(VerifyError::Damaged { bytes, .. }) => {
                assert!(bytes.contains(&position), "{what}: {bytes:?}");
            }
            other => panic!("{what}: {other:?}"),
        }
        let (read, corrupt) = fixture.read_all().await;
        let (cold, _dir) = reader(&fixture.store, 0);
        let producers = cold.producers(segment).await;
        if position < segment.index_position {
            // Reading does not need them.
            assert!(read == fixture.source.batches, "{what}");
            assert!(
                matches!(producers, Err(ReadError::Corrupt { .. })),
                "{what}"
            );
        } else {
            assert_eq!(corrupt, [all], "{what}");
            assert!(producers.is_ok(), "{what}");
            let error = fixture.store.inspect(&segment.key).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{what}");
        }
    }
}

#[tokio::test]
async fn missing_short_long_and_another() {
    let fixture = Fixture::new().await;
    let (store, segment) = (&fixture.store, &fixture.segment);
    let pristine = fs::read(fixture.file()).unwrap();
    for change in [-40_000, -1, 1] {
        let mut bytes = pristine.clone();
        let found = bytes.len().saturating_add_signed(change);
        bytes.resize(found, 0);
        fs::write(fixture.file(), bytes).unwrap();
        assert_eq!(
            verify(store, segment).await,
            Err(VerifyError::Size {
                written: segment.size_bytes,
                found: found as u64
            })
        );
        let (_, corrupt) = fixture.read_all().await;
        assert_eq!(corrupt, [(segment.base_offset, segment.end_offset)]);
    }
    fs::write(fixture.file(), &pristine).unwrap();
    let mut another = segment.clone();
    another.record_count += 1;
    let verified = store.verify(&another).await;
    assert!(
        matches!(verified, Err(VerifyError::Another(_))),
        "{verified:?}"
    );
    fs::remove_file(fixture.file()).unwrap();
    assert_eq!(verify(store, segment).await, Err(VerifyError::Missing));
}

#[tokio::test]
async fn rotten_local_bytes_are_not_uploaded() {
    let store = Store::open("memory:", StoreOptions::default()).unwrap();
    let source = Source::dense(900, 9 << 20, 30_000);
    let batch = source.batches.len() - 2;
    let from: usize = source.batches[..batch].iter().map(Bytes::len).sum();
    let expected = base_offset(&source.batches[batch]);
    for place in [0, 5, 8, 11, 15, 16, 18, 23, 26, 60, 20_000] {
        let mut data = source.data().to_vec();
        data[from + place] ^= 4;
        let error = upload(&store, &source, data).await;
        match error {
            UploadError::Damaged { from, to, .. } => {
                assert!(
                    from <= expected && expected < to,
                    "byte {place}: {from}..{to}"
                );
            }
            other => panic!("byte {place}: {other}"),
        }
    }
    let mut cut = source.data().to_vec();
    cut.truncate(from + 100);
    match upload(&store, &source, cut).await {
        UploadError::Damaged { from, .. } => assert_eq!(from, expected),
        other => panic!("{other}"),
    }
    let listed: Vec<_> = futures_util::TryStreamExt::try_collect(store.list())
        .await
        .unwrap();
    assert_eq!(listed, [], "no object came into being");
}

async fn upload(store: &Store, source: &Source, data: Vec<u8>) -> UploadError {
    let key = SegmentKey::fresh(&source.descriptor);
    let uploaded = store.upload(&key, &source.descriptor, chunks(data.into()), None);
    uploaded.await.expect_err("it is damaged")
}

#[tokio::test]
async fn what_the_format_cannot_hold_is_refused() {
    let store = Store::open("memory:", StoreOptions::default()).unwrap();
    let source = Source::dense(900, 1000, 300);
    let refused = async |source: &Source, key: SegmentKey| {
        let uploaded = store.upload(&key, &source.descriptor, source.chunks(), None);
        match uploaded.await {
            Err(UploadError::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::Invalid),
            other => panic!("{other:?}"),
        }
    };
    let mut wide = source.clone();
    wide.descriptor.end_offset = 900 + (1 << 32);
    refused(&wide, SegmentKey::fresh(&wide.descriptor)).await;
    let mut empty = source.clone();
    empty.descriptor.end_offset = 900;
    refused(&empty, SegmentKey::fresh(&empty.descriptor)).await;
    let mut wordy = source.clone();
    wordy.descriptor.settings = "x".repeat(2 << 20);
    refused(&wordy, SegmentKey::fresh(&wordy.descriptor)).await;
    let mut key = SegmentKey::fresh(&source.descriptor);
    key.base_offset += 1;
    refused(&source, key).await;
}
