//! Kafka's default partitioner: a record with a key goes where any Kafka client would send it.

const SEED: u32 = 0x9747_b28c;
const MIX: u32 = 0x5bd1_e995;
const SHIFT: u32 = 24;

/// MurmurHash2 of `key`, 32 bits, with Kafka's seed.
///
/// Source: `org.apache.kafka.common.utils.Utils.murmur2`. Java returns the same bits as a signed
/// number.
pub fn murmur2(key: &[u8]) -> u32 {
    // Java hashes the length as a 32-bit number, so a longer one wraps there too.
    let mut hash = SEED ^ key.len() as u32;
    let (words, tail) = key.as_chunks::<4>();
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(MIX);
        word ^= word >> SHIFT;
        hash = hash.wrapping_mul(MIX) ^ word.wrapping_mul(MIX);
    }
    if !tail.is_empty() {
        for (i, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(MIX);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MIX);
    hash ^ (hash >> 15)
}

/// The partition, `0..partitions`, that Kafka's default partitioner picks for `key`.
///
/// `partitions` of 0 counts as 1, so the answer is then 0.
pub fn partition_for_key(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions.max(1)
}
