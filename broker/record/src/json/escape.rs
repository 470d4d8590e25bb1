//! From bytes to a JSON string.

use super::special::find_special;

/// Appends `text` with quotes around it: quotes, backslashes and control characters escaped, all
/// else as it is. `text` must be UTF-8.
#[inline]
pub(super) fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut done = 0;
    loop {
        let at = find_special(text, done);
        out.extend_from_slice(&text[done..at]);
        let Some(&byte) = text.get(at) else { break };
        write_escape(byte, out);
        done = at + 1;
    }
    out.push(b'"');
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
