//! Produce and fetch on one partition, without a step that could be left out.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use headwater_record::{
    BatchBuilder, BatchView, Compression, JsonLimits, JsonScratch, Producer, WriteOptions,
    parse_produce, write_record,
};
use http_body_util::BodyExt;

use crate::journal::Journal;
use crate::log::Log;

#[derive(Clone)]
struct Roof {
    journal: Journal,
    log: Arc<Log>,
}

/// Routes by the end of the path alone, so that any topic of any project is the one partition.
pub fn router(dir: &Path) -> io::Result<Router> {
    let log = Arc::new(Log::new());
    let journal = Journal::start(dir, Arc::clone(&log))?;
    Ok(Router::new()
        .fallback(handle)
        .with_state(Roof { journal, log }))
}

async fn handle(State(roof): State<Roof>, request: Request) -> Response {
    let uri = request.uri().clone();
    let path = uri.path();
    match *request.method() {
        Method::POST => roof.produce(request).await,
        Method::GET if path.ends_with("/records") => roof.fetch(&uri).await,
        Method::GET if path.ends_with("/partitions") => json(format!(
            "{{\"partitions\":[{{\"partition\":0,\"log_start\":{},\"high_watermark\":{}}}]}}",
            roof.log.start(),
            roof.log.high_watermark()
        )),
        _ => json("{}".to_owned()),
    }
}

fn json(body: impl Into<Bytes>) -> Response {
    ([(CONTENT_TYPE, "application/json")], body.into()).into_response()
}

/// The whole body; not copied if it came in one piece.
async fn read(request: Request) -> Result<Bytes, axum::Error> {
    let length = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|text| text.to_str().ok());
    let length = length
        .and_then(|text| text.parse::<usize>().ok())
        .unwrap_or(0);
    let mut body: Body = request.into_body();
    let mut whole: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if data.len() == length && whole.is_empty() {
            return Ok(data);
        }
        if whole.is_empty() {
            whole.reserve_exact(length);
        }
        whole.extend_from_slice(&data);
    }
    Ok(Bytes::from(whole))
}

impl Roof {
    async fn produce(&self, request: Request) -> Response {
        let Ok(body) = read(request).await else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now_ms = since.as_millis() as i64;
        let mut builder = BatchBuilder::with_capacity(body.len());
        let mut scratch = JsonScratch::new();
        let parsed = parse_produce(&body, &JsonLimits::default(), &mut scratch, |_, record| {
            builder.push(&record.to_new(now_ms));
            Ok::<(), Infallible>(())
        });
        if parsed.is_err() {
            return StatusCode::BAD_REQUEST.into_response();
        }
        drop(body);
        let batch = builder.finish(Producer::NONE, Compression::None);
        let records = u64::from(batch.record_count());
        let Some(base_offset) = self.journal.append(batch).await else {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        };
        let mut number = itoa::Buffer::new();
        let timestamp = number.format(now_ms).to_owned();
        let mut answer = Vec::with_capacity(64 + 64 * records as usize);
        answer.extend_from_slice(b"{\"results\":[");
        for offset in base_offset..base_offset + records {
            if offset > base_offset {
                answer.push(b',');
            }
            answer.extend_from_slice(b"{\"partition\":0,\"offset\":");
            answer.extend_from_slice(number.format(offset).as_bytes());
            answer.extend_from_slice(b",\"timestamp\":");
            answer.extend_from_slice(timestamp.as_bytes());
            answer.push(b'}');
        }
        answer.extend_from_slice(b"],\"durability\":\"quorum_fsync\",\"duplicate\":false}");
        json(answer)
    }

    async fn fetch(&self, uri: &Uri) -> Response {
        let query = uri.query().unwrap_or("");
        let number = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(found, _)| *found == name)
                .and_then(|(_, text)| text.parse::<u64>().ok())
        };
        let offset = number("offset").unwrap_or(0);
        let records_max = number("max_records").unwrap_or(500);
        let bytes_max = number("max_bytes").unwrap_or(1 << 20) as usize;
        if let Some(wait_ms) = number("wait_ms") {
            let wait = Duration::from_millis(wait_ms);
            // After the wait an empty answer is right.
            let _ = tokio::time::timeout(wait, self.log.wait_for(offset)).await;
        }
        match self.page(offset, records_max, bytes_max) {
            Some(page) => json(page),
            None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    fn page(&self, offset: u64, records_max: u64, bytes_max: usize) -> Option<Vec<u8>> {
        let high_watermark = self.log.high_watermark();
        let end = offset.saturating_add(records_max).min(high_watermark);
        let mut bytes = 0;
        let batches = self.log.read(offset, |_, batch| {
            bytes += batch.len();
            let next = BatchView::parse(batch).map_or(u64::MAX, |(view, _)| view.next_offset());
            next >= end || bytes >= bytes_max
        });
        let options = WriteOptions {
            base64: false,
            single_line: false,
            partition: 0,
        };
        let mut out = Vec::with_capacity(bytes + bytes / 2 + 256);
        let mut inflated = Vec::new();
        let mut next_offset = offset;
        out.extend_from_slice(b"{\"records\":[");
        for batch in &batches {
            let (view, _) = BatchView::parse(batch).ok()?;
            view.check_crc().ok()?;
            for record in view.records(&mut inflated, usize::MAX).ok()? {
                let record = record.ok()?;
                if record.offset < offset || record.offset >= end {
                    continue;
                }
                if record.offset > offset {
                    out.push(b',');
                }
                write_record(&mut out, &record, &options);
                next_offset = record.offset + 1;
            }
        }
        let tail = format!(
            "],\"next_offset\":{next_offset},\"log_start\":{},\"high_watermark\":{high_watermark},\
             \"gaps\":[]}}",
            self.log.start()
        );
        out.extend_from_slice(tail.as_bytes());
        Some(out)
    }
}
