//! A data directory as the first released version wrote it.

use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;

use headwater_log::OpenError;
use headwater_log::disk::crash::CrashDisk;
use headwater_log::disk::{Disk, Open};

use crate::support::{append, batch, id, open, options, read_all};

const CHECKPOINT: &str = "/data/checkpoint";

/// Takes `bytes` bytes from one vector to the other.
fn take(from: &mut &[u8], bytes: usize, to: &mut Vec<u8>) {
    to.extend_from_slice(&from[..bytes]);
    *from = &from[bytes..];
}

/// A checkpoint of format 2 as format 1 has it: without the epochs seen.
fn in_format_1(checkpoint: &[u8]) -> Vec<u8> {
    let mut rest = &checkpoint[..checkpoint.len() - 4];
    let mut old = Vec::new();
    take(&mut rest, 48, &mut old);
    old[4..8].copy_from_slice(&1_u32.to_le_bytes());
    let count = |rest: &[u8]| u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
    let partitions = count(rest);
    take(&mut rest, 4, &mut old);
    for _ in 0..partitions {
        take(&mut rest, 44, &mut old);
        rest = &rest[4..];
        for item_bytes in [12, 16, 45] {
            let items = count(rest);
            take(&mut rest, 4 + items * item_bytes, &mut old);
        }
    }
    assert!(rest.is_empty());
    sealed(old)
}

fn sealed(mut fields: Vec<u8>) -> Vec<u8> {
    let crc = crc_fast::crc32_iscsi(&fields);
    fields.extend_from_slice(&crc.to_le_bytes());
    fields
}

fn replace(disk: &CrashDisk, bytes: &[u8]) {
    let file = disk.open(Path::new(CHECKPOINT), Open::Write).unwrap();
    file.truncate(0).unwrap();
    file.write_vectored_at(&[IoSlice::new(bytes)], 0).unwrap();
}

#[test]
fn a_directory_of_format_1_opens_and_goes_on_in_format_2() {
    let disk = CrashDisk::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (log, _, _) = open(&shared, options(Path::new("/data"))).unwrap();
    for seed in 0..30 {
        append(&log.partition(id(seed as u32 % 3)), batch(seed, 2, 200, 0));
    }
    log.checkpoint().unwrap();
    append(&log.partition(id(0)), batch(77, 2, 200, 0));
    let all = |log: &headwater_log::Log| -> Vec<_> {
        let all = (0..3).map(|number| log.partition(id(number)));
        all.map(|partition| (read_all(&partition, 0), partition.epochs()))
            .collect()
    };
    let expected = all(&log);
    drop(log);
    let old = in_format_1(&disk.bytes(Path::new(CHECKPOINT)).unwrap());
    replace(&disk, &old);

    let (log, recovery, _) = open(&shared, options(Path::new("/data"))).unwrap();
    assert!(!recovery.rebuilt && recovery.batches == 1);
    assert_eq!(all(&log), expected);
    assert_eq!(log.partition(id(0)).seen_epoch(), -1);
    log.note_seen_epochs(&[(id(0), 4)]).unwrap();
    log.close().unwrap();
    let new = disk.bytes(Path::new(CHECKPOINT)).unwrap();
    assert_eq!(new[4..8], 2_u32.to_le_bytes());
    let (log, recovery, _) = open(&shared, options(Path::new("/data"))).unwrap();
    assert!(!recovery.rebuilt);
    assert_eq!(all(&log), expected);
    assert_eq!(log.partition(id(0)).seen_epoch(), 4);
    drop(log);

    let mut newer = new[..new.len() - 4].to_vec();
    newer[4] = 3;
    replace(&disk, &sealed(newer));
    let refused = open(&shared, options(Path::new("/data")));
    assert!(matches!(
        refused,
        Err(OpenError::Version {
            found: 3,
            supported: 2,
            ..
        })
    ));
}
