//! Random segments with gaps: what is read is what was there, at each offset and each time.

use bytes::Bytes;
use headwater_record::{Compression, Producer};
use headwater_tiered::{SegmentRef, Store, StoreOptions};
use proptest::prelude::*;

use crate::source::{Batch, Random, Source, base_offset, descriptor, next_offset, reader};

/// A batch: the gap before it, its records' sizes and times, and what else varies.
#[derive(Debug, Clone)]
struct Shape {
    gap: u64,
    records: Vec<(i64, usize)>,
    producer: i64,
    epoch_up: bool,
    compressed: bool,
}

fn shape() -> impl Strategy<Value = Shape> {
    let gap = prop_oneof![4 => Just(0), 1 => 1..5u64, 1 => 100..100_000u64];
    let bytes = prop_oneof![8 => 0..300usize, 1 => 10_000..400_000usize];
    let record = (0..2_000i64, bytes);
    let records = prop::collection::vec(record, 1..5);
    (
        gap,
        records,
        -1..3i64,
        prop::bool::weighted(0.1),
        any::<bool>(),
    )
        .prop_map(|(gap, records, producer, epoch_up, compressed)| Shape {
            gap,
            records,
            producer,
            epoch_up,
            compressed,
        })
}

struct Model {
    source: Source,
    /// Offset and timestamp of every record.
    records: Vec<(u64, i64)>,
    producers: Vec<(i64, u64)>,
}

fn build(base: u64, shapes: &[Shape]) -> Model {
    let mut random = Random(base);
    let mut described = descriptor(base, base);
    described.epochs.clear();
    let (mut offset, mut epoch) = (base, 1);
    let mut model = Model {
        source: Source {
            descriptor: described,
            batches: Vec::new(),
        },
        records: Vec::new(),
        producers: Vec::new(),
    };
    for shape in shapes {
        offset += shape.gap;
        epoch += u32::from(shape.epoch_up);
        let epochs = &mut model.source.descriptor.epochs;
        if epochs.last().is_none_or(|(last, _)| *last < epoch) {
            epochs.push((epoch, offset));
        }
        if shape.producer >= 0 {
            model.producers.push((shape.producer, offset));
        }
        let mut records = Vec::new();
        for (number, (timestamp_ms, bytes)) in shape.records.iter().enumerate() {
            model.records.push((offset + number as u64, *timestamp_ms));
            records.push((*timestamp_ms, random.bytes(*bytes)));
        }
        let batch = Batch {
            offset,
            epoch,
            producer: Producer {
                id: shape.producer,
                epoch: 0,
                base_sequence: 9,
            },
            compression: if shape.compressed {
                Compression::Lz4
            } else {
                Compression::None
            },
            records,
        };
        model.source.batches.push(batch.build());
        offset += shape.records.len() as u64;
    }
    model.source.descriptor.end_offset = offset + 7;
    model
}

async fn check(models: &[Model]) {
    let store = Store::open("memory:", StoreOptions::default()).unwrap();
    let (reader, _dir) = reader(&store, 4 << 20);
    let mut segments: Vec<SegmentRef> = Vec::new();
    for model in models {
        segments.push(model.source.upload(&store).await);
    }
    let all: Vec<&Bytes> = models
        .iter()
        .flat_map(|model| &model.source.batches)
        .collect();
    for (at, segment) in segments.iter().enumerate() {
        store.verify(segment).await.unwrap();
        // At the borders of every batch, which is where something can be off by one.
        let batches = &models[at].source.batches;
        let offsets = batches
            .iter()
            .flat_map(|batch| {
                [
                    base_offset(batch),
                    next_offset(batch) - 1,
                    next_offset(batch),
                ]
            })
            .chain([segment.base_offset, segment.end_offset - 1]);
        for offset in offsets.filter(|offset| *offset < segment.end_offset) {
            let first = all.partition_point(|batch| next_offset(batch) <= offset);
            for max_bytes in [1, 100_000] {
                let read = reader
                    .read(&segments[at..], offset, max_bytes)
                    .await
                    .unwrap();
                let expected = all[first..].iter().take(read.len()).copied();
                assert!(read.iter().eq(expected), "at {offset}");
                assert_eq!(read.is_empty(), first == all.len(), "at {offset}");
            }
        }
        for timestamp_ms in (-1..2_001).step_by(91) {
            let expected = models[at]
                .records
                .iter()
                .find(|(_, time)| *time >= timestamp_ms);
            let found = reader.offset_for_time(segment, timestamp_ms).await.unwrap();
            assert_eq!(
                found,
                expected.map(|(offset, _)| *offset),
                "at time {timestamp_ms}"
            );
        }
        let producers = reader.producers(segment).await.unwrap();
        let found: Vec<_> = producers
            .iter()
            .map(|batch| (batch.producer.id, batch.base_offset))
            .collect();
        assert_eq!(found, models[at].producers);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_is_what_was_there(
        base in prop_oneof![Just(0u64), 0..1u64 << 40],
        first in prop::collection::vec(shape(), 1..40),
        second in prop::collection::vec(shape(), 1..10),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let first = build(base, &first);
        let second = build(first.source.descriptor.end_offset, &second);
        runtime.block_on(check(&[first, second]));
    }
}

/// Many small batches: the index has to thin out, and finds offsets and times none the less.
#[tokio::test]
async fn an_index_stays_small() {
    let store = Store::open("memory:", StoreOptions::default()).unwrap();
    let source = Source::dense(0, 160 << 20, 20_000);
    let segment = source.upload(&store).await;
    let behind_data = segment.size_bytes - segment.index_position;
    assert!(
        behind_data < 80 << 10,
        "{behind_data} bytes of index and footer"
    );
    let (reader, _dir) = reader(&store, 0);
    for offset in (0..segment.end_offset).step_by(997) {
        let read = reader
            .read(std::slice::from_ref(&segment), offset, 1)
            .await
            .unwrap();
        assert_eq!(Some(&read[0]), source.batch_at(offset));
        let base = base_offset(&read[0]);
        let found = reader.offset_for_time(&segment, base as i64).await;
        assert_eq!(found, Ok(Some(base)));
    }
}
