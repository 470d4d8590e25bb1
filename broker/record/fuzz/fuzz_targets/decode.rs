//! No bytes make the decoder panic, loop or take more memory than it is allowed. The length is set
//! right in a second try, so that damage reaches the records and not only the header's checks.
#![no_main]

use headwater_record::{
    BATCH_HEADER_BYTES, Batch, BatchView, Batches, WriteOptions, records_equal, write_record,
};
use libfuzzer_sys::fuzz_target;

const DECODED_BYTES_MAX: usize = 1 << 20;

fn read(bytes: &[u8]) {
    for batch in Batches::new(bytes) {
        let Ok(batch) = batch else { break };
        let _ = batch.check_crc();
        let mut scratch = Vec::new();
        let mut out = Vec::new();
        if let Ok(records) = batch.records(&mut scratch, DECODED_BYTES_MAX) {
            for record in records {
                let Ok(record) = record else { break };
                assert!(record.offset < batch.next_offset());
                assert_eq!(record.headers().count(), record.headers().len());
                out.clear();
                write_record(&mut out, &record, &WriteOptions::default());
            }
        }
        assert!(scratch.len() <= DECODED_BYTES_MAX + 1);
        let walked = batch.check_records(DECODED_BYTES_MAX).is_ok();
        assert_eq!(records_equal(&batch, &batch, DECODED_BYTES_MAX).is_ok_and(|same| same), walked);
    }
    let _ = Batch::from_bytes(bytes);
}

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    if bytes.len() >= BATCH_HEADER_BYTES && BatchView::parse(bytes).is_err() {
        let mut bytes = bytes.to_vec();
        let length = (bytes.len() - 12) as i32;
        bytes[0..8].fill(0);
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = 2;
        bytes[22] &= 0b1111_1011;
        read(&bytes);
    }
});
