use headwater_record::{BatchView, Compression, DecodeError};

use crate::sample::{Owned, decode, encode};

const ALL: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

fn zeros(bytes: usize) -> Vec<Owned> {
    vec![Owned {
        key: None,
        value: Some(vec![0; bytes]),
        json: false,
        timestamp_ms: 0,
        server_timestamp: false,
        headers: Vec::new(),
    }]
}

#[test]
fn a_bomb_is_refused_within_bounds() {
    const BYTES_MAX: usize = 1 << 16;
    for compression in &ALL[1..] {
        let bytes = encode(&zeros(32 << 20), *compression);
        assert!(
            bytes.len() < 4 << 20,
            "{compression} makes a bomb of {} bytes",
            bytes.len()
        );
        let (view, _) = BatchView::parse(&bytes).unwrap();
        let mut scratch = Vec::new();
        let error = view.records(&mut scratch, BYTES_MAX).unwrap_err();
        assert_eq!(
            error,
            DecodeError::TooLarge {
                bytes_max: BYTES_MAX
            },
            "{compression}"
        );
        assert!(
            scratch.capacity() <= 4 * BYTES_MAX,
            "{compression}: {}",
            scratch.capacity()
        );
    }
}

#[test]
fn exactly_the_bound_is_allowed() {
    for compression in &ALL[1..] {
        let bytes = encode(&zeros(10_000), *compression);
        let inflated = encode(&zeros(10_000), Compression::None).len() - 61;
        let (view, _) = BatchView::parse(&bytes).unwrap();
        assert!(
            view.records(&mut Vec::new(), inflated).is_ok(),
            "{compression}"
        );
        let (view, _) = BatchView::parse(&bytes).unwrap();
        assert!(
            view.records(&mut Vec::new(), inflated - 1).is_err(),
            "{compression}"
        );
    }
}

#[test]
fn what_does_not_shrink_stays_as_it_is() {
    for compression in ALL {
        let bytes = encode(&zeros(1), compression);
        assert_eq!(
            BatchView::header_of(&bytes).unwrap().compression(),
            Compression::None
        );
        let bytes = encode(&zeros(1_000), compression);
        assert_eq!(
            BatchView::header_of(&bytes).unwrap().compression(),
            compression
        );
    }
}

/// Some clients send one raw snappy block, without the framing that Kafka's own has.
#[test]
fn raw_snappy_is_read_too() {
    let records = zeros(5_000);
    let plain = encode(&records, Compression::None);
    let raw = snap::raw::Encoder::new()
        .compress_vec(&plain[61..])
        .unwrap();
    let mut bytes = plain[..61].to_vec();
    bytes.extend_from_slice(&raw);
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[22] |= Compression::Snappy as u8;
    assert_eq!(decode(&bytes).unwrap(), records);
}

#[test]
fn names_go_both_ways() {
    for compression in ALL {
        assert_eq!(compression.to_string().parse(), Ok(compression));
    }
    assert!("LZ4".parse::<Compression>().is_err());
}

#[test]
fn unknown_codes_are_refused() {
    let mut bytes = encode(&zeros(1), Compression::None);
    bytes[22] = 5;
    assert_eq!(
        BatchView::header_of(&bytes),
        Err(DecodeError::Compression(5))
    );
}
