//! What every store must do, whichever it is.

use std::io::Write;

use bytes::Bytes;
use futures_util::TryStreamExt;
use headwater_tiered::{
    Bandwidth, Compaction, LatestKeys, Listed, ReadError, SegmentKey, Store, StoreErrorKind,
    StoreOptions, VerifyError,
};

use crate::keyed::{Kept, Written, merged, records, source};
use crate::servers::{Kind, Server};
use crate::source::{Random, Source, next_offset, read_all, reader, split};

/// Runs over a store with nothing in it.
async fn suite(store: &Store) {
    belongs_to_one_cluster(store).await;
    keeps_small_and_large_segments(store).await;
    empty_segments_are_passed_over(store).await;
    keeps_the_last_of_each_key(store).await;
    lists_and_deletes(store).await;
}

async fn belongs_to_one_cluster(store: &Store) {
    store.claim("cluster-one").await.unwrap();
    store.claim("cluster-one").await.unwrap();
    let refused = store.claim("cluster-two").await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Invalid);
    let text = refused.to_string();
    assert!(
        text.contains("cluster-one") && text.contains("cluster-two"),
        "{text}"
    );
    store.claim("cluster-one").await.unwrap();
}

async fn keeps_small_and_large_segments(store: &Store) {
    // One request; exactly at and around the border to several; several.
    let mut base = 1_000;
    let mut sources = Vec::new();
    for bytes in [70_000, (8 << 20) - 2_000, 8 << 20, 20 << 20] {
        let source = Source::dense(base, bytes, 40_000);
        base = source.descriptor.end_offset;
        sources.push(source);
    }
    let mut segments = Vec::new();
    for source in &sources {
        let segment = source.upload(store).await;
        store.verify(&segment).await.unwrap();
        let inspected = store.inspect(&segment.key).await.unwrap();
        assert_eq!(inspected.segment, segment);
        assert_eq!(inspected.footer.descriptor, source.descriptor);
        assert_eq!(segment.data_bytes, source.data().len() as u64);
        assert_eq!(segment.record_count, source.batches.len() as u64 * 3);
        segments.push(segment);
    }

    let (reader, _dir) = reader(store, 64 << 20);
    let all: Vec<Bytes> = sources
        .iter()
        .flat_map(|source| source.batches.clone())
        .collect();
    assert!(read_all(&reader, &segments, 1_000, 1 << 20).await == all);
    assert!(read_all(&reader, &segments, 1_000, 3 << 20).await == all);
    let stats = reader.stats();
    let bytes: u64 = segments.iter().map(|segment| segment.data_bytes).sum();
    assert_eq!(stats.served_bytes, 2 * bytes);
    assert!(
        stats.fetched_bytes < bytes * 5 / 4,
        "{stats:?}: the second time from the cache"
    );

    let (source, segment) = (&sources[1], &segments[1]);
    let producers = reader.producers(segment).await.unwrap();
    let expected: Vec<u64> = source
        .batches
        .iter()
        .map(|batch| next_offset(batch) - 3)
        .filter(|offset| offset % 2 == 1)
        .collect();
    let found: Vec<u64> = producers.iter().map(|batch| batch.base_offset).collect();
    assert_eq!(found, expected);
    assert!(producers.iter().all(|batch| batch.record_count == 3));

    // Each record's timestamp is the offset of its batch.
    let offset = segment.base_offset + 300;
    let found = reader.offset_for_time(segment, offset as i64 - 1).await;
    assert_eq!(found, Ok(Some(offset)));
    let late = reader.offset_for_time(segment, i64::MAX).await;
    assert_eq!(late, Ok(None));

    // The same upload again, as after a lost answer.
    let key = SegmentKey::parse(&segment.key).unwrap();
    let limited = Bandwidth::new(1 << 30);
    let again = store
        .upload(&key, &source.descriptor, source.chunks(), Some(&limited))
        .await
        .unwrap();
    assert_eq!(again, *segment);
    store.verify(segment).await.unwrap();
}

