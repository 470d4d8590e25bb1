//! All flights many times over in small segments that are in the store alone: read back by every call,
//! and again when the bucket is all that is left.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::{FLIGHTS, Flight, flights};
use crate::bucket::{Places, rebuild::lose_all_but_the_bucket};
use crate::client::{Api, Row};
use crate::grpc::{client::Grpc, pb};
use crate::harness::{Server, eventually, soon};
use crate::json;
use crate::lines::Lines;

/// How often all flights are written.
const TIMES: usize = 10;
const RECORDS: usize = TIMES * FLIGHTS;
const PARTITIONS: usize = 2;
const SEGMENT_BYTES: usize = 1 << 20;
/// What is written behind the flights, to each partition, so that all of them are in sealed segments.
const BEHIND_BYTES: usize = 3 * SEGMENT_BYTES;
/// The first record's time; each one is a millisecond after the one before.
const BEGUN_MS: usize = 1_700_000_000_000;
/// Records that are looked for by their time.
const LOOKED_FOR: usize = 40;
const PATH: &str = "/topics/flights";
const PAGE: &str = "max_records=10000&max_bytes=16777216";

/// The flight that is written as this record. Records go to the partitions in turn.
fn flight(record: usize) -> &'static Flight {
    &flights()[record % FLIGHTS]
}

/// How many flights a partition has.
fn count(partition: usize) -> usize {
    (RECORDS - partition).div_ceil(PARTITIONS)
}

/// Compares what one call reads with what was written, record by record.
#[derive(Default)]
struct Reader {
    next: [usize; PARTITIONS],
}

impl Reader {
    fn take(&mut self, partition: u32, offset: u64, key: &str, value: &[u8]) {
        let partition = partition as usize;
        let next = &mut self.next[partition];
        if *next == count(partition) {
            return;
        }
        assert_eq!(offset, *next as u64, "partition {partition}");
        let Flight {
            key: wanted_key,
            value: wanted,
        } = flight(*next * PARTITIONS + partition);
        assert!(
            key == *wanted_key && value == wanted.as_bytes(),
            "partition {partition}, offset {offset}"
        );
        *next += 1;
    }

    fn take_rows(&mut self, rows: &[Row]) {
        for row in rows {
            let key = row.key.as_deref().unwrap_or_default();
            self.take(row.partition, row.offset, key, row.value.as_bytes());
        }
    }

    fn take_records(&mut self, records: &[pb::Record]) {
        for record in records {
            let key = std::str::from_utf8(record.key()).expect("UTF-8");
            self.take(record.partition(), record.offset(), key, record.value());
        }
    }

