//! The checkpoint file: what is in the segments, so that nobody has to look.
//!
//! ```text
//! checkpoint = magic u32 | format u32 | uuid [16]
//!            | position: file u64, offset u64, group u64
//!            | count u32 partition* | crc u32
//! partition  = topic [16] | number u32 | log_start u64 | next_offset u64 | committed u64
//!            | seen_epoch i32 (since format 2) | local_start u64, log_start_min u64 (since format 3)
//!            | count u32 (epoch i32, start u64)* | count u32 (from u64, to u64)*
//!            | count u32 segment*
//! segment    = base u64 | end u64 | bytes u64 | max_timestamp_ms i64 | last_append_ms i64
//!            | keyed_batches u32 | sealed u8 | first_append_ms i64 (since format 3)
//! ```
//! Little endian; formats 1 and 2 are read too. CRC-32C over everything before it. Replaced as a whole
//! by a rename.

use crate::codec::{Reader, Writer, crc32c};
use crate::journal::Position;
use crate::partition::{NEVER_SEEN, PartitionEntry, SegmentEntry};

const MAGIC: u32 = u32::from_le_bytes(*b"HWCP");
/// The version written, and the newest understood.
pub(crate) const FORMAT: u32 = 3;
/// The oldest version understood.
const FORMAT_MIN: u32 = 1;

#[derive(Debug, PartialEq)]
pub(crate) struct Checkpoint {
    pub uuid: [u8; 16],
    pub position: Position,
    pub partitions: Vec<PartitionEntry>,
}

/// Why a checkpoint file is not used.
#[derive(Debug, PartialEq)]
pub(crate) enum Unusable {
    Damaged,
    Version(u32),
}

impl Checkpoint {
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u32(MAGIC);
        writer.u32(FORMAT);
        writer.bytes(&self.uuid);
        writer.u64(self.position.file);
        writer.u64(self.position.offset);
        writer.u64(self.position.group);
        writer.u32(self.partitions.len() as u32);
        for partition in &self.partitions {
            encode_partition(&mut writer, partition);
        }
        let crc = crc32c(&writer.0);
        writer.u32(crc);
        writer.0
    }

    pub fn decode(file: &[u8]) -> Result<Checkpoint, Unusable> {
        let (fields, crc) = file.split_last_chunk::<4>().ok_or(Unusable::Damaged)?;
        if crc32c(fields) != u32::from_le_bytes(*crc) {
            return Err(Unusable::Damaged);
        }
        let mut reader = Reader(fields);
        if reader.u32() != Some(MAGIC) {
            return Err(Unusable::Damaged);
        }
        match reader.u32() {
            Some(format @ FORMAT_MIN..=FORMAT) => {
                decode_body(&mut reader, format).ok_or(Unusable::Damaged)
            }
            Some(other) => Err(Unusable::Version(other)),
            None => Err(Unusable::Damaged),
        }
    }
}

fn encode_partition(writer: &mut Writer, partition: &PartitionEntry) {
    writer.partition(partition.id);
    writer.u64(partition.log_start);
    writer.u64(partition.next_offset);
    writer.u64(partition.committed);
    writer.i32(partition.seen_epoch);
    writer.u64(partition.local_start);
    writer.u64(partition.log_start_min);
    writer.u32(partition.epochs.len() as u32);
    for (epoch, start) in &partition.epochs {
        writer.i32(*epoch);
        writer.u64(*start);
    }
    writer.u32(partition.damaged.len() as u32);
    for (from, to) in &partition.damaged {
        writer.u64(*from);
        writer.u64(*to);
    }
    writer.u32(partition.segments.len() as u32);
    for segment in &partition.segments {
        writer.u64(segment.base);
        writer.u64(segment.end);
        writer.u64(segment.bytes);
        writer.i64(segment.max_timestamp_ms);
        writer.i64(segment.last_append_ms);
        writer.u32(segment.keyed_batches);
        writer.u8(u8::from(segment.sealed));
        writer.i64(segment.first_append_ms);
    }
}

fn decode_body(reader: &mut Reader<'_>, format: u32) -> Option<Checkpoint> {
    let uuid = reader.array()?;
    let position = Position {
        file: reader.u64()?,
        offset: reader.u64()?,
        group: reader.u64()?,
    };
    let partitions = many(reader, 56, |reader| decode_partition(reader, format))?;
    Some(Checkpoint {
        uuid,
        position,
        partitions,
    })
}

fn decode_partition(reader: &mut Reader<'_>, format: u32) -> Option<PartitionEntry> {
    let id = reader.partition()?;
    let log_start = reader.u64()?;
    let (next_offset, committed) = (reader.u64()?, reader.u64()?);
    let seen_epoch = match format {
        1 => NEVER_SEEN,
        _ => reader.i32()?,
    };
    let (local_start, log_start_min) = match format {
        1 | 2 => (log_start, log_start),
        _ => (reader.u64()?, reader.u64()?),
    };
    Some(PartitionEntry {
        id,
        log_start,
        log_start_min,
        local_start,
        next_offset,
        committed,
        seen_epoch,
        epochs: many(reader, 12, |reader| Some((reader.i32()?, reader.u64()?)))?,
        damaged: many(reader, 16, |reader| Some((reader.u64()?, reader.u64()?)))?,
        segments: many(reader, 45, |reader| decode_segment(reader, format))?,
    })
}

fn decode_segment(reader: &mut Reader<'_>, format: u32) -> Option<SegmentEntry> {
    let mut segment = SegmentEntry {
        base: reader.u64()?,
        end: reader.u64()?,
        bytes: reader.u64()?,
        max_timestamp_ms: reader.i64()?,
        first_append_ms: 0,
        last_append_ms: reader.i64()?,
        keyed_batches: reader.u32()?,
        sealed: reader.u8()? != 0,
    };
    segment.first_append_ms = match format {
        // At the latest then: it is sealed for its age somewhat later, and not too early.
        1 | 2 => segment.last_append_ms,
        _ => reader.i64()?,
    };
    Some(segment)
}

fn many<T>(
    reader: &mut Reader<'_>,
    item_bytes: usize,
    mut item: impl FnMut(&mut Reader<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let count = reader.count(item_bytes)?;
    (0..count).map(|_| item(reader)).collect()
}
