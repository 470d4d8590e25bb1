//! Data directories as earlier versions wrote them.

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

/// A checkpoint of format 3 as an older one has it: without a local start, a least log start and first
/// appends; in format 1 without the epochs seen, too.
fn in_format(format: u32, checkpoint: &[u8]) -> Vec<u8> {
    let mut rest = &checkpoint[..checkpoint.len() - 4];
    let mut old = Vec::new();
    take(&mut rest, 48, &mut old);
    old[4..8].copy_from_slice(&format.to_le_bytes());
    let count = |rest: &[u8]| u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
    let partitions = count(rest);
    take(&mut rest, 4, &mut old);
    for _ in 0..partitions {
        take(&mut rest, 44, &mut old);
        match format {
            1 => rest = &rest[4..],
            _ => take(&mut rest, 4, &mut old),
        }
        rest = &rest[16..];
        for item_bytes in [12, 16] {
            let items = count(rest);
            take(&mut rest, 4 + items * item_bytes, &mut old);
        }
        let segments = count(rest);
        take(&mut rest, 4, &mut old);
        for _ in 0..segments {
            take(&mut rest, 45, &mut old);
            rest = &rest[8..];
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
fn a_directory_of_format_1_opens_and_goes_on_in_format_3() {
    opens_and_goes_on(1);
}

#[test]
fn a_directory_of_format_2_opens_and_goes_on_in_format_3() {
    opens_and_goes_on(2);
}

fn opens_and_goes_on(format: u32) {
    let disk = CrashDisk::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (log, _, _) = open(&shared, options(Path::new("/data"))).unwrap();
    for seed in 0..30 {
        append(&log.partition(id(seed as u32 % 3)), batch(seed, 2, 200, 0));
    }
    log.note_seen_epochs(&[(id(0), 2)]).unwrap();
    log.partition(id(1)).trim(5).unwrap();
    log.checkpoint().unwrap();
    append(&log.partition(id(0)), batch(77, 2, 200, 0));
    let all = |log: &headwater_log::Log| -> Vec<_> {
        let one = |number: u32| {
            let partition = log.partition(id(number));
            let start = partition.log_start();
            assert_eq!(partition.local_start(), start);
            assert!(partition.log_start_is_known());
            (start, read_all(&partition, start), partition.epochs())
        };
        (0..3).map(one).collect()
    };
    let expected = all(&log);
    drop(log);
    let old = in_format(format, &disk.bytes(Path::new(CHECKPOINT)).unwrap());
    replace(&disk, &old);

    let (log, recovery, _) = open(&shared, options(Path::new("/data"))).unwrap();
    assert!(!recovery.rebuilt && recovery.batches == 1);
    assert_eq!(all(&log), expected);
    let seen = if format == 1 { -1 } else { 2 };
    assert_eq!(log.partition(id(0)).seen_epoch(), seen);
    log.note_seen_epochs(&[(id(0), 4)]).unwrap();
    log.close().unwrap();
    let new = disk.bytes(Path::new(CHECKPOINT)).unwrap();
    assert_eq!(new[4..8], 3_u32.to_le_bytes());
    let (log, recovery, _) = open(&shared, options(Path::new("/data"))).unwrap();
    assert!(!recovery.rebuilt);
    assert_eq!(all(&log), expected);
    assert_eq!(log.partition(id(0)).seen_epoch(), 4);
    drop(log);

    let mut newer = new[..new.len() - 4].to_vec();
    newer[4] = 4;
    replace(&disk, &sealed(newer));
    let refused = open(&shared, options(Path::new("/data")));
    assert!(matches!(
        refused,
        Err(OpenError::Version {
            found: 4,
            supported: 3,
            ..
        })
    ));
}
