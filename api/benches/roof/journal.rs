//! One committer thread over recycled files.

use std::fs::{self, File};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use axum::body::Bytes;
use headwater_record::Batch;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::log::Log;

/// Files written over and over, so that no sync has to allocate.
const FILES: usize = 2;
const FILE_BYTES: u64 = 64 * 1024 * 1024;
/// What the system takes in one vectored write (IOV_MAX).
const SLICES_MAX: usize = 1024;

struct Entry {
    batch: Batch,
    done: oneshot::Sender<u64>,
}

#[derive(Default)]
struct Queue {
    entries: Mutex<Vec<Entry>>,
    filled: Condvar,
}

/// Hands batches to the committer thread.
#[derive(Clone)]
pub struct Journal {
    queue: Arc<Queue>,
}

impl Journal {
    /// Writes the files once, so that their blocks are there, and starts the thread.
    pub fn start(dir: &Path, log: Arc<Log>) -> io::Result<Journal> {
        fs::create_dir_all(dir)?;
        let files = (0..FILES)
            .map(|number| preallocate(&dir.join(format!("{number}.journal"))))
            .collect::<io::Result<Vec<File>>>()?;
        let queue = Arc::new(Queue::default());
        let committer = Committer {
            queue: Arc::clone(&queue),
            files,
            file: 0,
            at: 0,
            log,
        };
        thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || committer.run())?;
        Ok(Journal { queue })
    }

    /// Gives the batch's base offset once it is on disk.
    pub async fn append(&self, batch: Batch) -> Option<u64> {
        let (done, durable) = oneshot::channel();
        let was_empty = {
            let mut entries = self.queue.entries.lock();
            entries.push(Entry { batch, done });
            entries.len() == 1
        };
        if was_empty {
            self.queue.filled.notify_one();
        }
        durable.await.ok()
    }
}

fn preallocate(path: &Path) -> io::Result<File> {
    let mut file = File::create(path)?;
    let zeros = vec![0; 1 << 20];
    for _ in 0..FILE_BYTES >> 20 {
        file.write_all(&zeros)?;
    }
    file.sync_all()?;
    file.rewind()?;
    Ok(file)
}

struct Committer {
    queue: Arc<Queue>,
    files: Vec<File>,
    file: usize,
    at: u64,
    log: Arc<Log>,
}

impl Committer {
    fn run(mut self) {
        let mut taken: Vec<Entry> = Vec::new();
        let mut written: Vec<(u64, Bytes)> = Vec::new();
        let mut waiters = Vec::new();
        let mut next_offset = 0;
        loop {
            let mut entries = self.queue.entries.lock();
            while entries.is_empty() {
                self.queue.filled.wait(&mut entries);
            }
            std::mem::swap(&mut *entries, &mut taken);
            drop(entries);
            for mut entry in taken.drain(..) {
                entry.batch.set_base_offset(next_offset);
                entry.batch.set_leader_epoch(0);
                waiters.push((next_offset, entry.done));
                let base_offset = next_offset;
                next_offset += u64::from(entry.batch.record_count());
                written.push((base_offset, entry.batch.freeze()));
            }
            if let Err(error) = self.commit(&written) {
                // A failed sync is final: nobody knows what is on the disk.
                let _ = writeln!(io::stderr(), "the journal failed: {error}");
                std::process::exit(1);
            }
            self.log.publish(written.drain(..), next_offset);
            for (base_offset, done) in waiters.drain(..) {
                // The client may have gone away.
                let _ = done.send(base_offset);
            }
        }
    }

    fn commit(&mut self, batches: &[(u64, Bytes)]) -> io::Result<()> {
        let total: u64 = batches.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        if self.at + total > FILE_BYTES {
            self.file = (self.file + 1) % self.files.len();
            self.files[self.file].seek(SeekFrom::Start(0))?;
            self.at = 0;
        }
        let file = &mut self.files[self.file];
        for group in batches.chunks(SLICES_MAX) {
            let mut slices: Vec<_> = group.iter().map(|(_, bytes)| IoSlice::new(bytes)).collect();
            let mut rest = slices.as_mut_slice();
            while !rest.is_empty() {
                let written = file.write_vectored(rest)?;
                if written == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                IoSlice::advance_slices(&mut rest, written);
            }
        }
        self.at += total;
        file.sync_data()
    }
}
