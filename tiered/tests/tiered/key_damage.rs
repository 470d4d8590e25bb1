//! Blocks of keys that are damaged, missing, or from before there were any.

use std::fs;

use bytes::Bytes;
use headwater_tiered::{
    Compaction, LatestKeys, ReadError, SegmentKey, SegmentRef, Store, StoreErrorKind, StoreOptions,
    VerifyError,
};

use crate::keyed::{Kept, Written, merged, records, source};
use crate::source::{Random, Source, read_all, reader};

const KEYS: u64 = 3_000;

fn name(number: u64) -> Vec<u8> {
    format!("key-{number}").into_bytes()
}

/// Each key once, in batches of 100.
fn keyed() -> Source {
    let batches: Vec<_> = (0..KEYS)
        .step_by(100)
        .map(|offset| Written {
            offset,
            producer: -1,
            records: (offset..offset + 100)
                .map(|offset| Kept {
                    offset,
                    key: Some(name(offset)),
                    value: Some(vec![1; 200]),
                    timestamp_ms: 1,
                })
                .collect(),
        })
        .collect();
    source(&mut Random(3), &batches)
}

fn directory() -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}", dir.path().display());
    (Store::open(&url, StoreOptions::default()).unwrap(), dir)
}

fn compaction(latest: &LatestKeys) -> Compaction<'_> {
    Compaction {
        latest,
        now_ms: 9,
        delete_retention_ms: 1,
        producers_ms: 1,
    }
}

async fn compact(
    store: &Store,
    sources: &[SegmentRef],
    latest: &LatestKeys,
) -> Result<SegmentRef, ReadError> {
    let described = merged(sources);
    let key = SegmentKey::fresh(&described);
    let compaction = compaction(latest);
    store
        .compact(&key, &described, sources, &compaction, None)
        .await
}

/// Wherever a bit of the keys flips, keys are found in the data, and compaction does without.
#[tokio::test]
async fn a_bit_in_the_keys() {
    let (store, dir) = directory();
    let segment = keyed().upload(&store).await;
    let file = dir.path().join(&segment.key);
    let pristine = fs::read(&file).unwrap();
    let keys = segment.data_bytes..segment.data_bytes + segment.keys_bytes;
    for position in [
        keys.start,
        keys.start + 4_081,
        keys.start + 4_084 * 7 + 20,
        keys.end - 1,
    ] {
        let mut bytes = pristine.clone();
        bytes[position as usize] ^= 4;
        fs::write(&file, bytes).unwrap();
        match store.verify(&segment).await {
            Err(VerifyError::Damaged { bytes, .. }) => assert_eq!(bytes, keys),
            other => panic!("{other:?}"),
        }
        let (reader, _dir) = reader(&store, 0);
        let all = std::slice::from_ref(&segment);
        for number in (0..KEYS).step_by(97) {
            let found = reader.find_key(all, &name(number), u64::MAX).await;
            assert_eq!(found, Ok(Some(number)));
        }
        assert_eq!(reader.find_key(all, b"nothing", u64::MAX).await, Ok(None));
        let mut latest = LatestKeys::new(1 << 20);
        assert_eq!(store.note_keys(&segment, 0, &mut latest).await, Ok(true));
        assert_eq!(latest.end_offset(), KEYS);
        let changes = store.would_change(&segment, &compaction(&latest)).await;
        assert_eq!(changes, Ok(true), "compaction heals it");
        let made = compact(&store, all, &latest).await.unwrap();
        assert_eq!(made.record_count, KEYS);
        store.verify(&made).await.unwrap();
    }
}

/// A damaged source is named, and nothing comes of it.
#[tokio::test]
async fn a_bit_in_a_source() {
    let (store, dir) = directory();
    let segment = keyed().upload(&store).await;
    let latest = LatestKeys::new(1 << 20);
    let file = dir.path().join(&segment.key);
    let pristine = fs::read(&file).unwrap();
    for position in [7, 5_000, segment.data_bytes - 1] {
        let mut bytes = pristine.clone();
        bytes[position as usize] ^= 4;
        fs::write(&file, bytes).unwrap();
        let made = compact(&store, std::slice::from_ref(&segment), &latest).await;
        match made {
            Err(ReadError::Corrupt { from, to, .. }) => assert!(from < to && to <= KEYS),
            other => panic!("{other:?}"),
        }
    }
    let listed: Vec<_> = futures_util::TryStreamExt::try_collect(store.list())
        .await
        .unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
}

