//! What is in a journal file, drawn once.
//!
//! ```text
//! file   = group* (each starts on a 4 KiB boundary and is padded to one) then anything
//! group  = header frame* zeros
//! header = magic u32 | format u32 | file u64 | group u64 | previous u64 | bytes u64 | time i64
//!          | frames u32 | zeros | crc u32                                          (64 bytes)
//! frame  = magic u32 | kind u8 | flags u8 | 0 u16 | topic [16] | partition u32 | epoch i32
//!          | base_offset u64 | group u64 | length u32 | payload_crc u32 | crc u32 | 0 u32
//!          (64 bytes) then `length` bytes
//! ```
//! All little endian, checksums CRC-32C. The crc of a header covers the fields before it and is
//! xor-ed with a secret of the data directory, so that no tenant can put bytes into a record
//! that would pass for a group or a frame. A group is whole when its header is and exactly
//! `frames` whole frames of its number fill it. `previous` names the group before it, so a group
//! that was cut off as torn and a group that was lost are told apart.

use crate::codec::{Reader, Writer, crc32c};
use crate::id::PartitionId;

/// Groups start on, and are padded to, multiples of this many bytes.
pub(crate) const BLOCK: usize = 4096;
/// Bytes of a group's header.
pub(crate) const GROUP_HEADER: usize = 64;
/// Bytes of a frame's header.
pub(crate) const FRAME_HEADER: usize = 64;
/// The version written, and the newest understood.
pub(crate) const FORMAT: u32 = 1;

const GROUP_MAGIC: u32 = u32::from_le_bytes(*b"HWJG");
const FRAME_MAGIC: u32 = u32::from_le_bytes(*b"HWJF");

/// What a frame does. The numbers are on disk; 9 and up are free. A version that does not know a
/// number refuses to open the directory, so a new kind is no new format.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Kind {
    /// A batch at `base_offset`.
    Append = 1,
    /// The log now starts at `base_offset`.
    LogStart = 2,
    /// The partition is gone from this disk.
    Drop = 3,
    /// The log now ends at `base_offset`, where a batch before it ended.
    Truncate = 4,
    /// The log is empty now, and starts and ends at `base_offset`.
    Reset = 5,
    /// `epoch` is the highest leader epoch that was heard of.
    SeenEpoch = 6,
    /// The log has nothing below `base_offset` on this disk any more.
    LocalStart = 7,
    /// As `Reset`, but what lies below `base_offset` is elsewhere; the payload is the
    /// [`History`](crate::partition::History) of it.
    ResetWithHistory = 8,
}

impl Kind {
    pub fn of(number: u8) -> Option<Kind> {
        [
            Kind::Append,
            Kind::LogStart,
            Kind::Drop,
            Kind::Truncate,
            Kind::Reset,
            Kind::SeenEpoch,
            Kind::LocalStart,
            Kind::ResetWithHistory,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == number)
    }
}

/// Flag of an append: the batch begins a new segment.
pub(crate) const FLAG_ROLL: u8 = 1;

/// The secret that header checksums are xor-ed with.
#[derive(Copy, Clone)]
pub(crate) struct Seal(u32);

impl Seal {
    pub fn new(uuid: &[u8; 16]) -> Seal {
        Seal(crc32c(uuid))
    }

    fn checksum(self, bytes: &[u8]) -> u32 {
        crc32c(bytes) ^ self.0
    }
}

#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct GroupHeader {
    /// The number of the file it was written to: others are leftovers of a recycled file.
    pub file: u64,
    /// Its own number; grows, never used twice.
    pub group: u64,
    /// The number of the group before it.
    pub previous: u64,
    /// Bytes with header and padding.
    pub bytes: u64,
    /// When it was written, for the segments' append times.
    pub time_ms: i64,
    pub frames: u32,
}

