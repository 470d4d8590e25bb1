//! Who this data directory is: `data_dir.json`.
//!
//! `{"format":1,"uuid":"<32 hex>","check":"<8 hex>"}`, the check being the CRC-32C of the rest.
//! The checkpoint has the uuid too, so that one damaged file does not lose it.

use std::io;

use crate::checkpoint::format::Checkpoint;
use crate::codec::crc32c;
use crate::core::Paths;
use crate::disk::{self, Disk};
use crate::error::OpenError;
use crate::id::{TopicId, parse_hex16};
use crate::journal::Position;

const FORMAT: u32 = 1;

pub(super) fn new_uuid() -> [u8; 16] {
    let mut uuid = [0; 16];
    rustix::rand::getrandom(&mut uuid, rustix::rand::GetRandomFlags::empty())
        .expect("the kernel gives 16 random bytes without failing");
    uuid
}

fn encode(uuid: [u8; 16]) -> String {
    let body = format!("{{\"format\":{FORMAT},\"uuid\":\"{}\"", TopicId(uuid));
    let check = crc32c(body.as_bytes());
    format!("{body},\"check\":\"{check:08x}\"}}\n")
}

/// The uuid; `None` if there is no file or a damaged one.
pub(super) fn load(disk: &dyn Disk, paths: &Paths) -> Result<Option<[u8; 16]>, OpenError> {
    let bytes = disk::read_all(disk, &paths.identity).map_err(OpenError::io("data_dir.json"))?;
    let Some(text) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return Ok(None);
    };
    let Some((body, rest)) = text.split_once(",\"check\":\"") else {
        return Ok(None);
    };
    let check = rest
        .get(..8)
        .and_then(|hex| u32::from_str_radix(hex, 16).ok());
    if check != Some(crc32c(body.as_bytes())) {
        return Ok(None);
    }
    let Some((format, uuid)) = body
        .strip_prefix("{\"format\":")
        .and_then(|rest| rest.split_once(",\"uuid\":\""))
    else {
        return Ok(None);
    };
    match format.parse() {
        Ok(FORMAT) => Ok(uuid.strip_suffix('"').and_then(parse_hex16)),
        Ok(found) => Err(OpenError::Version {
            file: "data_dir.json".into(),
            found,
            supported: FORMAT,
        }),
        Err(_) => Ok(None),
    }
}

pub(super) fn save(disk: &dyn Disk, paths: &Paths, uuid: [u8; 16]) -> Result<(), OpenError> {
    let saved = disk::replace(disk, &paths.identity, encode(uuid).as_bytes());
    saved.map_err(OpenError::io("writing data_dir.json"))
}

/// Makes the directories and the first checkpoint, which is empty: from now on a missing
/// checkpoint is a loss.
pub(super) fn create(
    disk: &dyn Disk,
    paths: &Paths,
    uuid: [u8; 16],
) -> Result<Checkpoint, OpenError> {
    let empty = Checkpoint {
        uuid,
        position: Position::default(),
        partitions: Vec::new(),
    };
    let made = disk
        .create_dir_all(&paths.journal)
        .and_then(|()| disk.create_dir_all(&paths.partitions))
        // Before the checkpoint: with it, they are expected to be there.
        .and_then(|()| disk.sync_dir(&paths.dir))
        .and_then(|()| disk::replace(disk, &paths.checkpoint, &empty.encode()));
    // The directory's own name, as far as it can be made durable from here.
    let made = made.and_then(|()| match paths.dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => disk.sync_dir(parent),
        _ => Ok(()),
    });
    made.map_err(OpenError::io("making the data directory"))?;
    Ok(empty)
}

/// Whether there is anything that a log has left.
pub(super) fn has_content(disk: &dyn Disk, paths: &Paths) -> Result<bool, OpenError> {
    for dir in [&paths.journal, &paths.partitions] {
        match disk.list(dir) {
            Ok(entries) if !entries.is_empty() => return Ok(true),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::io("looking for data")(error));
            }
            _ => {}
        }
    }
    Ok(false)
}
