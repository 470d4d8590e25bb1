//! What the codec does on one core, in megabytes (10^6) of record values a second.
//!
//! Method: a produce request of small event objects (a handful of short fields and one filler
//! string) is made for each value size, 100 B and 1 KiB, and for a kind with many short fields and
//! no filler. Each row runs one task over the whole request again and again for 0.1 s and notes
//! the rate; the rows take turns, so that a noisy neighbour hits all alike, and of 15 rounds the
//! median is printed with the lowest and the highest. Buffers are reused as a server does, but a
//! batch's own memory is allocated anew each time, since it leaves with the batch.
//!
//! Run with `cargo bench -p headwater-record`; a word after `--` picks the rows that contain it.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::convert::Infallible;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use headwater_record::{
    BatchBuilder, BatchView, Compression, Headers, JsonLimits, JsonScratch, NewRecord, Producer,
    WriteOptions, check_json, parse_produce, write_record,
};
use serde_json::value::RawValue;

const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(100);
const RECORDS: usize = 100;
const NOW_MS: i64 = 1_767_225_600_000;

/// A produce request and the bytes of the values in it.
struct Sample {
    name: &'static str,
    body: Vec<u8>,
    value_bytes: usize,
}

/// Values of a few fields and a filler that makes them `bytes` long.
fn events(name: &'static str, bytes: usize) -> Sample {
    sample(name, |i| {
        let head = format!(
            r#"{{"id":{},"type":"page_view","user":"u-{}","ok":true,"text":""#,
            1_000_000 + i,
            i % 97
        );
        let filler = "lorem ipsum dolor sit amet ".repeat(bytes / 27 + 1);
        format!("{head}{}\"}}", &filler[..bytes - head.len() - 2])
    })
}