/// A batch whose checksum is right and whose records are not: it is stored, and named when its keys
/// are wanted.
#[tokio::test]
async fn records_that_cannot_be_read() {
    let store = Store::open("memory:", StoreOptions::default()).unwrap();
    let mut source = keyed();
    let mut bad = source.batches[4].to_vec();
    bad[60] -= 1;
    let crc = crc_fast::crc32_iscsi(&bad[21..]);
    bad[17..21].copy_from_slice(&crc.to_be_bytes());
    source.batches[4] = Bytes::from(bad);
    let segment = source.upload(&store).await;
    assert_eq!(segment.keys_bytes, 0);
    store.verify(&segment).await.unwrap();
    let mut latest = LatestKeys::new(1 << 20);
    let named = |error: ReadError| match error {
        ReadError::Corrupt { from, to, .. } => assert_eq!((from, to), (400, 500)),
        other => panic!("{other:?}"),
    };
    named(store.note_keys(&segment, 0, &mut latest).await.unwrap_err());
    assert_eq!(latest.end_offset(), 400);
    named(compact(&store, &[segment], &latest).await.unwrap_err());
}

#[tokio::test]
async fn sources_are_what_is_described() {
    let store = Store::open("memory:", StoreOptions::default()).unwrap();
    let segment = keyed().upload(&store).await;
    let latest = LatestKeys::new(1 << 20);
    let compaction = compaction(&latest);
    let described = merged(std::slice::from_ref(&segment));
    let key = SegmentKey::fresh(&described);
    let twice = [segment.clone(), segment.clone()];
    let mut short = segment.clone();
    short.end_offset -= 1;
    for sources in [&[][..], &twice, &[short]] {
        let made = store.compact(&key, &described, sources, &compaction, None);
        match made.await {
            Err(ReadError::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::Invalid),
            other => panic!("{other:?}"),
        }
    }
}

/// A row from before there were keys is read, and so is an object without them.
#[tokio::test]
async fn rows_and_objects_from_before() {
    let store = Store::open("memory:", StoreOptions::default()).unwrap();
    let mut source = keyed();
    source.descriptor.compacted = false;
    let segment = source.upload(&store).await;
    assert_eq!((segment.keys_bytes, segment.first_tombstone), (0, None));
    let mut row = serde_json::to_value(&segment).unwrap();
    let fields = row.as_object_mut().unwrap();
    for new in ["keys_bytes", "first_tombstone", "clean_below", "cleaned"] {
        assert!(fields.remove(new).is_some());
    }
    let old: SegmentRef = serde_json::from_value(row).unwrap();
    assert_eq!(old, segment);
    store.verify(&old).await.unwrap();
    let footer = store.inspect(&old.key).await.unwrap().footer;
    let mut text = serde_json::to_value(&footer).unwrap();
    let fields = text.as_object_mut().unwrap();
    for new in [
        "compacted",
        "keys_bytes",
        "first_tombstone",
        "clean_below",
        "cleaned",
    ] {
        assert!(fields.remove(new).is_some());
    }
    assert_eq!(
        serde_json::from_value::<headwater_tiered::Footer>(text).unwrap(),
        footer
    );

    let (reader, _dir) = reader(&store, 0);
    let all = [old];
    assert_eq!(reader.find_key(&all, &name(77), 78).await, Ok(Some(77)));
    assert_eq!(reader.find_key(&all, &name(77), 77).await, Ok(None));
    let latest = LatestKeys::new(1 << 20);
    let changes = store.would_change(&all[0], &compaction(&latest)).await;
    assert_eq!(changes, Ok(true));
    let made = compact(&store, &all, &latest).await.unwrap();
    assert!(made.keys_bytes > 0 && !made.is_clean());
    let batches = read_all(&reader, &[made], 0, 1 << 20).await;
    assert_eq!(records(&batches), records(&source.batches));
}
