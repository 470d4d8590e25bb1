//! The last bytes of an object, and with them all behind its keys and producers.

use std::ops::Range;

use super::codec::Reader;
use super::{DATA_BYTES_MAX, FOOTER_BYTES_MAX, FORMAT, Footer, Index, crc32c};

pub(crate) const TRAILER_BYTES: usize = 36;
const MAGIC: [u8; 8] = *b"HWSEGMNT";
/// Where the trailer's checksum stands.
const CRC_AT: usize = TRAILER_BYTES - MAGIC.len() - 4;

/// How long the parts of an object are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub data_bytes: u64,
    pub keys_and_producers_bytes: u32,
    pub index_bytes: u32,
    pub footer_bytes: u32,
    format: u32,
    crc: u32,
}

/// Why bytes are not the end of an object.
pub(crate) type Damage = String;

impl Trailer {
    /// Appends the trailer to `out`, where the producers' block, the index and the footer stand
    /// already. The keys stand before that.
    pub fn append(
        data_bytes: u64,
        keys_bytes: u64,
        index_from: usize,
        footer_from: usize,
        out: &mut Vec<u8>,
    ) -> Self {
        let mut trailer = Self {
            data_bytes,
            keys_and_producers_bytes: keys_bytes as u32 + index_from as u32,
            index_bytes: (footer_from - index_from) as u32,
            footer_bytes: (out.len() - footer_from) as u32,
            format: FORMAT,
            crc: 0,
        };
        out.extend_from_slice(&data_bytes.to_le_bytes());
        for field in [
            trailer.keys_and_producers_bytes,
            trailer.index_bytes,
            trailer.footer_bytes,
            trailer.format,
        ] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        trailer.crc = crc32c(&out[index_from..]);
        out.extend_from_slice(&trailer.crc.to_le_bytes());
        out.extend_from_slice(&MAGIC);
        trailer
    }

    /// Reads the last bytes of an object of `size_bytes`.
    ///
    /// # Errors
    /// What is wrong, in words. The checksum is not compared yet.
    pub fn decode(bytes: &[u8], size_bytes: u64) -> Result<Self, Damage> {
        let bytes = bytes
            .last_chunk::<TRAILER_BYTES>()
            .ok_or("the object is too short for a trailer")?;
        let (fields, magic) = bytes.split_last_chunk::<8>().ok_or("no trailer")?;
        if *magic != MAGIC {
            return Err("the object does not end with a segment's trailer".to_owned());
        }
        let trailer = Self::read(fields).ok_or("no trailer")?;
        if trailer.size_bytes() != size_bytes
            || trailer.data_bytes > DATA_BYTES_MAX
            || u64::from(trailer.footer_bytes) > FOOTER_BYTES_MAX
        {
            return Err("the trailer's lengths do not add up".to_owned());
        }
        Ok(trailer)
    }

    fn read(fields: &[u8]) -> Option<Self> {
        let mut reader = Reader(fields);
        Some(Self {
            data_bytes: reader.u64()?,
            keys_and_producers_bytes: reader.u32()?,
            index_bytes: reader.u32()?,
            footer_bytes: reader.u32()?,
            format: reader.u32()?,
            crc: reader.u32()?,
        })
    }

    fn size_bytes(&self) -> u64 {
        let behind = u64::from(self.keys_and_producers_bytes) + self.tail_bytes();
        self.data_bytes.saturating_add(behind)
    }

    /// Bytes of index, footer and trailer.
    pub fn tail_bytes(&self) -> u64 {
        u64::from(self.index_bytes) + u64::from(self.footer_bytes) + TRAILER_BYTES as u64
    }

    /// Where the index begins.
    pub fn index_position(&self) -> u64 {
        self.data_bytes + u64::from(self.keys_and_producers_bytes)
    }
}

/// Index, footer and trailer of an object, checked.
#[derive(Debug)]
pub(crate) struct Tail {
    pub trailer: Trailer,
    pub footer: Footer,
    pub index: Index,
}

impl Tail {
    /// Reads the last bytes of an object of `size_bytes`; more than the tail may be given.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn decode(bytes: &[u8], size_bytes: u64) -> Result<Self, Damage> {
        let trailer = Trailer::decode(bytes, size_bytes)?;
        let parts = Parts::of(&trailer, bytes.len()).ok_or("the tail is cut off")?;
        if crc32c(&bytes[parts.covered]) != trailer.crc {
            return Err("the checksum over index, footer and trailer is wrong".to_owned());
        }
        if trailer.format != FORMAT {
            return Err(format!(
                "its format is {}, this version reads {FORMAT}",
                trailer.format
            ));
        }
        let footer: Footer = serde_json::from_slice(&bytes[parts.footer])
            .map_err(|error| format!("the footer is not readable: {error}"))?;
        if footer.measured.keys_bytes > u64::from(trailer.keys_and_producers_bytes) {
            return Err("the block of keys does not fit".to_owned());
        }
        let index = Index::decode(
            &bytes[parts.index],
            footer.descriptor.base_offset,
            trailer.data_bytes,
        )
        .ok_or("the index does not fit the data")?;
        Ok(Self {
            trailer,
            footer,
            index,
        })
    }
}

/// Where the parts are in the bytes that were read.
struct Parts {
    index: Range<usize>,
    footer: Range<usize>,
    covered: Range<usize>,
}

impl Parts {
    fn of(trailer: &Trailer, have: usize) -> Option<Self> {
        let trailer_at = have.checked_sub(TRAILER_BYTES)?;
        let footer_at = trailer_at.checked_sub(trailer.footer_bytes as usize)?;
        let index_at = footer_at.checked_sub(trailer.index_bytes as usize)?;
        Some(Self {
            index: index_at..footer_at,
            footer: footer_at..trailer_at,
            covered: index_at..trailer_at + CRC_AT,
        })
    }
}