async fn empty_segments_are_passed_over(store: &Store) {
    let mut empty = Source::dense(500, 1, 100);
    empty.batches.clear();
    empty.descriptor.end_offset = 600;
    let after = Source::dense(600, 10_000, 1_000);
    let segments = [empty.upload(store).await, after.upload(store).await];
    store.verify(&segments[0]).await.unwrap();
    assert_eq!(segments[0].max_timestamp_ms, -1);
    let (reader, _dir) = reader(store, 1 << 20);
    let read = reader.read(&segments, 510, 1).await.unwrap();
    assert_eq!(read, after.batches[..1]);
    assert_eq!(reader.read(&segments[..1], 510, 1).await, Ok(Vec::new()));
    assert_eq!(reader.producers(&segments[0]).await, Ok(Vec::new()));
}

/// Many keys in two objects, of which compaction makes one; the second object has every other key
/// again.
async fn keeps_the_last_of_each_key(store: &Store) {
    const KEYS: u64 = 30_000;
    let name = |number: u64| format!("key-{number}").into_bytes();
    let upload = async |base: u64, numbers: Vec<u64>| {
        let mut offset = base;
        let batches: Vec<_> = numbers
            .chunks(1_000)
            .map(|numbers| {
                let at = offset;
                offset += numbers.len() as u64;
                let record = |(offset, number): (u64, &u64)| Kept {
                    offset,
                    key: Some(name(*number)),
                    value: Some(vec![7; 300]),
                    timestamp_ms: offset as i64,
                };
                Written {
                    offset: at,
                    producer: -1,
                    records: (at..).zip(numbers).map(record).collect(),
                }
            })
            .collect();
        let source = source(&mut Random(base), &batches);
        source.upload(store).await
    };
    let sources = [
        upload(2_000, (0..KEYS).collect()).await,
        upload(2_000 + KEYS, (0..KEYS).step_by(2).collect()).await,
    ];
    let mut latest = LatestKeys::new(8 << 20);
    for source in &sources {
        assert_eq!(store.note_keys(source, 0, &mut latest).await, Ok(true));
    }
    let compaction = Compaction {
        latest: &latest,
        now_ms: 1,
        delete_retention_ms: 1,
        producers_ms: 1,
    };
    assert_eq!(store.would_change(&sources[0], &compaction).await, Ok(true));
    assert_eq!(
        store.would_change(&sources[1], &compaction).await,
        Ok(false)
    );
    let described = merged(&sources);
    let key = SegmentKey::fresh(&described);
    let made = store.compact(&key, &described, &sources, &compaction, None);
    let made = made.await.unwrap();
    store.verify(&made).await.unwrap();
    assert_eq!(store.inspect(&made.key).await.unwrap().segment, made);
    assert_eq!(made.record_count, KEYS);
    assert!(made.is_clean());

    let last = |number: u64| match number % 2 {
        0 => 2_000 + KEYS + number / 2,
        _ => 2_000 + number,
    };
    let (reader, _dir) = reader(store, 1 << 20);
    let all = [made];
    for number in (0..KEYS).step_by(17) {
        let found = reader.find_key(&all, &name(number), u64::MAX).await;
        assert_eq!(found, Ok(Some(last(number))));
        let nothing = reader.find_key(&all, &name(KEYS + number), u64::MAX).await;
        assert_eq!(nothing, Ok(None));
    }
    let stats = reader.stats();
    let pages = KEYS.div_ceil(204);
    assert!(stats.gets <= pages, "mostly from memory: {stats:?}");
    assert!(stats.fetched_bytes <= 3 * all[0].keys_bytes, "{stats:?}");
    let batches = read_all(&reader, &all, 0, 1 << 20).await;
    let mut expected: Vec<u64> = (0..KEYS).map(last).collect();
    expected.sort_unstable();
    let offsets: Vec<u64> = records(&batches)
        .iter()
        .map(|record| record.offset)
        .collect();
    assert_eq!(offsets, expected);

    let keys = sources
        .iter()
        .chain(&all)
        .map(|segment| segment.key.clone());
    store.delete(keys.collect()).await.unwrap();
}

