//! Snappy as Kafka has it: raw blocks in the framing of the xerial library, which is not the
//! official framing. Source: `SnappyOutputStream` of snappy-java and its README, "Compatibility
//! notes". Some clients send one raw block without framing.

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::super::DecodeError;
use super::Compression;

/// Magic, then version 1, readable by version 1.
const HEADER: &[u8; 16] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const MAGIC_BYTES: usize = 8;
const BLOCK_BYTES: usize = 32 * 1024;

/// Appends `data`, compressed, to `out`; `None` if the compressor fails.
pub(super) fn compress(data: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut encoder = Encoder::new();
    out.extend_from_slice(HEADER);
    for block in data.chunks(BLOCK_BYTES) {
        let length_at = out.len();
        let block_at = length_at + 4;
        out.resize(block_at + max_compress_len(block.len()), 0);
        let length = encoder.compress(block, &mut out[block_at..]).ok()?;
        out[length_at..block_at].copy_from_slice(&u32::try_from(length).ok()?.to_be_bytes());
        out.truncate(block_at + length);
    }
    Some(())
}

/// Appends what `data` inflates to, at most `bytes_max` bytes.
pub(super) fn inflate(data: &[u8], out: &mut Vec<u8>, bytes_max: usize) -> Result<(), DecodeError> {
    if !data.starts_with(&HEADER[..MAGIC_BYTES]) {
        return block(data, out, bytes_max);
    }
    let mut rest = data.get(HEADER.len()..).ok_or(BAD)?;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>().ok_or(BAD)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| BAD)?;
        let (compressed, after) = after.split_at_checked(length).ok_or(BAD)?;
        block(compressed, out, bytes_max)?;
        rest = after;
    }
    Ok(())
}

const BAD: DecodeError = DecodeError::Inflate(Compression::Snappy);

fn block(compressed: &[u8], out: &mut Vec<u8>, bytes_max: usize) -> Result<(), DecodeError> {
    let start = out.len();
    let length = decompress_len(compressed).map_err(|_| BAD)?;
    if length > bytes_max - start {
        return Err(DecodeError::TooLarge { bytes_max });
    }
    out.resize(start + length, 0);
    let written = Decoder::new()
        .decompress(compressed, &mut out[start..])
        .map_err(|_| BAD)?;
    out.truncate(start + written);
    Ok(())
}
