//! From a string's escapes to its bytes.

use super::error::{Fallible, JsonError, JsonErrorKind};
use super::scan::Text;

impl<'a> Text<'a> {
    /// The bytes of the string: where they are, or unescaped in `buffer`.
    ///
    /// # Errors
    /// At half a surrogate pair: there is no UTF-8 for it.
    #[inline(always)]
    pub(super) fn bytes<'b>(&self, buffer: &'b mut Vec<u8>) -> Fallible<&'b [u8]>
    where
        'a: 'b,
    {
        if !self.escaped {
            return Ok(self.raw);
        }
        buffer.clear();
        self.unescape(buffer)?;
        Ok(buffer)
    }

    /// Appends the bytes of the string to `out`.
    #[inline(never)]
    pub(super) fn unescape(&self, out: &mut Vec<u8>) -> Fallible<()> {
        let mut rest = self.raw;
        while let Some(plain) = memchr::memchr(b'\\', rest) {
            out.extend_from_slice(&rest[..plain]);
            let at = self.at + (self.raw.len() - rest.len()) + plain;
            let escape = &rest[plain + 1..];
            rest = &escape[1..];
            out.push(match escape[0] {
                b'b' => 0x08,
                b'f' => 0x0c,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'u' => {
                    let (c, used) = code_point(escape).ok_or_else(|| half_a_pair(at))?;
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    rest = &escape[used..];
                    continue;
                }
                itself => itself,
            });
        }
        out.extend_from_slice(rest);
        Ok(())
    }
}

/// The character that `uXXXX`, or `uXXXX\uXXXX`, stands for and the bytes it takes.
fn code_point(escape: &[u8]) -> Option<(char, usize)> {
    let first = unit(escape)?;
    if let Some(c) = char::from_u32(first) {
        return Some((c, 5));
    }
    let second = unit(escape[5..].strip_prefix(b"\\")?)?;
    match (first, second) {
        (0xd800..=0xdbff, 0xdc00..=0xdfff) => {
            let c = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            char::from_u32(c).map(|c| (c, 11))
        }
        _ => None,
    }
}

/// The UTF-16 code unit of `uXXXX`.
fn unit(escape: &[u8]) -> Option<u32> {
    let digits = escape.strip_prefix(b"u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, digit| {
        Some(unit << 4 | char::from(*digit).to_digit(16)?)
    })
}

#[cold]
fn half_a_pair(at: usize) -> Box<JsonError> {
    JsonError::new(
        JsonErrorKind::Syntax,
        at,
        "This is half of a surrogate pair, which is no character. Send both halves, or base64.",
    )
}