impl GroupHeader {
    pub fn encode(&self, seal: Seal) -> [u8; GROUP_HEADER] {
        let mut writer = Writer(Vec::with_capacity(GROUP_HEADER));
        writer.u32(GROUP_MAGIC);
        writer.u32(FORMAT);
        writer.u64(self.file);
        writer.u64(self.group);
        writer.u64(self.previous);
        writer.u64(self.bytes);
        writer.i64(self.time_ms);
        writer.u32(self.frames);
        writer.u64(0);
        let crc = seal.checksum(&writer.0);
        writer.u32(crc);
        writer.0.try_into().expect("the fields fill the header")
    }

    /// `Ok(None)`: no group header. `Err`: one of an unknown format version.
    pub fn decode(bytes: &[u8], seal: Seal) -> Result<Option<GroupHeader>, u32> {
        let Some(bytes) = bytes.first_chunk::<GROUP_HEADER>() else {
            return Ok(None);
        };
        if bytes[..4] != GROUP_MAGIC.to_le_bytes()
            || seal.checksum(&bytes[..60]).to_le_bytes() != bytes[60..]
        {
            return Ok(None);
        }
        let mut reader = Reader(&bytes[4..]);
        let parsed = (|| {
            let format = reader.u32()?;
            let header = GroupHeader {
                file: reader.u64()?,
                group: reader.u64()?,
                previous: reader.u64()?,
                bytes: reader.u64()?,
                time_ms: reader.i64()?,
                frames: reader.u32()?,
            };
            Some((format, header))
        })();
        let (format, header) = parsed.expect("the fields fit the header");
        match format {
            FORMAT => Ok(Some(header)),
            other => Err(other),
        }
    }
}

#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct FrameHeader {
    /// A number, not a [`Kind`]: unknown ones must be seen to be refused.
    pub kind: u8,
    pub flags: u8,
    pub partition: PartitionId,
    pub epoch: i32,
    pub base_offset: u64,
    pub group: u64,
    pub length: u32,
    pub payload_crc: u32,
}

impl FrameHeader {
    pub fn encode(&self, seal: Seal, out: &mut Vec<u8>) {
        let start = out.len();
        let mut fields = [0; FRAME_HEADER];
        fields[0..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
        fields[4] = self.kind;
        fields[5] = self.flags;
        fields[8..24].copy_from_slice(&self.partition.topic.0);
        fields[24..28].copy_from_slice(&self.partition.partition.to_le_bytes());
        fields[28..32].copy_from_slice(&self.epoch.to_le_bytes());
        fields[32..40].copy_from_slice(&self.base_offset.to_le_bytes());
        fields[40..48].copy_from_slice(&self.group.to_le_bytes());
        fields[48..52].copy_from_slice(&self.length.to_le_bytes());
        fields[52..56].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = seal.checksum(&fields[..56]);
        fields[56..60].copy_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&fields);
        debug_assert_eq!(
            out.len() - start,
            FRAME_HEADER,
            "a frame header has a fixed size"
        );
    }

    pub fn decode(bytes: &[u8], seal: Seal) -> Option<FrameHeader> {
        let bytes = bytes.first_chunk::<FRAME_HEADER>()?;
        if bytes[..4] != FRAME_MAGIC.to_le_bytes()
            || seal.checksum(&bytes[..56]).to_le_bytes() != bytes[56..60]
        {
            return None;
        }
        let mut reader = Reader(&bytes[4..]);
        let (kind, flags, _) = (reader.u8()?, reader.u8()?, reader.array::<2>()?);
        Some(FrameHeader {
            kind,
            flags,
            partition: reader.partition()?,
            epoch: reader.i32()?,
            base_offset: reader.u64()?,
            group: reader.u64()?,
            length: reader.u32()?,
            payload_crc: reader.u32()?,
        })
    }

    /// The frame at the start of `bytes` with its payload, if it is whole and of group `group`.
    pub fn whole(bytes: &[u8], group: u64, seal: Seal) -> Option<(FrameHeader, &[u8])> {
        let header = FrameHeader::decode(bytes, seal)?;
        let payload = bytes[FRAME_HEADER..].get(..header.length as usize)?;
        (header.group == group && crc32c(payload) == header.payload_crc)
            .then_some((header, payload))
    }
}

/// Rounds up to a whole number of blocks.
pub(crate) fn padded(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK as u64)
}
