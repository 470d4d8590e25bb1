//! Zig-zag variable-length numbers (Protocol Buffers, "Signed integers"), seven bits a byte, low
//! bits first. Kafka's `varint` and `varlong` share this encoding.

/// Most bytes that one number takes.
pub(crate) const BYTES_MAX: usize = 10;

#[inline(always)]
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Bytes that `value` takes, 1 to 10.
#[inline(always)]
pub(crate) fn len(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros();
    (bits as usize).div_ceil(7)
}

/// Bytes that the length of `bytes`, or -1 for none, and the bytes themselves take.
#[inline(always)]
pub(crate) fn len_of_bytes(bytes: Option<&[u8]>) -> usize {
    match bytes {
        Some(bytes) => len(bytes.len() as i64) + bytes.len(),
        None => 1,
    }
}

/// Writes `value` at `buffer[at..]`; returns the position after it.
///
/// `buffer` must have [`BYTES_MAX`] bytes from `at` on.
#[inline(always)]
pub(crate) fn put(buffer: &mut [u8], mut at: usize, value: i64) -> usize {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        buffer[at] = rest as u8 | 0x80;
        rest >>= 7;
        at += 1;
    }
    buffer[at] = rest as u8;
    at + 1
}

/// Appends `value`.
#[inline]
pub(crate) fn write(out: &mut Vec<u8>, value: i64) {
    let mut buffer = [0; BYTES_MAX];
    let end = put(&mut buffer, 0, value);
    out.extend_from_slice(&buffer[..end]);
}

/// Appends the length of `bytes`, or -1 for none, then the bytes.
#[inline]
pub(crate) fn write_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            write(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
        None => out.push(1),
    }
}

/// Reads from the front of a slice; every method answers `None` where the bytes run out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline(always)]
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// A number of at most ten bytes whose value fits 64 bits.
    #[inline(always)]
    pub(crate) fn number(&mut self) -> Option<i64> {
        let first = self.byte()?;
        let mut raw = u64::from(first & 0x7f);
        if first >= 0x80 {
            let mut shift = 7;
            loop {
                let byte = self.byte()?;
                if shift == 63 && byte > 1 {
                    return None;
                }
                raw |= u64::from(byte & 0x7f) << shift;
                if byte < 0x80 {
                    break;
                }
                shift += 7;
            }
        }
        Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// The next `length` bytes.
    #[inline(always)]
    pub(crate) fn take(&mut self, length: i64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    /// A length and that many bytes; the inner `None` is a length of -1, no other negative length
    /// is good.
    #[inline(always)]
    pub(crate) fn nullable_bytes(&mut self) -> Option<Option<&'a [u8]>> {
        match self.number()? {
            -1 => Some(None),
            length => self.take(length).map(Some),
        }
    }
}
