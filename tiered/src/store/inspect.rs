//! Finding out what an object is of which nothing else is known.

use super::Store;
use crate::error::StoreError;
use crate::format::{Footer, TRAILER_BYTES, Tail, Trailer};
use crate::segment_ref::SegmentRef;

/// Read at once from the end: index and footer are mostly shorter.
const TAIL_BYTES: u64 = 128 << 10;

/// What an object says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// The row that the metadata would keep for it.
    pub segment: SegmentRef,
    /// All of its footer.
    pub footer: Footer,
}

impl Store {
    /// Reads the trailer and the footer of an object by one HEAD and one or two ranged GETs. The data
    /// is not looked at: [`verify`](Self::verify) does that.
    ///
    /// # Errors
    /// [`Corrupt`](crate::StoreErrorKind::Corrupt) if it is no whole segment, else what calls to
    /// the store fail with.
    pub async fn inspect(&self, key: &str) -> Result<Inspected, StoreError> {
        let bounds = &self.options().background;
        let damaged = |why: String| StoreError::corrupt(format!("{key}: {why}"));
        // Not every server gives the right bytes for "the last so many".
        let size_bytes = self.size_bytes(key, bounds).await?;
        if size_bytes < TRAILER_BYTES as u64 {
            return Err(damaged(format!("no segment has {size_bytes} bytes")));
        }
        let from = size_bytes.saturating_sub(TAIL_BYTES);
        let (mut tail, _) = self.get_range(key, from..size_bytes, bounds).await?;
        let trailer = Trailer::decode(&tail, size_bytes).map_err(damaged)?;
        if trailer.tail_bytes() > tail.len() as u64 {
            let range = trailer.index_position()..size_bytes;
            (tail, _) = self.get_range(key, range, bounds).await?;
        }
        let tail = Tail::decode(&tail, size_bytes).map_err(damaged)?;
        let segment = SegmentRef::new(key.to_owned(), size_bytes, &tail.trailer, &tail.footer);
        Ok(Inspected {
            segment,
            footer: tail.footer,
        })
    }
}
