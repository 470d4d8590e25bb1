//! What a line of JSON says goes through a batch, compressed or not, and back to JSON that says
//! the same. The input's first byte picks the compression and the options.
#![no_main]

use std::convert::Infallible;

use headwater_record::{
    Batch, BatchBuilder, Compression, JsonLimits, JsonScratch, Producer, WriteOptions, parse_record,
    records_equal, write_record,
};
use libfuzzer_sys::fuzz_target;

const COMPRESSIONS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];
const DECODED_BYTES_MAX: usize = 64 << 20;

fn batch(line: &[u8], compression: Compression) -> Option<Batch> {
    let mut builder = BatchBuilder::new();
    parse_record(line, &JsonLimits::default(), &mut JsonScratch::new(), |record| {
        builder.push(&record.to_new(7));
        Ok::<_, Infallible>(())
    })
    .ok()?;
    Some(builder.finish(Producer::NONE, compression))
}

fn write(batch: &Batch, options: &WriteOptions) -> Vec<u8> {
    let (mut scratch, mut out) = (Vec::new(), Vec::new());
    for record in batch.view().records(&mut scratch, DECODED_BYTES_MAX).unwrap() {
        write_record(&mut out, &record.unwrap(), options);
    }
    out
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, line)) = input.split_first() else { return };
    let compression = COMPRESSIONS[usize::from(choice) % COMPRESSIONS.len()];
    let Some(first) = batch(line, compression) else { return };
    let checked = Batch::from_bytes(first.as_bytes()).unwrap();
    let plain = batch(line, Compression::None).unwrap();
    assert!(records_equal(&checked.view(), &plain.view(), DECODED_BYTES_MAX).unwrap());

    let base64 = choice & 0x80 != 0;
    let options = WriteOptions { base64, single_line: choice & 0x40 != 0, partition: 1 };
    let text = write(&first, &options);
    assert!(!options.single_line || !text.contains(&b'\n'));
    let again = batch(&text, Compression::None).expect("what is written is read");
    assert_eq!(write(&again, &options), text);
    if !base64 && !options.single_line {
        // The timestamp is the client's now: what differs is who set it, not what it is.
        let (mut a, mut b) = (Vec::new(), Vec::new());
        let (first, again) = (first.view(), again.view());
        let a = first.records(&mut a, DECODED_BYTES_MAX).unwrap().next().unwrap().unwrap();
        let b = again.records(&mut b, DECODED_BYTES_MAX).unwrap().next().unwrap().unwrap();
        assert_eq!((a.key, a.value, a.is_json()), (b.key, b.value, b.is_json()));
        assert_eq!(a.timestamp_ms, b.timestamp_ms);
    }
});
