//! Uploading segments and reading them back to verify them, beside plain multipart PUTs of the same
//! bytes and plain ranged GETs by the same client, in parts of the same size with as many under way, in
//! turns.
//!
//! `cargo bench -p headwater-tiered --bench offload -- [URL] [MiB]`; as for `cold`.

#![allow(missing_docs, reason = "a bench is run, not linked to")]
#![allow(clippy::print_stdout, reason = "what it prints is its purpose")]
#![allow(clippy::unwrap_used, reason = "a bench that fails stops")]

mod made;

use std::time::Instant;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use headwater_tiered::{Descriptor, SegmentKey, Store, StoreOptions};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use url::Url;

const ROUNDS: usize = 5;
/// Segments on their way at once, as in a broker.
const UPLOADS_AT_ONCE: usize = 2;
/// As an upload has it, and the reading of what it wrote.
const PART_BYTES: usize = 8 << 20;
const PARTS_IN_FLIGHT: usize = 3;
const CHUNKS_IN_FLIGHT: usize = 2;

type Segments = [(Descriptor, Bytes)];

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().unwrap();
    let (url, bytes) = made::arguments(dir.path());
    let store = Store::open(&url, StoreOptions::default()).unwrap();
    // Parts have the checksums that the service gives them.
    let checksums = ("aws_checksum_algorithm".to_owned(), "SHA256".to_owned());
    let settings = std::env::vars().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let settings = std::iter::once(checksums).chain(settings);
    let (client, prefix) =
        object_store::parse_url_opts(&Url::parse(&url).unwrap(), settings).unwrap();
    let segments = made::segments(bytes);
    let bytes: usize = segments.iter().map(|(_, data)| data.len()).sum();
    println!("{url}: {} segments, {} MiB", segments.len(), bytes >> 20);

    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        // Who goes first has no advantage in the end.
        let (first, second) = if round % 2 == 0 {
            let plain = plain(&*client, &prefix, &segments).await;
            (plain, offload(&store, &segments).await)
        } else {
            let offload = offload(&store, &segments).await;
            (plain(&*client, &prefix, &segments).await, offload)
        };
        let ratio = first / second;
        ratios.push(ratio);
        let rate = |seconds: f64| bytes as f64 / seconds / 1e6;
        println!(
            "plain PUTs and GETs {:5.0} MB/s   upload and verify {:5.0} MB/s   ratio {ratio:.2}",
            rate(first),
            rate(second)
        );
    }
    println!("median ratio {:.2}", made::median(ratios));
}

async fn plain(client: &dyn ObjectStore, prefix: &Path, segments: &Segments) -> f64 {
    let begun = Instant::now();
    let copies = segments.iter().enumerate().map(|(number, (_, data))| {
        let path = prefix.clone().join(format!("plain-{number}"));
        async move {
            let upload = client.put_multipart(&path).await.unwrap();
            let mut parts = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
            for from in (0..data.len()).step_by(PART_BYTES) {
                parts.wait_for_capacity(PARTS_IN_FLIGHT).await.unwrap();
                parts.put(data.slice(from..data.len().min(from + PART_BYTES)));
            }
            parts.finish().await.unwrap();
            let ranges = (0..data.len())
                .step_by(PART_BYTES)
                .map(|from| from as u64..data.len().min(from + PART_BYTES) as u64);
            let found = stream::iter(ranges)
                .map(|range| client.get_range(&path, range))
                .buffered(CHUNKS_IN_FLIGHT)
                .try_fold(0, |sum, chunk| std::future::ready(Ok(sum + chunk.len())));
            assert_eq!(found.await.unwrap(), data.len());
            path
        }
    });
    let paths = stream::iter(copies).buffer_unordered(UPLOADS_AT_ONCE);
    let paths: Vec<Path> = paths.collect().await;
    let took = begun.elapsed().as_secs_f64();
    for path in paths {
        client.delete(&path).await.unwrap();
    }
    took
}

async fn offload(store: &Store, segments: &Segments) -> f64 {
    let begun = Instant::now();
    let uploads = segments.iter().map(|(descriptor, data)| async move {
        let key = SegmentKey::fresh(descriptor);
        let chunks = (0..data.len()).step_by(1 << 20).map(|from| {
            Ok::<_, std::io::Error>(data.slice(from..data.len().min(from + (1 << 20))))
        });
        let uploaded = store.upload(&key, descriptor, stream::iter(chunks), None);
        let segment = uploaded.await.unwrap();
        store.verify_written(&segment).await.unwrap();
        segment.key
    });
    let keys = stream::iter(uploads).buffer_unordered(UPLOADS_AT_ONCE);
    let keys: Vec<String> = keys.collect().await;
    let took = begun.elapsed().as_secs_f64();
    store.delete(keys).await.unwrap();
    took
}
