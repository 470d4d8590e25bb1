//! Base64 of the standard alphabet with padding (RFC 4648, section 4), in and out.

use base64_simd::STANDARD;

use super::error::{Fallible, JsonError, JsonErrorKind};
use super::scan::Text;

/// Replaces `out` with what `text` encodes. `unescaped` is for text with escapes: some writers
/// put a backslash before each slash.
///
/// # Errors
/// If it is not base64.
pub(super) fn decode(text: &Text<'_>, unescaped: &mut Vec<u8>, out: &mut Vec<u8>) -> Fallible<()> {
    out.clear();
    let encoded = text.bytes(unescaped)?;
    STANDARD.decode_append(encoded, out).map_err(|_| {
        JsonError::new(
            JsonErrorKind::InvalidBase64,
            text.at,
            "This is not base64. Use the standard alphabet (with + and /) and padding.",
        )
    })
}

/// Appends `bytes` as base64.
pub(super) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    STANDARD.encode_append(bytes, out);
}
