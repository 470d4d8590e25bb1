//! Finds the bytes of a string that need a look, sixteen or eight at a time.

/// The position of the first quote, backslash or control character of `bytes` from `at` on;
/// the length of `bytes` if there is none.
#[inline(always)]
pub(super) fn find_special(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk::<{ lanes::COUNT }>)
    {
        let found = lanes::first_special(chunk);
        if found < lanes::COUNT {
            return at + found;
        }
        at += lanes::COUNT;
    }
    while let Some(&byte) = bytes.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

/// Without the instructions below the scanner needs half as much time again for short strings: from
/// plain code the compiler makes the same comparisons but takes the result out through memory.
#[cfg(target_feature = "sse2")]
#[allow(unsafe_code, reason = "the only way to these instructions")]
mod lanes {
    use core::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8,
    };

    pub(super) const COUNT: usize = 16;

    /// Which of the bytes is the first special one; 16 or more if none is.
    #[inline(always)]
    pub(super) fn first_special(chunk: &[u8; COUNT]) -> usize {
        let word = u128::from_le_bytes(*chunk);
        // SAFETY: these instructions take and give values only, and this module is compiled only
        // where the target always has them, as every x86-64 has.
        let mask = unsafe {
            let bytes = _mm_set_epi64x((word >> 64) as i64, word as i64);
            let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
            let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
            let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
            _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control))
        };
        mask.trailing_zeros() as usize
    }
}

/// Eight bytes in one register. Source: Hacker's Delight, "Find First 0-Byte".
#[cfg(any(test, not(target_feature = "sse2")))]
#[cfg_attr(
    target_feature = "sse2",
    allow(dead_code, reason = "tested on every machine")
)]
mod word {
    pub(super) const COUNT: usize = 8;
    const LOW: u64 = u64::MAX / 255;
    const HIGH: u64 = LOW * 0x80;

    /// Which of the bytes is the first special one; 8 if none is.
    #[inline(always)]
    pub(super) fn first_special(chunk: &[u8; COUNT]) -> usize {
        let word = u64::from_le_bytes(*chunk);
        // A borrow may mark bytes above the first one too, which does not matter.
        let below = |word: u64, limit: u8| word.wrapping_sub(LOW * u64::from(limit)) & !word;
        let quote = below(word ^ (LOW * u64::from(b'"')), 1);
        let backslash = below(word ^ (LOW * u64::from(b'\\')), 1);
        let found = (quote | backslash | below(word, 0x20)) & HIGH;
        (found.trailing_zeros() / 8) as usize
    }
}

#[cfg(not(target_feature = "sse2"))]
use word as lanes;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place() {
        for length in 0..40 {
            for at in 0..length {
                for byte in 0..=255 {
                    let mut bytes = vec![0xc3; length];
                    bytes[at] = byte;
                    let special = byte == b'"' || byte == b'\\' || byte < b' ';
                    let expected = if special { at } else { length };
                    assert_eq!(find_special(&bytes, 0), expected);
                    assert_eq!(find_special(&bytes, at), expected);
                    if let Some(chunk) = bytes.first_chunk() {
                        assert_eq!(word::first_special(chunk), expected.min(word::COUNT));
                    }
                }
            }
        }
    }
}
