use headwater_record::{
    BATCH_HEADER_BYTES, Batch, BatchBuilder, BatchView, Batches, Compression, DecodeError,
    Producer, records_equal,
};
use proptest::prelude::*;

use crate::sample::{
    DECODED_BYTES_MAX, Owned, compression, decode, encode, encode_from, record, records,
};

/// Bits outside the CRC: base offset and leader epoch, which a leader sets.
fn outside_crc(byte: usize) -> bool {
    byte < 8 || (12..16).contains(&byte)
}

/// Everything that a reader can ask of bytes; must not panic.
fn read_all(bytes: &[u8]) {
    let _ = BatchView::header_of(bytes).map(|header| (header.next_offset(), header.compression()));
    for batch in Batches::new(bytes) {
        let Ok(batch) = batch else { break };
        let _ = batch.check_crc();
        let mut scratch = Vec::new();
        if let Ok(records) = batch.records(&mut scratch, 1 << 20) {
            for record in records {
                let Ok(record) = record else { break };
                assert_eq!(record.headers().count(), record.headers().len());
            }
        }
        let _ = records_equal(&batch, &batch, 1 << 20);
    }
    let _ = Batch::from_bytes(bytes);
}

proptest! {
    #[test]
    fn decodes_what_it_encodes(records in records(), compression in compression()) {
        prop_assert_eq!(decode(&encode(&records, compression)).unwrap(), records);
    }

    #[test]
    fn never_panics_on_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    /// A header that is right, so that the damage reaches the records.
    #[test]
    fn never_panics_on_damage(
        records in records(),
        compression in compression(),
        damage in crate::sample::damage(),
    ) {
        let bytes = encode(&records, compression);
        let mut bytes = crate::sample::damaged(&bytes, &damage);
        read_all(&bytes);
        if bytes.len() >= BATCH_HEADER_BYTES {
            let length = (bytes.len() - 12) as i32;
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            read_all(&bytes);
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed(
        records in records(),
        compression in compression(),
        at in any::<prop::sample::Index>(),
        bit in 0..8,
    ) {
        let mut bytes = encode(&records, compression);
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        match BatchView::parse(&bytes) {
            Ok((view, _)) if outside_crc(at) => prop_assert_eq!(view.check_crc(), Ok(())),
            Ok((view, _)) => prop_assert!(view.check_crc().is_err()),
            Err(_) => {}
        }
    }

    #[test]
    fn a_cut_batch_is_truncated(records in records(), at in any::<prop::sample::Index>()) {
        let bytes = encode(&records, Compression::None);
        let have = at.index(bytes.len());
        let error = BatchView::parse(&bytes[..have]).unwrap_err();
        let needed = if have < BATCH_HEADER_BYTES { BATCH_HEADER_BYTES } else { bytes.len() };
        prop_assert_eq!(error, DecodeError::Truncated { needed, have });
    }

    #[test]
    fn the_same_records_are_equal_however_packed(
        records in records(),
        a in compression(),
        b in compression(),
        now_ms in any::<i64>(),
    ) {
        let mut again = records.clone();
        for record in again.iter_mut().filter(|record| record.server_timestamp) {
            record.timestamp_ms = now_ms;
        }
        prop_assert!(equal(&encode(&records, a), &encode(&again, b)));
    }

    #[test]
    fn other_records_are_not_equal(
        records in records(),
        other in record(),
        at in any::<prop::sample::Index>(),
    ) {
        let mut changed = records.clone();
        let at = at.index(records.len());
        changed[at] = other;
        let differs = {
            let (mut a, mut b) = (records[at].clone(), changed[at].clone());
            if a.server_timestamp && b.server_timestamp {
                (a.timestamp_ms, b.timestamp_ms) = (0, 0);
            }
            a != b
        };
        let (a, b) = (encode(&records, Compression::None), encode(&changed, Compression::None));
        prop_assert_eq!(equal(&a, &b), !differs);
        changed.push(records[0].clone());
        prop_assert!(!equal(&a, &encode(&changed, Compression::None)));
    }
}

fn equal(a: &[u8], b: &[u8]) -> bool {
    let (a, _) = BatchView::parse(a).unwrap();
    let (b, _) = BatchView::parse(b).unwrap();
    records_equal(&a, &b, DECODED_BYTES_MAX).unwrap()
}

fn plain(value: &[u8], timestamp_ms: i64) -> Owned {
    Owned {
        key: None,
        value: Some(value.to_vec()),
        json: false,
        timestamp_ms,
        server_timestamp: false,
        headers: Vec::new(),
    }
}

#[test]
fn the_header_says_what_the_batch_holds() {
    let producer = Producer {
        id: 1 << 62,
        epoch: 3,
        base_sequence: 40,
    };
    let records = [plain(b"a", 500), plain(b"b", 900), plain(b"c", -7)];
    let bytes = encode_from(&records, producer, Compression::None);
    let mut batch = Batch::from_bytes(bytes).unwrap();
    batch.set_base_offset(1 << 52);
    batch.set_leader_epoch(12);
    assert_eq!(batch.record_count(), 3);
    assert_eq!(batch.last_offset_delta(), 2);
    assert_eq!(batch.max_timestamp_ms(), 900);
    assert_eq!(batch.producer(), producer);
    assert_eq!(batch.len(), batch.as_bytes().len());
    assert_eq!(
        batch.header(),
        &BatchView::header_of(batch.as_bytes()).unwrap()
    );

    let bytes = Batch::from_bytes(batch.freeze()).unwrap().freeze();
    let (view, used) = BatchView::parse(&bytes).unwrap();
    assert_eq!(used, bytes.len());
    assert_eq!(view.header().base_offset, 1 << 52);
    assert_eq!(view.header().leader_epoch, 12);
    assert_eq!(view.header().base_timestamp_ms, 500);
    assert_eq!(view.next_offset(), (1 << 52) + 3);
    let mut scratch = Vec::new();
    let records: Vec<_> = view
        .records(&mut scratch, 0)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(records[2].offset, (1 << 52) + 2);
    assert_eq!(records[2].offset_delta, 2);
    assert_eq!(records[2].timestamp_ms, -7);
}

#[test]
fn the_builder_counts_as_it_goes() {
    let mut builder = BatchBuilder::with_capacity(1 << 10);
    assert!(builder.is_empty());
    assert_eq!(builder.encoded_bytes(), BATCH_HEADER_BYTES);
    plain(b"value", 1).push(&mut builder);
    assert_eq!(builder.record_count(), 1);
    let bytes = builder.encoded_bytes();
    assert_eq!(
        builder.finish(Producer::NONE, Compression::None).len(),
        bytes
    );
}

#[test]
fn batches_follow_each_other() {
    let one = encode(&[plain(b"1", 0)], Compression::None);
    let two = encode(&[plain(b"2", 0), plain(b"3", 0)], Compression::None);
    let mut bytes = [one.as_slice(), &two].concat();
    let counts: Vec<_> = Batches::new(&bytes)
        .map(|batch| batch.unwrap().header().record_count)
        .collect();
    assert_eq!(counts, [1, 2]);

    bytes.pop();
    let mut batches = Batches::new(&bytes);
    assert!(batches.next().unwrap().is_ok());
    assert!(matches!(
        batches.next(),
        Some(Err(DecodeError::Truncated { .. }))
    ));
    assert!(batches.next().is_none());
    assert_eq!(batches.position(), one.len());
}

#[test]
fn one_batch_alone_has_nothing_after_it() {
    let mut bytes = encode(&[plain(b"1", 0)], Compression::None);
    bytes.push(0);
    assert_eq!(
        Batch::from_bytes(bytes).unwrap_err(),
        DecodeError::TrailingBytes(1)
    );
}

/// The producer's timestamps give way to the broker's where the batch says so.
#[test]
fn log_append_time_replaces_record_timestamps() {
    let mut bytes = encode(&[plain(b"1", 5), plain(b"2", 9)], Compression::None);
    bytes[22] |= 1 << 3;
    let timestamps: Vec<_> = decode(&bytes)
        .unwrap()
        .iter()
        .map(|r| r.timestamp_ms)
        .collect();
    assert_eq!(timestamps, [9, 9]);
}

/// Compaction leaves gaps between offsets, and may leave none at all.
#[test]
fn offsets_may_have_gaps_but_not_go_back() {
    let mut bytes = encode(&[plain(b"1", 0), plain(b"2", 0)], Compression::None);
    let second_delta = bytes.len() - 5;
    assert_eq!(bytes[second_delta], 2);
    bytes[second_delta] = 2 * 9;
    assert!(matches!(
        decode(&bytes),
        Err(DecodeError::Record { index: 1, .. })
    ));
    bytes[26] = 9;
    assert_eq!(decode(&bytes).unwrap().len(), 2);
    bytes[second_delta] = 0;
    assert!(matches!(
        decode(&bytes),
        Err(DecodeError::Record { index: 1, .. })
    ));
}

#[test]
fn counts_that_lie_are_refused() {
    let mut bytes = encode(&[plain(b"1", 0), plain(b"2", 0)], Compression::None);
    bytes[60] = 1;
    assert!(matches!(decode(&bytes), Err(DecodeError::TrailingBytes(_))));
    bytes[60] = 9;
    assert!(matches!(decode(&bytes), Err(DecodeError::Header(_))));
    bytes[26] = 9;
    assert!(matches!(
        decode(&bytes),
        Err(DecodeError::Record { index: 2, .. })
    ));
}
