//! Compaction against a plain model of it, pass after pass.

use std::collections::HashMap;

use bytes::Bytes;
use headwater_record::BatchView;
use headwater_tiered::{
    ColdReader, Compaction, LatestKeys, SegmentKey, SegmentRef, Store, StoreOptions,
};
use proptest::prelude::*;

use crate::keyed::{Kept, Written, merged, records, source, written};
use crate::source::{Random, next_offset, read_all, reader};

const KEYS: u64 = 20;
const DELETE_RETENTION_MS: u64 = 100;
const PRODUCERS_MS: u64 = 60;

/// A partition: the objects in the store, and what must be in them.
struct Partition {
    store: Store,
    reader: ColdReader,
    _dir: tempfile::TempDir,
    random: Random,
    now_ms: i64,
    segments: Vec<SegmentRef>,
    /// All that was ever written.
    written: Vec<Written>,
    /// What is left, by the model.
    left: Vec<Kept>,
    /// When each offset was first compared with all before it.
    compared_ms: HashMap<u64, i64>,
}

impl Partition {
    fn new(seed: u64) -> Self {
        let store = Store::open("memory:", StoreOptions::default()).unwrap();
        let (reader, dir) = reader(&store, 1 << 20);
        Self {
            store,
            reader,
            _dir: dir,
            random: Random(seed),
            now_ms: 1_000,
            segments: Vec::new(),
            written: Vec::new(),
            left: Vec::new(),
            compared_ms: HashMap::new(),
        }
    }

    fn end(&self) -> u64 {
        self.segments.last().map_or(7, |last| last.end_offset)
    }

    async fn write(&mut self) {
        let batches = 1 + self.random.below(6);
        let base_offset = self.end();
        let batches = written(&mut self.random, base_offset, batches, KEYS);
        let mut source = source(&mut self.random, &batches);
        // The topic may have kept everything before.
        source.descriptor.compacted = self.random.below(4) > 0;
        let segment = source.upload(&self.store).await;
        self.store.verify(&segment).await.unwrap();
        let records = || batches.iter().flat_map(|batch| &batch.records);
        if source.descriptor.compacted {
            let tombstone = records().find(|record| record.is_tombstone());
            assert_eq!(
                segment.first_tombstone,
                tombstone.map(|record| record.offset)
            );
            assert!(segment.keys_bytes > 0);
        }
        self.left.extend(records().cloned());
        self.written.extend(batches);
        self.segments.push(segment);
    }

    /// A pass, which breaks off after `publish` objects: one more is made, and nobody hears of it.
    async fn pass(&mut self, memory_bytes: usize, publish: usize) {
        let mut latest = LatestKeys::new(memory_bytes);
        for segment in &self.segments {
            let from = segment.clean_below.max(segment.base_offset);
            if segment.is_clean() {
                continue;
            }
            let noted = self.store.note_keys(segment, from, &mut latest).await;
            assert_eq!(noted, Ok(!latest.is_full()));
            assert!(latest.end_offset() >= from);
            if latest.is_full() {
                break;
            }
            assert_eq!(latest.end_offset(), segment.end_offset);
        }
        let latest_end = latest.end_offset();
        let compaction = Compaction {
            latest: &latest,
            now_ms: self.now_ms,
            delete_retention_ms: DELETE_RETENTION_MS,
            producers_ms: PRODUCERS_MS,
        };
        let (mut at, mut published) = (0, 0);
        while at < self.segments.len() {
            if !self.segments[at].is_clean() && self.segments[at].base_offset >= latest_end {
                break;
            }
            let most = 1 + self.random.below(3) as usize;
            let group = self.segments[at..].iter().take(most);
            let group = group
                .take_while(|segment| segment.is_clean() || segment.base_offset < latest_end)
                .count();
            let sources = &self.segments[at..at + group];
            let described = merged(sources);
            let key = SegmentKey::fresh(&described);
            let made = self
                .store
                .compact(&key, &described, sources, &compaction, None);
            let made = made.await.unwrap();
            self.store.verify(&made).await.unwrap();
            assert_eq!(self.store.inspect(&made.key).await.unwrap().segment, made);
            if let [alone] = sources
                && alone.is_clean()
                && !self.store.would_change(alone, &compaction).await.unwrap()
            {
                assert_eq!(made.record_count, alone.record_count);
                assert_eq!(made.first_tombstone, alone.first_tombstone);
            }
            if published == publish {
                return;
            }
            published += 1;
            let before = sources.iter().map(|source| source.clean_below).max();
            assert_eq!(
                made.clean_below,
                latest_end.min(made.end_offset).max(before.unwrap())
            );
            self.compact_model(&made, latest_end);
            self.segments.splice(at..at + group, [made]);
            at += 1;
        }
    }

