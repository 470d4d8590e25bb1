//! How often this broker's lease was renewed, on its own disk: an older copy of the disk knows fewer.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use crc_fast::crc32_iscsi;

/// Two slots, written in turn, so that a torn write leaves the other: count and checksum, little
/// endian.
const SLOT_BYTES: u64 = 512;

/// The count, durable at every step.
#[derive(Debug)]
pub(super) struct Renewals {
    file: File,
    count: i64,
}

impl Renewals {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let new = file.metadata()?.len() == 0;
        let count = [0, 1]
            .into_iter()
            .filter_map(|slot| read(&file, slot))
            .max();
        let renewals = Self {
            file,
            count: count.unwrap_or(0),
        };
        if new {
            renewals.write(0)?;
            renewals.write(1)?;
            let directory = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(renewals)
    }

    /// The count.
    pub fn count(&self) -> i64 {
        self.count
    }

    /// Counts one more; durable when it returns.
    pub fn next(&mut self) -> io::Result<i64> {
        self.count += 1;
        self.write((self.count % 2) as u64)?;
        Ok(self.count)
    }

    /// Counts on from here, if this is more; durable when it returns.
    pub fn raise_to(&mut self, count: i64) -> io::Result<()> {
        if count <= self.count {
            return Ok(());
        }
        self.count = count;
        self.write((count % 2) as u64)
    }

    fn write(&self, slot: u64) -> io::Result<()> {
        let count = self.count.to_le_bytes();
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&count);
        bytes[8..].copy_from_slice(&crc32c(&count));
        self.file.write_all_at(&bytes, slot * SLOT_BYTES)?;
        self.file.sync_data()
    }
}

fn crc32c(bytes: &[u8]) -> [u8; 4] {
    crc32_iscsi(bytes).to_le_bytes()
}

fn read(file: &File, slot: u64) -> Option<i64> {
    let mut bytes = [0; 12];
    file.read_exact_at(&mut bytes, slot * SLOT_BYTES).ok()?;
    let (count, checksum) = bytes.split_first_chunk::<8>()?;
    (*checksum == crc32c(count)).then(|| i64::from_le_bytes(*count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_on_and_survives_a_torn_slot() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("renewals");
        let mut renewals = Renewals::open(&path).expect("made");
        assert_eq!(renewals.count(), 0);
        assert_eq!(renewals.next().expect("written"), 1);
        assert_eq!(renewals.next().expect("written"), 2);
        assert_eq!(Renewals::open(&path).expect("opened").count(), 2);
        // The slot of 2 is torn: 1 is what is left.
        let file = OpenOptions::new().write(true).open(&path).expect("opened");
        file.write_all_at(&[7; 5], 0).expect("written");
        assert_eq!(Renewals::open(&path).expect("opened").count(), 1);
    }
}