    fn has_all(&self) -> bool {
        (0..PARTITIONS).all(|partition| self.next[partition] == count(partition))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_the_bucket_alone_reads_as_it_was_written() {
    let mut server = Server::dev()
        .with("HEADWATER_MAINTENANCE_INTERVAL", "100ms")
        .started()
        .await;
    let api = server.api();
    let config = json!({"partitions": PARTITIONS, "config": {"segment_bytes": SEGMENT_BYTES,
        "local_retention_bytes": 65536, "retention_ms": null}});
    let made = api.send("PUT", PATH, config.to_string()).await;
    made.expect(201);
    for time in 0..TIMES {
        write(&api, time).await;
    }
    write_behind(&api).await;
    until_in_the_store_alone(&api).await;
    read_by_every_call(&api).await;

    server.stop().await;
    lose_all_but_the_bucket(&server.data_dir());
    Places::of(&server).run("rebuild", &[]).clean();
    server.restart().await;
    read_by_every_call(&server.api()).await;
}

/// Writes all flights once.
async fn write(api: &Api, time: usize) {
    let chunks = (0..FLIGHTS).step_by(1_000).map(move |from| {
        let mut lines = String::new();
        for n in from..FLIGHTS.min(from + 1_000) {
            let record = time * FLIGHTS + n;
            let (partition, timestamp) = (record % PARTITIONS, BEGUN_MS + record);
            let Flight { key, value } = flight(record);
            writeln!(
                lines,
                r#"{{"partition":{partition},"key":"{key}","timestamp":{timestamp},"value":{value}}}"#
            )
            .expect("memory");
        }
        Ok::<_, std::convert::Infallible>(Bytes::from(lines))
    });
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let request = api.request("POST", &format!("{PATH}/records/bulk"));
    let request = request.header("content-type", "application/x-ndjson");
    let answer = crate::client::reply(request.body(body)).await.expect(200);
    let end = json!({"done": true, "accepted": FLIGHTS, "rejected": 0});
    let last = answer.text.lines().last().expect("an end");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(last).expect("JSON"),
        end
    );
}

/// Writes what is no flight.
async fn write_behind(api: &Api) {
    const RECORD_BYTES: usize = 100_000;
    let value = "x".repeat(RECORD_BYTES);
    for _ in 0..BEHIND_BYTES.div_ceil(RECORD_BYTES) {
        let record = |partition| json!({"partition": partition, "value": &value});
        let records: Vec<_> = (0..PARTITIONS).map(record).collect();
        api.produce(PATH, json!({ "records": records }).to_string())
            .await;
    }
}

/// Waits until less than what stands behind the flights is on the disk.
async fn until_in_the_store_alone(api: &Api) {
    eventually("no flight is on the disk", async || {
        let state = api.get(&format!("{PATH}/partitions")).await.expect(200);
        let state = state.json();
        let mut partitions = state["partitions"].as_array().expect("partitions").iter();
        partitions.all(|partition| partition["hot_bytes"].as_u64() < Some(BEHIND_BYTES as u64))
    })
    .await;
}

async fn read_by_every_call(api: &Api) {
    let grpc = Grpc::connect(api).await;
    tokio::join!(
        by_partition(api),
        by_cursor(api),
        by_events(api),
        by_lines(api),
        by_grpc_partition(&grpc),
        by_grpc_cursor(&grpc),
        by_grpc_tail(&grpc),
        by_time(api, &grpc),
    );
}

async fn by_partition(api: &Api) {
    let mut reader = Reader::default();
    for partition in 0..PARTITIONS {
        let mut offset = 0;
        while offset < count(partition) as u64 {
            let url = format!("{PATH}/partitions/{partition}/records?offset={offset}&{PAGE}");
            let page = api.get(&url).await.expect(200);
            reader.take_rows(&page.rows());
            offset = page.number("next_offset");
        }
    }
    assert!(reader.has_all());
}

async fn by_cursor(api: &Api) {
    let (mut reader, mut position) = (Reader::default(), "from=earliest".to_owned());
    while !reader.has_all() {
        let url = format!("{PATH}/records?{position}&{PAGE}");
        let page = api.get(&url).await.expect(200);
        reader.take_rows(&page.rows());
        position = format!("cursor={}", page.json_member("cursor"));
    }
}

/// A tail that may go on for as long as it takes.
async fn tail(api: &Api, name: &str) -> Lines {
    let request = api.request("GET", &format!("{PATH}/{name}?from=earliest"));
    let response = request.timeout(Duration::from_secs(600)).send().await;
    Lines::new(response.expect("an answer"))
}

async fn by_events(api: &Api) {
    let (mut reader, mut tail) = (Reader::default(), tail(api, "tail").await);
    while !reader.has_all() {
        let event = tail.event_named("records").await;
        let records = json::member(&event.data, "records").expect("records");
        for record in json::elements(records) {
            reader.take_rows(&[Row::parse(record)]);
        }
    }
}

async fn by_lines(api: &Api) {
    let (mut reader, mut tail) = (Reader::default(), tail(api, "tail.ndjson").await);
    while !reader.has_all() {
        let line = tail.next().await.expect("the tail goes on");
        if json::member(&line, "cursor").is_none() {
            reader.take_rows(&[Row::parse(&line)]);
        }
    }
}

/// As much as one answer may be.
fn whole_pages() -> Option<pb::ReadLimits> {
    Some(pb::ReadLimits {
        max_records: Some(10_000),
        max_bytes: Some(16 << 20),
        ..pb::ReadLimits::default()
    })
}

async fn by_grpc_partition(grpc: &Grpc) {
    use pb::fetch_partition_request::Start;
    let (mut reader, mut records) = (Reader::default(), grpc.records());
    for partition in 0..PARTITIONS {
        let mut offset = 0;
        while offset < count(partition) as u64 {
            let request = pb::FetchPartitionRequest {
                topic: "flights".into(),
                partition: partition as u32,
                start: Some(Start::Offset(offset)),
                limits: whole_pages(),
            };
            let page = records.fetch_partition(request).await.expect("a page");
            let page = page.into_inner();
            reader.take_records(&page.records);
            offset = page.next_offset;
        }
    }
    assert!(reader.has_all());
}

async fn by_grpc_cursor(grpc: &Grpc) {
    use pb::fetch_topic_request::Start;
    let (mut reader, mut records) = (Reader::default(), grpc.records());
    let mut start = Start::From(pb::End::Earliest.into());
    while !reader.has_all() {
        let request = pb::FetchTopicRequest {
            topic: "flights".into(),
            start: Some(start),
            limits: whole_pages(),
        };
        let page = records.fetch_topic(request).await.expect("a page");
        let page = page.into_inner();
        reader.take_records(&page.records);
        start = Start::Cursor(page.cursor);
    }
}

async fn by_grpc_tail(grpc: &Grpc) {
    use pb::tail_request::Start;
    let (mut reader, mut records) = (Reader::default(), grpc.records());
    let request = pb::TailRequest {
        topic: "flights".into(),
        start: Some(Start::From(pb::End::Earliest.into())),
        ..pb::TailRequest::default()
    };
    let mut tail = records.tail(request).await.expect("a tail").into_inner();
    while !reader.has_all() {
        let message = soon("the tail goes on", tail.message()).await;
        let message = message.expect("no error").expect("no end");
        reader.take_records(&message.records);
    }
}

/// Records here and there, by the time of each.
async fn by_time(api: &Api, grpc: &Grpc) {
    use pb::fetch_partition_request::Start;
    let mut records = grpc.records();
    for record in (0..RECORDS).step_by(RECORDS / LOOKED_FOR) {
        let (partition, offset) = (record % PARTITIONS, (record / PARTITIONS) as u64);
        let at = BEGUN_MS + record;
        let url = format!("{PATH}/partitions/{partition}/records?at={at}&max_records=1");
        let row = api.get(&url).await.expect(200).rows().remove(0);
        assert_eq!(
            (row.offset, row.value.as_str()),
            (offset, flight(record).value)
        );
        let request = pb::FetchPartitionRequest {
            topic: "flights".into(),
            partition: partition as u32,
            start: Some(Start::AtMs(at as i64)),
            limits: None,
        };
        let page = records.fetch_partition(request).await.expect("a page");
        let first = &page.into_inner().records[0];
        assert_eq!(
            (first.offset(), first.value()),
            (offset, flight(record).value.as_bytes())
        );
    }
}
