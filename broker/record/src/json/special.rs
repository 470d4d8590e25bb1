//! Finds the bytes of a string that need a look, sixteen at a time.

const LANES: usize = 16;

/// The position of the first quote, backslash or control character of `bytes` from `at` on;
/// the length of `bytes` if there is none.
#[inline(always)]
pub(super) fn find_special(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<LANES>) {
        let found = special(chunk);
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += LANES;
    }
    while let Some(&byte) = bytes.get(at) {
        if is_special(byte) {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

#[inline(always)]
fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// All bits of each special byte, first byte lowest. The compiler makes three vector comparisons
/// of the loop, on any processor that has them.
#[inline(always)]
fn special(chunk: &[u8; LANES]) -> u128 {
    u128::from_le_bytes(chunk.map(|byte| if is_special(byte) { 0xff } else { 0 }))
}

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
                    let expected = if is_special(byte) { at } else { length };
                    assert_eq!(find_special(&bytes, 0), expected);
                    assert_eq!(find_special(&bytes, at), expected);
                }
            }
        }
    }
}
