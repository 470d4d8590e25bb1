#![allow(missing_docs, clippy::unimplemented)]
use bytes::Bytes;
use headwater_log::*;
pub trait LogStub {
    fn note_seen_epochs(&self, _: &[(PartitionId, i32)]) -> Result<(), AppendError> {
        unimplemented!()
    }
}
impl LogStub for Log {}
pub trait PartitionLogStub {
    fn append_sequenced(&self, _: Bytes, _: u64) -> Result<Appended, AppendError> {
        unimplemented!()
    }
    fn truncate(&self, _: u64) -> Result<u64, AppendError> {
        unimplemented!()
    }
    fn reset(&self, _: u64) -> Result<(), AppendError> {
        unimplemented!()
    }
    fn seen_epoch(&self) -> i32 {
        unimplemented!()
    }
    fn last_epoch(&self) -> Option<i32> {
        unimplemented!()
    }
    fn end_offset_for(&self, _: i32) -> Option<(i32, u64)> {
        unimplemented!()
    }
}
impl PartitionLogStub for std::sync::Arc<PartitionLog> {}
impl PartitionLogStub for PartitionLog {}
