//! Reading an object back to see whether it is what was written.

use std::fmt;
use std::ops::Range;

use futures_util::stream::TryStreamExt;
use sha2::{Digest, Sha256};

use crate::error::{StoreError, StoreErrorKind};
use crate::format::{BLOCK_BYTES, KeyBlock, Producers, Tail, hex};
use crate::segment_ref::SegmentRef;
use crate::store::Store;

/// What is wrong with an object, or why nobody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyError {
    /// There is no such object.
    Missing,
    /// It is longer or shorter than it was.
    Size {
        /// Bytes that were written.
        written: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// Bytes have changed.
    Damaged {
        /// Where, as far as checksums tell.
        bytes: Range<u64>,
        /// The offsets that cannot be trusted.
        offsets: Range<u64>,
        /// What is wrong.
        detail: String,
    },
    /// It is a whole object, but not the one that the row describes.
    Another(String),
    /// The store did not let it be read.
    Store(StoreError),
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "the object is missing"),
            Self::Size { written, found } => {
                write!(f, "the object has {found} bytes, {written} were written")
            }
            Self::Damaged {
                bytes,
                offsets,
                detail,
            } => write!(
                f,
                "damaged at bytes {}..{}, offsets {}..{}: {detail}",
                bytes.start, bytes.end, offsets.start, offsets.end
            ),
            Self::Another(detail) => write!(f, "not the object that was written: {detail}"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for VerifyError {}

impl From<StoreError> for VerifyError {
    fn from(error: StoreError) -> Self {
        match error.kind() {
            StoreErrorKind::NotFound => Self::Missing,
            _ => Self::Store(error),
        }
    }
}

impl Store {
    /// Reads all of an object and compares it with its row: length, every checksum, SHA-256 of the
    /// data, and the footer.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub async fn verify(&self, segment: &SegmentRef) -> Result<(), VerifyError> {
        self.compare(segment, Some(Sha256::new())).await
    }

    /// The same without SHA-256, which takes longer than all the rest: for who has just written the
    /// object, under a name that nobody else has.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub async fn verify_written(&self, segment: &SegmentRef) -> Result<(), VerifyError> {
        self.compare(segment, None).await
    }

    async fn compare(
        &self,
        segment: &SegmentRef,
        sha256: Option<Sha256>,
    ) -> Result<(), VerifyError> {
        let bounds = &self.options().background;
        let found = self.size_bytes(&segment.key, bounds).await?;
        if found != segment.size_bytes {
            return Err(VerifyError::Size {
                written: segment.size_bytes,
                found,
            });
        }
        let all = segment.base_offset..segment.end_offset;
        let damaged = |bytes: Range<u64>, detail: String| VerifyError::Damaged {
            bytes,
            offsets: all.clone(),
            detail,
        };
        let range = segment.index_range();
        let (tail, _) = self.get_range(&segment.key, range.clone(), bounds).await?;
        let tail =
            Tail::decode(&tail, segment.size_bytes).map_err(|detail| damaged(range, detail))?;
        let said = SegmentRef::new(
            segment.key.clone(),
            segment.size_bytes,
            &tail.trailer,
            &tail.footer,
        );
        if said != *segment {
            return Err(VerifyError::Another(format!("it says {said:?}")));
        }
        if segment.keys_bytes > 0 {
            let range = segment.keys_range();
            let (keys, _) = self.get_range(&segment.key, range.clone(), bounds).await?;
            if KeyBlock::decode(&keys).is_none() {
                let detail = "the block of keys is damaged";
                return Err(damaged(range, detail.to_owned()));
            }
        }
        let range = segment.producers_range();
        let (producers, _) = self.get_range(&segment.key, range.clone(), bounds).await?;
        if Producers::decode(&producers, segment.base_offset).is_none() {
            let detail = "the checksum of the producers' block is wrong";
            return Err(damaged(range, detail.to_owned()));
        }
        self.compare_data(segment, &tail, sha256).await
    }

    async fn compare_data(
        &self,
        segment: &SegmentRef,
        tail: &Tail,
        mut sha256: Option<Sha256>,
    ) -> Result<(), VerifyError> {
        let mut chunks = std::pin::pin!(self.data_chunks(segment, 0));
        while let Some((from, bytes)) = chunks.try_next().await? {
            for (number, block) in bytes.chunks(BLOCK_BYTES as usize).enumerate() {
                let at = from + number as u64 * BLOCK_BYTES;
                if !tail.index.is_block((at / BLOCK_BYTES) as u32, block) {
                    let bytes = at..at + block.len() as u64;
                    return Err(VerifyError::Damaged {
                        offsets: tail.index.offsets_in(&bytes, segment.end_offset),
                        bytes,
                        detail: "the checksum of this block of the data is wrong".to_owned(),
                    });
                }
            }
            if let Some(sha256) = &mut sha256 {
                sha256.update(&bytes);
            }
        }
        if sha256.is_some_and(|sha256| hex(&sha256.finalize()) != segment.data_sha256) {
            return Err(VerifyError::Another(
                "its data has another SHA-256".to_owned(),
            ));
        }
        Ok(())
    }
}
