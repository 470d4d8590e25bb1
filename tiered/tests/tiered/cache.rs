//! The cache on the disk: bounded, shared, and never believed.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use headwater_tiered::{ColdReader, ColdReaderOptions, SegmentRef, Store, StoreOptions};

use crate::source::{Random, Source, next_offset, read_all, reader};

const BLOCK_BYTES: u64 = 256 << 10;

/// A reader that keeps nothing in memory: what is not on its way is read from the disk.
fn from_disk(store: &Store, cache_bytes_max: u64) -> (ColdReader, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut options = ColdReaderOptions::new(dir.path(), cache_bytes_max);
    options.in_flight_bytes_max = 0;
    (ColdReader::new(store.clone(), options), dir)
}

fn memory() -> Store {
    Store::open("memory:", StoreOptions::default()).unwrap()
}

async fn uploaded(store: &Store, bytes: usize) -> (Arc<Source>, SegmentRef) {
    let source = Source::dense(0, bytes, 20_000);
    let segment = source.upload(store).await;
    (Arc::new(source), segment)
}

/// Many readers in a cache that holds a tenth of what they read: slots change hands all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_readers_in_a_small_cache() {
    let store = memory();
    let (source, segment) = uploaded(&store, 12 << 20).await;
    let (cold, dir) = from_disk(&store, 5 * BLOCK_BYTES);
    let cold = Arc::new(cold);
    let readers = (0..16).map(|number| {
        let (cold, source, segment) = (cold.clone(), source.clone(), segment.clone());
        tokio::spawn(async move {
            let mut random = Random(number);
            let segments = [segment];
            for _ in 0..60 {
                let offset = random.below(segments[0].end_offset);
                let max_bytes = random.below(600_000) as usize;
                let read = cold.read(&segments, offset, max_bytes).await.unwrap();
                let first = source
                    .batches
                    .partition_point(|batch| next_offset(batch) <= offset);
                assert!(read == source.batches[first..first + read.len()] && !read.is_empty());
            }
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
    let stats = cold.stats();
    assert!(stats.cached_bytes <= 5 * BLOCK_BYTES, "{stats:?}");
    let file = dir.path().join("blocks").metadata().unwrap();
    assert!(file.len() <= 5 * BLOCK_BYTES);
    assert!(stats.hits > 0 && stats.misses > 0, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_many_want_is_fetched_once() {
    let store = memory();
    let (source, segment) = uploaded(&store, 3 << 20).await;
    let (cold, _dir) = reader(&store, 16 << 20);
    let segments = [segment];
    let reads = (0..64).map(|_| cold.read(&segments, 0, usize::MAX));
    for read in futures_util::future::join_all(reads).await {
        assert!(read.unwrap() == source.batches);
    }
    let stats = cold.stats();
    // The index, and the data as one run.
    assert_eq!(stats.gets, 2, "{stats:?}");
    assert_eq!(stats.cached_bytes, segments[0].data_bytes);
}

/// Reads on from segment to segment find their bytes on the way, and each is fetched once.
#[tokio::test(flavor = "multi_thread")]
async fn reading_on_is_read_ahead_for() {
    let store = memory();
    let mut segments = Vec::new();
    let mut all = Vec::new();
    let mut base = 0;
    for bytes in [9 << 20, 200_000, 7 << 20, 5 << 20] {
        let source = Source::dense(base, bytes, 20_000);
        base = source.descriptor.end_offset;
        segments.push(source.upload(&store).await);
        all.extend(source.batches);
    }
    let (cold, _dir) = reader(&store, 64 << 20);
    assert!(read_all(&cold, &segments, 0, 100_000).await == all);
    let stats = cold.stats();
    let data: u64 = segments.iter().map(|segment| segment.data_bytes).sum();
    let indexes: u64 = segments
        .iter()
        .map(|segment| segment.size_bytes - segment.index_position)
        .sum();
    assert_eq!(
        stats.fetched_bytes,
        data + indexes,
        "nothing twice: {stats:?}"
    );
    assert!(stats.gets < 25, "in large pieces: {stats:?}");
    assert!(stats.misses < 10, "mostly before it was wanted: {stats:?}");
}

/// The cache's disk rots: readers get what was written, from the store.
#[tokio::test]
async fn a_flipped_bit_in_the_cache_heals() {
    let store = memory();
    let (source, segment) = uploaded(&store, 2 << 20).await;
    let (cold, dir) = from_disk(&store, 16 << 20);
    let segments = [segment];
    assert!(read_all(&cold, &segments, 0, 1 << 20).await == source.batches);
    settled(&cold, segments[0].data_bytes).await;
    let gets = cold.stats().gets;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(dir.path().join("blocks"))
        .unwrap();
    for block in 0..4 {
        let at = block * BLOCK_BYTES + 7_777;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 16], at).unwrap();
    }
    // A block may have been given out of memory, where it was on its way to the disk.
    while cold.stats().gets < gets + 4 {
        assert!(read_all(&cold, &segments, 0, 1 << 20).await == source.batches);
    }
    settled(&cold, segments[0].data_bytes).await;
    for _ in 0..3 {
        assert!(read_all(&cold, &segments, 0, 1 << 20).await == source.batches);
    }
    assert_eq!(
        cold.stats().gets,
        gets + 4,
        "each bad block once, and then it is good"
    );
    // A file that was cut off is no cache any more, and no failure.
    file.set_len(0).unwrap();
    assert!(read_all(&cold, &segments, 0, 1 << 20).await == source.batches);
}

/// Waits until all that was fetched is in the cache.
async fn settled(cold: &ColdReader, bytes: u64) {
    while cold.stats().cached_bytes < bytes {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_cannot_be_written_is_done_without() {
    let store = memory();
    let (source, segment) = uploaded(&store, 3 << 20).await;
    let segments = [segment];
    let dir = tempfile::tempdir().unwrap();
    // Where the directory should be is a file; the file is a device that is always full; a cache of
    // nothing.
    let taken = dir.path().join("taken");
    std::fs::write(&taken, "").unwrap();
    let full = dir.path().join("full");
    std::fs::create_dir(&full).unwrap();
    std::os::unix::fs::symlink("/dev/full", full.join("blocks")).unwrap();
    for (cache_dir, bytes) in [(taken, 16 << 20), (full, 16 << 20), (dir.path().into(), 0)] {
        let cold = ColdReader::new(store.clone(), ColdReaderOptions::new(cache_dir, bytes));
        assert!(read_all(&cold, &segments, 0, 300_000).await == source.batches);
        assert!(read_all(&cold, &segments, 0, 300_000).await == source.batches);
        assert_eq!(cold.stats().cached_bytes, 0);
    }
}

/// More indexes than there is room for: they are read again, and right.
#[tokio::test]
async fn indexes_are_bounded() {
    let store = memory();
    let mut segments = Vec::new();
    let mut sources = Vec::new();
    for number in 0..8 {
        let source = Source::dense(number * 10_000, 100_000, 20_000);
        segments.push(source.upload(&store).await);
        sources.push(source);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut options = ColdReaderOptions::new(dir.path(), 16 << 20);
    options.index_bytes_max = 2_000;
    let cold = ColdReader::new(store, options);
    for _ in 0..2 {
        for (source, segment) in sources.iter().zip(&segments) {
            let read = cold.read(
                std::slice::from_ref(segment),
                segment.base_offset,
                usize::MAX,
            );
            assert!(read.await.unwrap() == source.batches);
        }
    }
    // Each index twice, each segment's data once.
    assert_eq!(cold.stats().gets, 8 * 2 + 8);
}
