//! Both ways against the `kafka-protocol` crate, an implementation that shares nothing with ours.

use bytes::{Bytes, BytesMut};
use headwater_record::{BatchView, Compression, Producer};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression as Theirs, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions,
    TimestampType,
};
use proptest::prelude::*;

use crate::sample::{Owned, compression, decode, encode_from, records};

fn theirs(compression: Compression) -> Theirs {
    match compression {
        Compression::None => Theirs::None,
        Compression::Gzip => Theirs::Gzip,
        Compression::Snappy => Theirs::Snappy,
        Compression::Lz4 => Theirs::Lz4,
        Compression::Zstd => Theirs::Zstd,
    }
}

/// Their headers are a map, their sequence numbers count on within a batch.
fn for_them(mut records: Vec<Owned>) -> Vec<Owned> {
    for record in &mut records {
        record.headers.sort();
        record.headers.dedup_by(|a, b| a.0 == b.0);
        record.json = false;
        record.server_timestamp = false;
        record.timestamp_ms = record.timestamp_ms.rem_euclid(1 << 45);
    }
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn they_decode_what_we_encode(records in records(), compression in compression()) {
        let records = for_them(records);
        let producer = Producer { id: 77, epoch: 5, base_sequence: 100 };
        let mut bytes = Bytes::from(encode_from(&records, producer, compression));
        let set = RecordBatchDecoder::decode(&mut bytes).unwrap();
        prop_assert!(bytes.is_empty());
        prop_assert_eq!(set.records.len(), records.len());
        for (i, (theirs, ours)) in set.records.iter().zip(&records).enumerate() {
            prop_assert_eq!(theirs.offset, i as i64);
            prop_assert_eq!(theirs.sequence, 100 + i as i32);
            prop_assert_eq!((theirs.producer_id, theirs.producer_epoch), (77, 5));
            prop_assert_eq!(theirs.timestamp, ours.timestamp_ms);
            prop_assert_eq!(theirs.key.as_deref(), ours.key.as_deref());
            prop_assert_eq!(theirs.value.as_deref(), ours.value.as_deref());
            let headers: Vec<_> = theirs
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.as_ref().map(|v| v.to_vec())))
                .collect();
            prop_assert_eq!(&headers, &ours.headers);
        }
    }

    #[test]
    fn we_decode_what_they_encode(records in records(), compression in compression()) {
        let records = for_them(records);
        let input: Vec<_> = records
            .iter()
            .enumerate()
            .map(|(i, record)| Record {
                transactional: false,
                control: false,
                delete_horizon: false,
                partition_leader_epoch: 4,
                producer_id: 77,
                producer_epoch: 5,
                timestamp_type: TimestampType::Creation,
                offset: 1_000 + i as i64,
                sequence: 100 + i as i32,
                timestamp: record.timestamp_ms,
                key: record.key.clone().map(Bytes::from),
                value: record.value.clone().map(Bytes::from),
                headers: record
                    .headers
                    .iter()
                    .map(|(name, value)| {
                        (StrBytes::from_string(name.clone()), value.clone().map(Bytes::from))
                    })
                    .collect(),
            })
            .collect();
        let mut bytes = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression: theirs(compression) };
        RecordBatchEncoder::encode(&mut bytes, &input, &options).unwrap();

        let (view, used) = BatchView::parse(&bytes).unwrap();
        prop_assert_eq!(used, bytes.len());
        prop_assert_eq!(view.check_crc(), Ok(()));
        let header = view.header();
        prop_assert_eq!(header.compression(), compression);
        prop_assert_eq!(header.base_offset, 1_000);
        prop_assert_eq!(header.leader_epoch, 4);
        prop_assert_eq!(header.producer, Producer { id: 77, epoch: 5, base_sequence: 100 });
        prop_assert_eq!(view.next_offset(), 1_000 + records.len() as u64);
        prop_assert_eq!(decode(&bytes).unwrap(), records);
    }
}
