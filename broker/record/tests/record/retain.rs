//! Taking records out of a batch, against a model, and read back by ours and by `kafka-protocol`.

use bytes::Bytes;
use headwater_record::{
    BATCH_HEADER_BYTES, Batch, BatchHeader, BatchView, Compression, DecodeError, Producer,
    RECORD_JSON, RECORD_SERVER_TIMESTAMP, Retained,
};
use kafka_protocol::records::RecordBatchDecoder;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::sample::{DECODED_BYTES_MAX, Owned, compression, decode, encode_from, records};

const BASE_OFFSET: u64 = 1 << 40;
const PRODUCER: Producer = Producer {
    id: 77,
    epoch: 5,
    base_sequence: 100,
};

/// A batch as a log holds it.
fn stored(records: &[Owned], compression: Compression) -> Bytes {
    let mut batch = Batch::from_bytes(encode_from(records, PRODUCER, compression)).unwrap();
    batch.set_base_offset(BASE_OFFSET);
    batch.set_leader_epoch(12);
    batch.freeze()
}

fn view(bytes: &[u8]) -> BatchView<'_> {
    let (view, used) = BatchView::parse(bytes).unwrap();
    assert_eq!(used, bytes.len());
    view.check_crc().unwrap();
    view
}

fn deltas(bytes: &[u8]) -> Vec<(u32, u64)> {
    let mut scratch = Vec::new();
    view(bytes)
        .records(&mut scratch, DECODED_BYTES_MAX)
        .unwrap()
        .map(|record| record.map(|record| (record.offset_delta, record.offset)))
        .collect::<Result<_, _>>()
        .unwrap()
}

/// Takes the records whose offset delta is marked, and counts what was asked.
fn retain(bytes: &[u8], keep: &[bool]) -> Retained {
    view(bytes)
        .retain(DECODED_BYTES_MAX, |record| {
            keep[record.offset_delta as usize]
        })
        .unwrap()
}

/// The header without what may change.
fn unchanged(bytes: &[u8]) -> BatchHeader {
    let header = *view(bytes).header();
    BatchHeader {
        batch_bytes: 0,
        crc: 0,
        attributes: header.attributes & !0b111,
        max_timestamp_ms: 0,
        record_count: 0,
        ..header
    }
}

/// A batch, and which of its records are to stay.
fn marked() -> impl Strategy<Value = (Vec<Owned>, Vec<bool>)> {
    records().prop_flat_map(|records| {
        let marks = vec(any::<bool>(), records.len());
        (Just(records), marks)
    })
}