    fn compact_model(&mut self, made: &SegmentRef, latest_end: u64) {
        let mut latest: HashMap<&[u8], u64> = HashMap::new();
        let all = self.written.iter().flat_map(|batch| &batch.records);
        for record in all.filter(|record| record.offset < latest_end) {
            if let Some(key) = &record.key {
                latest.insert(key, record.offset);
            }
        }
        let (now_ms, compared_ms) = (self.now_ms, &mut self.compared_ms);
        self.left.retain(|record| {
            let is_due = compared_ms
                .get(&record.offset)
                .is_some_and(|at_ms| at_ms + DELETE_RETENTION_MS as i64 <= now_ms);
            let is_latest = record
                .key
                .as_deref()
                .and_then(|key| latest.get(key))
                .is_none_or(|latest| *latest <= record.offset);
            let is_inside = (made.base_offset..made.end_offset).contains(&record.offset);
            !is_inside || is_latest && !(record.is_tombstone() && is_due)
        });
        for offset in made.base_offset..made.end_offset.min(latest_end) {
            compared_ms.entry(offset).or_insert(now_ms);
        }
    }

    async fn check(&mut self) {
        let batches = read_all(&self.reader, &self.segments, 0, 400).await;
        assert_eq!(records(&batches), self.left);
        self.check_batches(&batches);
        for _ in 0..10 {
            let offset = self.random.below(self.end());
            let first = self
                .segments
                .partition_point(|segment| segment.end_offset <= offset);
            let read = self.reader.read(&self.segments[first..], offset, 1).await;
            let read = read.unwrap();
            let expected = batches.iter().find(|batch| next_offset(batch) > offset);
            assert_eq!(read.first(), expected, "at {offset}");
        }
        for _ in 0..20 {
            let key = format!("key-{}", self.random.below(KEYS + 2)).into_bytes();
            let below = self.random.below(self.end() + 3);
            let found = self.reader.find_key(&self.segments, &key, below).await;
            let mut left = self.left.iter().rev();
            let expected =
                left.find(|record| record.offset < below && record.key.as_ref() == Some(&key));
            assert_eq!(found, Ok(expected.map(|record| record.offset)), "{below}");
        }
        for segment in &self.segments {
            let timestamp_ms = self.random.below(1_001) as i64;
            let inside =
                |record: &&Kept| (segment.base_offset..segment.end_offset).contains(&record.offset);
            let inside: Vec<_> = self.left.iter().filter(inside).collect();
            let expected = inside
                .iter()
                .find(|record| record.timestamp_ms >= timestamp_ms);
            let found = self.reader.offset_for_time(segment, timestamp_ms).await;
            assert_eq!(found, Ok(expected.map(|record| record.offset)));
            let max = inside.iter().map(|record| record.timestamp_ms).max();
            assert_eq!(segment.max_timestamp_ms, max.unwrap_or(-1));
            assert_eq!(segment.record_count, inside.len() as u64);
            self.check_producers(segment, &batches).await;
        }
    }

    /// Batches without records are there for producers, and for long enough; and where an object ends.
    fn check_batches(&self, batches: &[Bytes]) {
        let by_offset: HashMap<u64, _> = batches
            .iter()
            .map(|batch| *BatchView::parse(batch).unwrap().0.header())
            .map(|header| (header.base_offset, header))
            .collect();
        let ends: Vec<_> = self
            .segments
            .iter()
            .map(|segment| segment.end_offset)
            .collect();
        for header in by_offset.values() {
            let ends_one = ends.contains(&header.next_offset());
            assert!(header.record_count > 0 || header.producer.id >= 0 || ends_one);
        }
        let is_end = |end: &u64| {
            by_offset
                .values()
                .any(|header| header.next_offset() == *end)
        };
        assert!(ends.iter().all(is_end), "a reader gets to each end");
        for batch in self.written.iter().filter(|batch| batch.producer >= 0) {
            let compared_ms = self.compared_ms.get(&(batch.end() - 1));
            let is_young =
                compared_ms.is_none_or(|at_ms| at_ms + PRODUCERS_MS as i64 > self.now_ms);
            if is_young {
                let header = by_offset.get(&batch.offset).expect("it is remembered");
                assert_eq!(header.producer.id, batch.producer);
                assert_eq!(header.next_offset(), batch.end());
            }
        }
    }

