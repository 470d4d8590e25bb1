//! The journal's files: the ones in use, the ones waiting to be used again.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{self, Disk, File, Open};

/// A preallocated file with a number of its own, its name durable.
pub(crate) struct Ready {
    pub seq: u64,
    pub file: Arc<dyn File>,
    pub bytes: u64,
}

#[derive(Default)]
struct Pool {
    next_seq: u64,
    /// Files are used in the order of their numbers: none below this one any more.
    last_taken: u64,
    ready: VecDeque<Ready>,
    /// Written files that a checkpoint has not covered yet.
    finished: VecDeque<(u64, u64)>,
}

/// All files in `journal/`. A finished file is given a later number as soon as a checkpoint
/// covers it, so the committer finds files whose blocks are allocated and names durable.
pub(crate) struct JournalFiles {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    file_bytes: u64,
    spare_max: usize,
    pool: Mutex<Pool>,
}

impl JournalFiles {
    pub fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        file_bytes: u64,
        checkpoint_bytes: u64,
        next_seq: u64,
    ) -> JournalFiles {
        let spare_max = (checkpoint_bytes / file_bytes) as usize + 1;
        let pool = Mutex::new(Pool {
            next_seq,
            ..Pool::default()
        });
        JournalFiles {
            disk,
            dir,
            file_bytes,
            spare_max,
            pool,
        }
    }

    pub fn path(&self, seq: u64) -> PathBuf {
        self.dir.join(format!("{seq:020}.journal"))
    }

    /// The sequence number in a file's name.
    pub fn seq_of(name: &str) -> Option<u64> {
        let digits = name.strip_suffix(".journal")?;
        (digits.len() == 20).then(|| digits.parse().ok()).flatten()
    }

    /// The next file to write to, at least `bytes_min` long, with a durable name.
    pub fn take(&self, bytes_min: u64) -> io::Result<Ready> {
        let seq = {
            let mut pool = self.pool.lock();
            while let Some(ready) = pool.ready.pop_front() {
                if ready.bytes >= bytes_min {
                    pool.last_taken = ready.seq;
                    return Ok(ready);
                }
                pool.finished.push_back((ready.seq, ready.bytes));
            }
            pool.last_taken = pool.next_seq;
            pool.next_seq += 1;
            pool.last_taken
        };
        let path = self.path(seq);
        let bytes = self.file_bytes.max(bytes_min);
        let made = (|| {
            let file = self.disk.open(&path, Open::Create)?;
            file.preallocate(bytes)?;
            self.disk.sync_dir(&self.dir)?;
            Ok(Ready { seq, file, bytes })
        })();
        if made.is_err() {
            // A name without space behind it is of no use; if it stays, recovery reads it as empty.
            let _ = self.disk.remove(&path);
        }
        made
    }

    /// Notes a file that is full, or was found at start.
    pub fn finished(&self, seq: u64, bytes: u64) {
        self.pool.lock().finished.push_back((seq, bytes));
    }

    /// Gives files below `seq`, which a durable checkpoint covers, their next number; those
    /// beyond need are removed.
    pub fn recycle_below(&self, seq: u64) -> io::Result<()> {
        self.recycle(|old| old < seq)
    }

    /// As [`JournalFiles::recycle_below`] for the finished files that `covered` names.
    ///
    /// The oldest goes first, and its name is durably gone before the next one's is touched: so
    /// what a crash leaves under the old names is the journal's unbroken end, and never an old
    /// file with a gap behind it. Recovery without a checkpoint relies on that.
    pub fn recycle(&self, covered: impl Fn(u64) -> bool) -> io::Result<()> {
        while let Some((old, bytes)) = self.take_oldest(&covered) {
            let spare = {
                let mut pool = self.pool.lock();
                let wanted = pool.ready.len() < self.spare_max && bytes == self.file_bytes;
                pool.next_seq += u64::from(wanted);
                wanted.then(|| pool.next_seq - 1)
            };
            let gone = match spare {
                Some(seq) => self.disk.rename(&self.path(old), &self.path(seq)),
                None => disk::remove_if_there(&*self.disk, &self.path(old)),
            };
            gone.inspect_err(|_| self.finished(old, bytes))?;
            let synced = self.disk.sync_dir(&self.dir);
            let Some(seq) = spare else {
                synced?;
                continue;
            };
            let file = synced.and_then(|()| self.disk.open(&self.path(seq), Open::Write));
            let file = file.inspect_err(|_| self.finished(seq, bytes))?;
            let mut pool = self.pool.lock();
            // The committer may have made a file with a later number in the meantime.
            if seq > pool.last_taken {
                pool.ready.push_back(Ready { seq, file, bytes });
            } else {
                pool.finished.push_back((seq, bytes));
            }
        }
        Ok(())
    }

    fn take_oldest(&self, covered: impl Fn(u64) -> bool) -> Option<(u64, u64)> {
        let mut pool = self.pool.lock();
        let numbered = pool.finished.iter().enumerate();
        let (at, _) = numbered
            .filter(|(_, (seq, _))| covered(*seq))
            .min_by_key(|(_, (seq, _))| *seq)?;
        pool.finished.remove(at)
    }
}
