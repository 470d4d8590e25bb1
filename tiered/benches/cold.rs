//! A cold sequential read beside plain ranged GETs of the same bytes by the same client, with the
//! same ranges and the same number under way, in turns.
//!
//! `cargo bench -p headwater-tiered --bench cold -- [URL] [MiB]`; the URL is that of a store, `s3://` with `AWS_*` set,
//! or a directory that is made for it if there is none.

#![allow(missing_docs, reason = "a bench is run, not linked to")]
#![allow(clippy::print_stdout, reason = "what it prints is its purpose")]
#![allow(clippy::unwrap_used, reason = "a bench that fails stops")]

mod made;

use std::time::Instant;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use headwater_record::BatchView;
use headwater_tiered::{
    ColdReader, ColdReaderOptions, SegmentKey, SegmentRef, Store, StoreOptions,
};

const ROUNDS: usize = 5;
/// What one read of a consumer asks for.
const READ_BYTES: usize = 1 << 20;
const RANGE_BYTES: u64 = 4 << 20;
const RANGES_IN_FLIGHT: usize = 4;

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().unwrap();
    let (url, bytes) = made::arguments(dir.path());
    let store = Store::open(&url, StoreOptions::default()).unwrap();
    let segments = upload(&store, bytes).await;
    let bytes: u64 = segments.iter().map(|segment| segment.data_bytes).sum();
    println!("{url}: {} segments, {} MiB", segments.len(), bytes >> 20);

    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        // Who goes first has no advantage in the end.
        let cache = dir.path().join("cache");
        let (plain, cold, warm) = if round % 2 == 0 {
            let plain = plain(&store, &segments).await;
            let (cold, warm) = sequential(&store, &segments, &cache).await;
            (plain, cold, warm)
        } else {
            let (cold, warm) = sequential(&store, &segments, &cache).await;
            (plain(&store, &segments).await, cold, warm)
        };
        let ratio = plain / cold;
        ratios.push(ratio);
        let rate = |seconds: f64| bytes as f64 / seconds / 1e6;
        println!(
            "plain GETs {:6.0} MB/s   cold read {:6.0} MB/s   ratio {ratio:.2}   again, cached {:6.0} MB/s",
            rate(plain),
            rate(cold),
            rate(warm)
        );
    }
    println!("median ratio {:.2}", made::median(ratios));
    store
        .delete(segments.into_iter().map(|segment| segment.key).collect())
        .await
        .unwrap();
}

async fn plain(store: &Store, segments: &[SegmentRef]) -> f64 {
    let begun = Instant::now();
    let ranges = segments.iter().flat_map(|segment| {
        (0..segment.data_bytes)
            .step_by(RANGE_BYTES as usize)
            .map(move |from| (segment, from..(from + RANGE_BYTES).min(segment.data_bytes)))
    });
    let mut bodies = stream::iter(ranges)
        .map(|(segment, range)| store.read_range(&segment.key, range))
        .buffered(RANGES_IN_FLIGHT);
    let mut bytes = 0;
    while let Some(body) = bodies.try_next().await.unwrap() {
        bytes += body.len() as u64;
    }
    assert_eq!(
        bytes,
        segments
            .iter()
            .map(|segment| segment.data_bytes)
            .sum::<u64>()
    );
    begun.elapsed().as_secs_f64()
}

/// Twice: the first time from the store, the second time from the cache.
async fn sequential(store: &Store, segments: &[SegmentRef], cache: &std::path::Path) -> (f64, f64) {
    let mut options = ColdReaderOptions::new(cache, 4 << 30);
    // As many requests under way as on the other side.
    options.read_ahead_bytes_max = RANGE_BYTES * RANGES_IN_FLIGHT as u64;
    let reader = ColdReader::new(store.clone(), options);
    (read(&reader, segments).await, read(&reader, segments).await)
}

async fn read(reader: &ColdReader, segments: &[SegmentRef]) -> f64 {
    let begun = Instant::now();
    let mut offset = segments[0].base_offset;
    let mut bytes = 0;
    loop {
        let first = segments.partition_point(|segment| segment.end_offset <= offset);
        let batches = reader
            .read(&segments[first..], offset, READ_BYTES)
            .await
            .unwrap();
        let Some(last) = batches.last() else { break };
        offset = BatchView::header_of(last).unwrap().next_offset();
        bytes += batches.iter().map(|batch| batch.len() as u64).sum::<u64>();
    }
    assert_eq!(
        bytes,
        segments
            .iter()
            .map(|segment| segment.data_bytes)
            .sum::<u64>()
    );
    begun.elapsed().as_secs_f64()
}

async fn upload(store: &Store, bytes: usize) -> Vec<SegmentRef> {
    let mut segments = Vec::new();
    for (descriptor, data) in made::segments(bytes) {
        let key = SegmentKey::fresh(&descriptor);
        let chunks = stream::iter([Ok::<Bytes, std::io::Error>(data)]);
        segments.push(store.upload(&key, &descriptor, chunks, None).await.unwrap());
    }
    segments
}
