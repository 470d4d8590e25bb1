//! Write-behind: what goes into segments goes on to the disk soon, and leaves the system's memory
//! when newer bytes have taken its place.
//!
//! Left alone, the system collects dirty bytes for half a minute and writes them in one burst that
//! journal syncs have to wait for, and fills all memory with bytes that nobody reads again, at the
//! price of fresh pages for each. Recent bytes stay: readers a little behind find them.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::File;

/// Bytes of one segment after which the system is told. A journal sync that comes just after waits until
/// the disk has taken them, so they are few.
pub(crate) const STEP_BYTES: u64 = 512 << 10;
/// Bytes that stay in the system's memory, over all segments.
const WINDOW_BYTES: u64 = 64 << 20;

#[derive(Default)]
pub(crate) struct WriteBehind(Mutex<Window>);

#[derive(Default)]
struct Window {
    ranges: VecDeque<(Arc<dyn File>, Range<u64>)>,
    bytes: u64,
}

impl WriteBehind {
    /// A range was written. May wait for older ones, which also holds writers to the disk's pace.
    ///
    /// # Errors
    /// The disk could not take what was written: as final as a failed sync.
    pub fn written(&self, file: &Arc<dyn File>, range: Range<u64>) -> io::Result<()> {
        file.start_writeback();
        let mut window = self.0.lock();
        window.bytes += range.end - range.start;
        window.ranges.push_back((file.clone(), range));
        while window.bytes > WINDOW_BYTES {
            let Some((file, range)) = window.ranges.pop_front() else {
                break;
            };
            window.bytes -= range.end - range.start;
            file.let_go(range)?;
        }
        Ok(())
    }

    /// Lets go of the files.
    pub fn clear(&self) {
        *self.0.lock() = Window::default();
    }
}