/// Values of many short fields, nested, with numbers: the most work per byte.
fn fields(name: &'static str) -> Sample {
    sample(name, |i| {
        let mut value = format!(r#"{{"id":{i},"items":["#);
        for n in 0..16 {
            let comma = if n == 0 { "" } else { "," };
            write!(
                value,
                r#"{comma}{{"sku":"A{n}","qty":{n},"price":{}.25,"tax":null}}"#,
                n * 7
            )
            .expect("a String takes every write");
        }
        value + "]}"
    })
}

fn sample(name: &'static str, value: impl Fn(usize) -> String) -> Sample {
    let (mut records, mut value_bytes) = (Vec::new(), 0);
    for i in 0..RECORDS {
        let value = value(i);
        value_bytes += value.len();
        records.push(format!(r#"{{"key":"user-{i}","value":{value}}}"#));
    }
    let body = format!(r#"{{"records":[{}]}}"#, records.join(",")).into_bytes();
    Sample {
        name,
        body,
        value_bytes,
    }
}

/// One line of the result: a task and how often a second it moved how many bytes.
struct Row<'a> {
    name: String,
    bytes: usize,
    task: Box<dyn FnMut() + 'a>,
    rates: Vec<f64>,
}

impl<'a> Row<'a> {
    fn new(sample: &Sample, what: &str, task: impl FnMut() + 'a) -> Self {
        let name = format!("{:<8} {what}", sample.name);
        Self {
            name,
            bytes: sample.value_bytes,
            task: Box::new(task),
            rates: Vec::new(),
        }
    }

    fn round(&mut self) {
        let start = Instant::now();
        let mut runs = 0_u64;
        while start.elapsed() < ROUND {
            for _ in 0..10 {
                (self.task)();
            }
            runs += 10;
        }
        self.rates
            .push((self.bytes as u64 * runs) as f64 / start.elapsed().as_secs_f64() / 1e6);
    }

    fn print(&mut self) {
        self.rates.sort_by(f64::total_cmp);
        let rates = &self.rates;
        let (low, median, high) = (rates[0], rates[rates.len() / 2], rates[rates.len() - 1]);
        println!(
            "{:<40} {median:>8.0} MB/s  ({low:.0} to {high:.0})",
            self.name
        );
    }
}

/// Parses a request into a batch with the crate's scanner.
fn encode(body: &[u8], scratch: &mut JsonScratch, compression: Compression) -> Vec<u8> {
    let mut builder = BatchBuilder::with_capacity(body.len());
    parse_produce(body, &JsonLimits::default(), scratch, |_, record| {
        builder.push(&record.to_new(NOW_MS));
        Ok::<_, Infallible>(())
    })
    .expect("the request is good");
    builder.finish(Producer::NONE, compression).freeze().into()
}

/// The same by way of `serde_json`, values as raw text.
fn encode_with_serde(body: &[u8]) -> Vec<u8> {
    #[derive(serde::Deserialize)]
    struct Request<'a> {
        #[serde(borrow)]
        records: Vec<Record<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Record<'a> {
        key: Option<&'a str>,
        #[serde(borrow)]
        value: &'a RawValue,
    }
    let request: Request<'_> = serde_json::from_slice(body).expect("the request is good");
    let mut builder = BatchBuilder::with_capacity(body.len());
    for record in &request.records {
        builder.push(&NewRecord {
            key: record.key.map(str::as_bytes),
            value: Some(record.value.get().as_bytes()),
            json: true,
            timestamp_ms: NOW_MS,
            server_timestamp: true,
            headers: Headers::NONE,
        });
    }
    builder
        .finish(Producer::NONE, Compression::None)
        .freeze()
        .into()
}

fn decode(batch: &[u8], inflated: &mut Vec<u8>, out: &mut Vec<u8>) {
    let options = WriteOptions {
        base64: false,
        single_line: false,
        partition: 3,
    };
    let (view, _) = BatchView::parse(batch).expect("the batch is good");
    for record in view
        .records(inflated, 64 << 20)
        .expect("the batch inflates")
    {
        write_record(out, &record.expect("the record is good"), &options);
        out.push(b',');
    }
}

fn rows(sample: &Sample) -> Vec<Row<'_>> {
    let body = &sample.body;
    let batch = encode(body, &mut JsonScratch::new(), Compression::None);
    let checked = batch.clone();
    let mut scratch = JsonScratch::new();
    let mut rows = vec![
        Row::new(sample, "check the JSON alone", || {
            check_json(black_box(body), 64).expect("the request is good");
        }),
        Row::new(sample, "JSON to batch", move || {
            black_box(encode(black_box(body), &mut scratch, Compression::None));
        }),
        Row::new(sample, "JSON to batch, serde_json RawValue", || {
            black_box(encode_with_serde(black_box(body)));
        }),
        Row::new(sample, "CRC-32C", move || {
            let (view, _) = BatchView::parse(black_box(&checked)).expect("the batch is good");
            view.check_crc().expect("the batch is good");
        }),
    ];
    let mut out = Vec::new();
    rows.push(Row::new(sample, "batch to JSON", move || {
        out.clear();
        decode(black_box(&batch), &mut Vec::new(), &mut out);
        black_box(&out);
    }));
    for compression in [Compression::Lz4, Compression::Zstd] {
        let mut scratch = JsonScratch::new();
        rows.push(Row::new(
            sample,
            &format!("JSON to batch, {compression}"),
            move || {
                black_box(encode(black_box(body), &mut scratch, compression));
            },
        ));
        let batch = encode(body, &mut JsonScratch::new(), compression);
        let (mut inflated, mut out) = (Vec::new(), Vec::new());
        rows.push(Row::new(
            sample,
            &format!("batch to JSON, {compression}"),
            move || {
                out.clear();
                decode(black_box(&batch), &mut inflated, &mut out);
                black_box(&out);
            },
        ));
    }
    rows
}

fn main() {
    let filter = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let samples = [
        events("100 B", 100),
        events("1 KiB", 1024),
        fields("fields"),
    ];
    let mut rows: Vec<_> = samples
        .iter()
        .flat_map(rows)
        .filter(|row| {
            filter
                .as_ref()
                .is_none_or(|word| row.name.contains(word.as_str()))
        })
        .collect();
    for _ in 0..ROUNDS {
        rows.iter_mut().for_each(Row::round);
    }
    rows.iter_mut().for_each(Row::print);
}