async fn lists_and_deletes(store: &Store) {
    let list = async || -> Vec<Listed> { store.list().try_collect().await.unwrap() };
    let listed = list().await;
    let segments: Vec<_> = listed
        .iter()
        .filter(|object| object.segment.is_some())
        .collect();
    assert_eq!(segments.len(), 6, "{listed:?}");
    assert!(
        segments
            .iter()
            .all(|object| object.last_modified_ms > 1_600_000_000_000)
    );
    let foreign: Vec<_> = listed
        .iter()
        .filter(|object| object.segment.is_none())
        .collect();
    assert_eq!(foreign.len(), 1, "{listed:?}");
    assert_eq!(foreign[0].key, "headwater.json");
    let not_one = store.inspect("headwater.json").await.unwrap_err();
    assert_eq!(not_one.kind(), StoreErrorKind::Corrupt);

    let last = segments.iter().map(|object| &object.key).max().unwrap();
    let segment = store.inspect(last).await.unwrap().segment;
    let mut keys: Vec<String> = segments.iter().map(|object| object.key.clone()).collect();
    keys.push("segments/not/there".to_owned());
    store.delete(keys).await.unwrap();
    assert_eq!(list().await.len(), 1);
    assert_eq!(store.verify(&segment).await, Err(VerifyError::Missing));
    let (reader, _dir) = reader(store, 1 << 20);
    match reader
        .read(std::slice::from_ref(&segment), segment.base_offset, 1)
        .await
    {
        Err(ReadError::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::NotFound),
        other => panic!("{other:?}"),
    }
    let missing = store.inspect(&segment.key).await.unwrap_err();
    assert_eq!(missing.kind(), StoreErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory() {
    suite(&Store::open("memory:", StoreOptions::default()).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn directory() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}/not/there/yet", dir.path().display());
    suite(&Store::open(&url, StoreOptions::default()).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moto() {
    let server = Server::start(Kind::Moto).await;
    suite(&server.store("")).await;
    suite(&server.store("some/prefix")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3s_fs() {
    let server = Server::start(Kind::S3sFs).await;
    // No prefix: it makes names of files out of keys, and they would be too long.
    suite(&server.store("")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn minio() {
    if !Kind::Minio.is_installed() {
        // Not by a macro, whose output the harness keeps to itself.
        let why = "skipped: MinIO (`make object-stores` builds it where Go is there)";
        writeln!(std::io::stderr(), "{why}").unwrap();
        return;
    }
    let server = Server::start(Kind::Minio).await;
    suite(&server.store("prefix")).await;
}

/// Clusters that start at once on one store: it is the first one's, and all others are told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_claims_wins() {
    let store = Store::open("memory:", StoreOptions::default()).unwrap();
    let claims = (0..8).map(|number| {
        let store = store.clone();
        tokio::spawn(async move { store.claim(&format!("cluster-{number}")).await })
    });
    let claims = futures_util::future::join_all(claims).await;
    let won = claims
        .iter()
        .filter(|claim| matches!(claim, Ok(Ok(()))))
        .count();
    assert_eq!(won, 1, "{claims:?}");
}

#[tokio::test]
async fn batches_come_whole_whatever_is_asked_for() {
    let store = Store::open("memory:", StoreOptions::default()).unwrap();
    let source = Source::dense(0, 3 << 20, 700_000);
    let segment = [source.upload(&store).await];
    let (reader, _dir) = reader(&store, 8 << 20);
    for max_bytes in [0, 1, 60, 700_000, 1_500_000, usize::MAX] {
        for batch in &source.batches {
            let from = next_offset(batch) - 2;
            let read = reader.read(&segment, from, max_bytes).await.unwrap();
            assert_eq!(read[0], batch);
            let bytes: usize = read.iter().map(Bytes::len).sum();
            assert!(read.len() == 1 || bytes <= max_bytes);
        }
    }
    assert_eq!(split(&source.data()), source.batches);
}