proptest! {
    #[test]
    fn what_is_kept_is_as_it_was(
        (records, keep) in marked(),
        compression in compression(),
        again in vec(any::<bool>(), 20),
    ) {
        let mut bytes = stored(&records, compression);
        let before = unchanged(&bytes);
        let mut keep = keep;
        for round in 0..2 {
            if round == 1 {
                keep.iter_mut().zip(&again).for_each(|(keep, again)| *keep &= again);
            }
            let left: Vec<u32> = (0..records.len() as u32)
                .filter(|delta| keep[*delta as usize])
                .collect();
            let was = view(&bytes).header().record_count as usize;
            match retain(&bytes, &keep) {
                Retained::All => prop_assert_eq!(left.len(), was),
                Retained::None => {
                    prop_assert!(left.is_empty());
                    return Ok(());
                }
                Retained::Some(rewritten) => {
                    prop_assert!(!left.is_empty() && left.len() < was);
                    bytes = rewritten;
                }
            }
            let expected: Vec<Owned> =
                left.iter().map(|delta| records[*delta as usize].clone()).collect();
            let offsets: Vec<_> =
                left.iter().map(|delta| (*delta, BASE_OFFSET + u64::from(*delta))).collect();
            prop_assert_eq!(deltas(&bytes), offsets);
            prop_assert_eq!(unchanged(&bytes), before);
            let header = *view(&bytes).header();
            prop_assert_eq!(header.record_count as usize, left.len());
            let max = expected.iter().map(|record| record.timestamp_ms).max();
            prop_assert_eq!(Some(header.max_timestamp_ms), max);
            prop_assert!([compression, Compression::None].contains(&header.compression()));
            prop_assert_eq!(decode(&bytes).unwrap(), expected);
        }
    }

    #[test]
    fn they_read_what_is_left((records, keep) in marked(), compression in compression()) {
        let mut records = records;
        for record in &mut records {
            record.timestamp_ms = record.timestamp_ms.rem_euclid(1 << 45);
        }
        let bytes = stored(&records, compression);
        let mut left = match retain(&bytes, &keep) {
            Retained::All => bytes,
            Retained::Some(left) => left,
            Retained::None => view(&bytes).emptied(),
        };
        let set = RecordBatchDecoder::decode(&mut left).unwrap();
        prop_assert!(left.is_empty());
        let expected: Vec<_> = (0..records.len())
            .filter(|at| keep[*at])
            .map(|at| {
                let Owned { key, value, timestamp_ms, .. } = records[at].clone();
                (BASE_OFFSET as i64 + at as i64, timestamp_ms, key, value)
            })
            .collect();
        let theirs: Vec<_> = set
            .records
            .iter()
            .map(|record| {
                let bytes = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| bytes.to_vec());
                (record.offset, record.timestamp, bytes(&record.key), bytes(&record.value))
            })
            .collect();
        prop_assert_eq!(theirs, expected);
    }

    #[test]
    fn an_emptied_batch_knows_its_producer(records in records(), compression in compression()) {
        let bytes = stored(&records, compression);
        let emptied = view(&bytes).emptied();
        prop_assert_eq!(emptied.len(), BATCH_HEADER_BYTES);
        prop_assert_eq!(unchanged(&emptied), unchanged(&bytes));
        let header = *view(&emptied).header();
        prop_assert_eq!(header.record_count, 0);
        prop_assert_eq!(header.compression(), Compression::None);
        prop_assert_eq!(header.max_timestamp_ms, view(&bytes).header().max_timestamp_ms);
        prop_assert_eq!(decode(&emptied).unwrap(), []);
        prop_assert_eq!(retain(&emptied, &[]), Retained::All);
        prop_assert_eq!(view(&emptied).emptied(), emptied);
    }

    #[test]
    fn damage_never_panics(
        records in records(),
        compression in compression(),
        damage in crate::sample::damage(),
    ) {
        let bytes = crate::sample::damaged(&stored(&records, compression), &damage);
        if let Ok((view, _)) = BatchView::parse(&bytes) {
            let retained = view.retain(1 << 20, |record| record.offset_delta % 2 == 0);
            if let Ok(Retained::Some(left)) = retained {
                prop_assert!(decode(&left).is_ok());
            }
        }
    }
}

fn plain(timestamp_ms: i64) -> Owned {
    Owned {
        key: Some(b"key".to_vec()),
        value: Some(b"value".to_vec()),
        json: true,
        timestamp_ms,
        server_timestamp: true,
        headers: Vec::new(),
    }
}

/// The broker's timestamps are one for the whole batch, which must not change with what is left.
#[test]
fn log_append_time_stays() {
    let mut bytes = encode_from(&[plain(5), plain(9)], PRODUCER, Compression::None);
    bytes[22] |= 1 << 3;
    let (batch, _) = BatchView::parse(&bytes).unwrap();
    let retained = batch.retain(DECODED_BYTES_MAX, |record| record.offset_delta == 0);
    let Ok(Retained::Some(left)) = retained else {
        panic!("{retained:?}");
    };
    let mut scratch = Vec::new();
    let view = view(&left);
    let records: Vec<_> = view
        .records(&mut scratch, 0)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].timestamp_ms, 9);
    let both = RECORD_JSON | RECORD_SERVER_TIMESTAMP;
    assert_eq!(records[0].attributes, both);
}

#[test]
fn what_does_not_decode_is_told() {
    let mut bytes = encode_from(&[plain(5), plain(9)], PRODUCER, Compression::None);
    bytes[60] = 1;
    let (batch, _) = BatchView::parse(&bytes).unwrap();
    let error = batch.retain(DECODED_BYTES_MAX, |_| false).unwrap_err();
    assert!(matches!(error, DecodeError::TrailingBytes(_)), "{error}");
}