    async fn check_producers(&self, segment: &SegmentRef, batches: &[Bytes]) {
        let range = segment.base_offset..segment.end_offset;
        let headers = batches
            .iter()
            .map(|batch| *BatchView::parse(batch).unwrap().0.header());
        let expected: Vec<_> = headers
            .filter(|header| range.contains(&header.base_offset) && header.producer.id >= 0)
            .map(|header| {
                let count = header.next_offset() - header.base_offset;
                (header.producer, header.base_offset, count as u32)
            })
            .collect();
        let found = self.reader.producers(segment).await.unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|batch| (batch.producer, batch.base_offset, batch.record_count))
            .collect();
        assert_eq!(found, expected);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Write,
    Wait(i64),
    Pass { memory_bytes: usize, publish: usize },
}

fn step() -> impl Strategy<Value = Step> {
    // Sums of these are exactly as long as something is kept.
    let wait = prop::sample::select(vec![1, 20, 40, 60, 100]);
    let memory = prop_oneof![Just(8 * 25), Just(16 * 25), Just(1 << 14)];
    let publish = prop_oneof![2 => 0..3_usize, 3 => Just(usize::MAX)];
    let pass = (memory, publish).prop_map(|(memory_bytes, publish)| Step::Pass {
        memory_bytes,
        publish,
    });
    prop_oneof![3 => Just(Step::Write), 2 => wait.prop_map(Step::Wait), 3 => pass]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_store_holds_what_the_model_does(
        seed: u64,
        steps in prop::collection::vec(step(), 1..16),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut partition = Partition::new(seed);
            for step in steps {
                match step {
                    Step::Write => partition.write().await,
                    Step::Wait(ms) => partition.now_ms += ms,
                    Step::Pass { memory_bytes, publish } => {
                        partition.pass(memory_bytes, publish).await;
                    }
                }
                partition.check().await;
            }
        });
    }
}

/// In the end nothing is left but the last value of each key: tombstones, what they delete, and what
/// was kept for producers all go, but for the last batch's header.
#[tokio::test]
async fn all_that_can_go_goes() {
    let mut partition = Partition::new(5);
    let deleted = |offset: u64, value: Option<&[u8]>| Written {
        offset,
        producer: 1,
        records: vec![Kept {
            offset,
            key: Some(b"key".to_vec()),
            value: value.map(<[u8]>::to_vec),
            timestamp_ms: 1,
        }],
    };
    partition.written = vec![deleted(0, Some(b"value")), deleted(1, None)];
    let source = source(&mut Random(1), &partition.written);
    partition.left = partition
        .written
        .iter()
        .flat_map(|b| b.records.clone())
        .collect();
    partition.segments = vec![source.upload(&partition.store).await];
    let mut record_counts = Vec::new();
    for _ in 0..4 {
        partition.pass(1 << 14, usize::MAX).await;
        partition.check().await;
        let [segment] = &partition.segments[..] else {
            panic!("one object stays one");
        };
        record_counts.push((segment.record_count, segment.data_bytes > 0));
        partition.now_ms += DELETE_RETENTION_MS as i64;
    }
    assert_eq!(record_counts[0], (1, true), "the tombstone, and a header");
    assert_eq!(record_counts[1..], [(0, true); 3]);
    let segment = &partition.segments[0];
    assert!(segment.is_clean() && segment.cleaned.is_empty());
    assert_eq!(segment.max_timestamp_ms, -1);
    let found = partition
        .reader
        .find_key(&partition.segments, b"key", 2)
        .await;
    assert_eq!(found, Ok(None));
}
