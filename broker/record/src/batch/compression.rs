use std::fmt;
use std::io::{Read, Write};
use std::str::FromStr;

use super::DecodeError;

mod snappy;

/// The fastest of the regular levels: compression on the way in costs more than all else there.
const ZSTD_LEVEL: i32 = 1;
const COMPRESSION_BITS: i16 = 0b111;

/// How the records of a batch are compressed, all together. The numbers are Kafka's codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None = 0,
    /// RFC 1952.
    Gzip = 1,
    /// Snappy blocks in the framing of the xerial library; a single raw block is read too.
    Snappy = 2,
    /// LZ4 frames, blocks independent of each other.
    Lz4 = 3,
    /// RFC 8878.
    Zstd = 4,
}

impl Compression {
    const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The name as in a topic's configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    pub(super) fn from_attributes(attributes: i16) -> Result<Self, DecodeError> {
        let code = (attributes & COMPRESSION_BITS) as u8;
        Self::ALL
            .get(usize::from(code))
            .copied()
            .ok_or(DecodeError::Compression(code))
    }

    /// The attributes with this compression in place of theirs.
    pub(super) fn to_attributes(self, attributes: i16) -> i16 {
        attributes & !COMPRESSION_BITS | self as i16
    }

    /// `data` compressed, after `reserved` zero bytes; none if that does not make it smaller.
    pub(super) fn compress(self, data: &[u8], reserved: usize) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(reserved + data.len() / 2);
        out.resize(reserved, 0);
        // A Vec takes every write; an error would be the compressor's own, and then the records
        // stay as they are.
        let out = match self {
            Self::None => return None,
            Self::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(out, flate2::Compression::default());
                encoder.write_all(data).ok()?;
                encoder.finish().ok()?
            }
            Self::Snappy => {
                snappy::compress(data, &mut out)?;
                out
            }
            Self::Lz4 => {
                let info = lz4_flex::frame::FrameInfo::new()
                    .block_mode(lz4_flex::frame::BlockMode::Independent)
                    .block_size(lz4_flex::frame::BlockSize::Max64KB);
                let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, out);
                encoder.write_all(data).ok()?;
                encoder.finish().ok()?
            }
            Self::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL).ok()?;
                encoder.set_pledged_src_size(Some(data.len() as u64)).ok()?;
                encoder.write_all(data).ok()?;
                encoder.finish().ok()?
            }
        };
        (out.len() < reserved + data.len()).then_some(out)
    }

    /// Inflates `data` into `out`, which is emptied first.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`] as soon as there are more than `bytes_max` bytes,
    /// [`DecodeError::Inflate`] if `data` is not what the name says.
    pub(super) fn inflate(
        self,
        data: &[u8],
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<(), DecodeError> {
        out.clear();
        match self {
            Self::None => return Err(DecodeError::Inflate(self)),
            Self::Gzip => self.read(flate2::read::MultiGzDecoder::new(data), out, bytes_max)?,
            Self::Snappy => snappy::inflate(data, out, bytes_max)?,
            Self::Lz4 => self.read(lz4_flex::frame::FrameDecoder::new(data), out, bytes_max)?,
            Self::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(data)
                    .map_err(|_| DecodeError::Inflate(self))?;
                self.read(decoder, out, bytes_max)?;
            }
        }
        Ok(())
    }

    fn read(
        self,
        reader: impl Read,
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<(), DecodeError> {
        // One byte more than allowed tells "exactly full" from "too much".
        let most = (bytes_max as u64).saturating_add(1);
        reader
            .take(most)
            .read_to_end(out)
            .map_err(|_| DecodeError::Inflate(self))?;
        if out.len() > bytes_max {
            Err(DecodeError::TooLarge { bytes_max })
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(name: &str) -> Result<Self, UnknownCompression> {
        Self::ALL
            .into_iter()
            .find(|c| c.name() == name)
            .ok_or(UnknownCompression)
    }
}

/// A name that is none of `none`, `gzip`, `snappy`, `lz4`, `zstd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownCompression;

impl fmt::Display for UnknownCompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("compression is one of none, gzip, snappy, lz4, zstd")
    }
}

impl std::error::Error for UnknownCompression {}
