use headwater_record::{murmur2, partition_for_key};

/// The vectors of Kafka's own `UtilsTest.testMurmur2`.
#[test]
fn hashes_as_kafka_does() {
    for (key, hash) in [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        (
            "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
            -58_897_971,
        ),
        ("abc", 479_470_107),
    ] {
        assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
    }
}

#[test]
fn partitions_stay_in_range() {
    assert_eq!(
        partition_for_key(b"foobar", 7),
        (-790_332_482_i32 & i32::MAX) as u32 % 7
    );
    assert_eq!(partition_for_key(b"anything", 1), 0);
    assert_eq!(partition_for_key(b"anything", 0), 0);
}
