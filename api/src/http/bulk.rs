//! `POST /topics/{topic}/records/bulk`: NDJSON in, results out while the body is still open.
//!
//! A reader task cuts the body into runs of lines and encodes them; the answering task appends one
//! run at a time, so that offsets follow line order, while the next is being read. Memory is one run
//! on each side, and a client that does not read its results stops being read.

use std::{collections::VecDeque, sync::Arc};

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use headwater_broker::Acks;
use http::{HeaderValue, Request, header};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, BufReader},
    sync::mpsc,
};
use tokio_util::io::StreamReader;

use super::{
    body::{Encoding, NDJSON_TYPES, broken_off, check_content_type, encoding},
    call::InTopic,
    observe::Counted,
    openapi::{IdempotencyHeader, ProduceProblems},
    params::Params,
    produce::idempotency_key,
    router::App,
};
use crate::{
    gateway::{Encoded, Gateway, Held, IdempotencyKey},
    limits::{
        BODY_IDLE_TIMEOUT, BULK_KEYED_RUN_RECORDS, BULK_RUN_BYTES_MAX, BULK_RUN_RECORDS_MAX,
        RECORD_BYTES,
    },
    metadata::Topic,
    problem::{Code, Problem},
};

/// A line may hold the largest record with all of it escaped.
const LINE_BYTES_MAX: usize = 6 * RECORD_BYTES.1 as usize;
const READ_BYTES: usize = 128 << 10;
const HELD_STEP_BYTES: usize = 64 << 10;

/// Append records without end.
///
/// One record a line; the answer flows while the body is still open: for each committed run of lines
/// `{"from","n","partitions":[{"partition","base_offset","n"}]}`, for each refused line
/// `{"line","error"}`, at last `{"done":true,"accepted","rejected"}`. Lines count from 1. With an
/// `Idempotency-Key` runs are cut every 500 lines, so that repeating the same body appends nothing
/// twice.
#[utoipa::path(
    post, path = "/topics/{topic}/records/bulk", operation_id = "produceBulk", tag = "records",
    params(("topic" = String, Path, description = "Topic name", example = "orders"), IdempotencyHeader),
    request_body(content = Option<String>, content_type = "application/x-ndjson", description = "One record a line",
        example = "{\"key\":\"c1\",\"value\":{\"id\":17}}\n{\"key\":\"c2\",\"value\":{\"id\":18}}\n"),
    responses((status = 200, description = "Results, line by line", body = String, content_type = "application/x-ndjson"), ProduceProblems),
)]
pub async fn produce_bulk(
    State(app): State<App>,
    call: InTopic,
    request: Request<Body>,
) -> Result<Response, Problem> {
    Params::parse(request.uri(), &[])?;
    check_content_type(request.headers(), NDJSON_TYPES)?;
    let key = idempotency_key(request.headers())?;
    let encoding = encoding(request.headers())?;
    let body = request
        .into_body()
        .into_data_stream()
        .map_err(std::io::Error::other)
        .boxed();
    let body = BufReader::with_capacity(READ_BYTES, StreamReader::new(body));
    let lines: Box<dyn AsyncBufRead + Send + Unpin> = match encoding {
        Encoding::Identity => Box::new(body),
        Encoding::Gzip => {
            let mut decoder = GzipDecoder::new(body);
            decoder.multiple_members(true);
            Box::new(BufReader::with_capacity(READ_BYTES, decoder))
        }
        Encoding::Zstd => {
            use async_compression::zstd::DParameter;
            let decoder = ZstdDecoder::with_params(body, &[DParameter::window_log_max(24)]);
            Box::new(BufReader::with_capacity(READ_BYTES, decoder))
        }
    };
    let open = Counted::new(&app.metrics.bulk_loads);
    let (runs, next_run) = mpsc::channel(1);
    let (results, answer) = mpsc::channel::<Bytes>(4);
    let reader = Reader {
        gateway: app.gateway.clone(),
        topic: call.topic.clone(),
        key,
        lines,
        line: Vec::new(),
        line_number: 0,
        runs: 0,
    };
    tokio::spawn(reader.read_all(runs));
    tokio::spawn(async move {
        let mut load = Load {
            app,
            topic: call.topic,
            request_id: call.request_id,
            results,
            accepted: 0,
            rejected: 0,
        };
        load.append_all(next_run).await;
        drop(open);
    });
    let answer = futures_util::stream::unfold(answer, |mut answer| async move {
        let line = answer.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(line), answer))
    });
    let mut response = Body::from_stream(answer).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    );
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Some consecutive lines, encoded.
struct Run {
    encoded: Option<Encoded>,
    /// The line of each record in `encoded`.
    record_lines: Vec<u64>,
    rejected: Vec<(u64, Problem)>,
    /// Why nothing comes after this run, if it is not the body's end.
    broken: Option<Problem>,
    held: Held,
}

/// Cuts the body into runs.
struct Reader {
    gateway: Arc<Gateway>,
    topic: Arc<Topic>,
    key: Option<IdempotencyKey>,
    lines: Box<dyn AsyncBufRead + Send + Unpin>,
    line: Vec<u8>,
    line_number: u64,
    runs: u64,
}

/// What reading a line came to.
enum Line {
    Read,
    TooLong,
    End,
}

impl Reader {
    async fn read_all(mut self, runs: mpsc::Sender<Run>) {
        loop {
            let (run, more) = self.read_run().await;
            let empty = run.encoded.is_none() && run.rejected.is_empty() && run.broken.is_none();
            if !empty && runs.send(run).await.is_err() {
                return; // nobody wants results any more
            }
            if !more {
                return;
            }
        }
    }

    /// The next run, and whether more may follow. Without a key, a run ends where the client has
    /// nothing more to read at once: whoever sends three lines hears of three lines.
    async fn read_run(&mut self) -> (Run, bool) {
        let key = self.key.map(|key| key.run(self.runs));
        self.runs += 1;
        let topic = self.topic.clone();
        let gateway = self.gateway.clone();
        let mut run = Run {
            encoded: None,
            record_lines: Vec::new(),
            rejected: Vec::new(),
            broken: None,
            held: Held::nothing(),
        };
        let mut encoder = gateway.encoder(&topic, key, BULK_RUN_BYTES_MAX / 4);
        let (mut lines, mut bytes, mut bytes_held) = (0, 0, 0);
        let more = loop {
            let line = match self.read_line().await {
                Ok(Line::End) => break false,
                Ok(line) => line,
                Err(problem) => {
                    run.broken = Some(problem);
                    break false;
                }
            };
            lines += 1;
            bytes += self.line.len();
            // In steps, and by what came: an idle load holds next to nothing.
            while bytes_held < bytes {
                match gateway.budget.take(HELD_STEP_BYTES).await {
                    Ok(held) => run.held.merge(held),
                    Err(problem) => run.broken = Some(problem),
                }
                bytes_held += HELD_STEP_BYTES;
            }
            if run.broken.is_some() {
                break false;
            }
            let result = match line {
                Line::TooLong => Err(Problem::new(
                    Code::PayloadTooLarge,
                    format!("a line may have {LINE_BYTES_MAX} bytes"),
                )),
                _ if self.line.trim_ascii().is_empty() => continue,
                _ => gateway.encode_line(&topic, &self.line, &mut encoder),
            };
            match result {
                Ok(()) => run.record_lines.push(self.line_number),
                Err(problem) => run.rejected.push((self.line_number, problem)),
            }
            let cut = match key {
                Some(_) => lines >= BULK_KEYED_RUN_RECORDS,
                None => {
                    lines >= BULK_RUN_RECORDS_MAX
                        || bytes >= BULK_RUN_BYTES_MAX
                        || !self.line_is_buffered().await
                }
            };
            if cut {
                break true;
            }
        };
        if encoder.record_count() > 0 {
            run.encoded = Some(gateway.finish(encoder, key));
        }
        (run, more)
    }

    /// Reads one line into `self.line`, without its end.
    async fn read_line(&mut self) -> Result<Line, Problem> {
        self.line.clear();
        let mut dropped = false;
        loop {
            let chunk = tokio::time::timeout(BODY_IDLE_TIMEOUT * 4, self.lines.fill_buf())
                .await
                .map_err(|_| Problem::new(Code::RequestTimeout, "no line came for a minute"))?
                .map_err(|error| broken_off(&error))?;
            if chunk.is_empty() {
                if self.line.is_empty() && !dropped {
                    return Ok(Line::End);
                }
                self.line_number += 1;
                return Ok(if dropped { Line::TooLong } else { Line::Read });
            }
            let end = memchr::memchr(b'\n', chunk);
            let take = end.unwrap_or(chunk.len());
            if self.line.len() + take > LINE_BYTES_MAX {
                dropped = true;
                self.line.clear();
            } else if !dropped {
                self.line.extend_from_slice(&chunk[..take]);
            }
            let consumed = take + usize::from(end.is_some());
            self.lines.consume(consumed);
            if end.is_some() {
                self.line_number += 1;
                return Ok(if dropped { Line::TooLong } else { Line::Read });
            }
        }
    }

    /// Whether a whole line can be read without waiting for the client.
    async fn line_is_buffered(&mut self) -> bool {
        let ready = futures_util::FutureExt::now_or_never(self.lines.fill_buf());
        matches!(ready, Some(Ok(chunk)) if memchr::memchr(b'\n', chunk).is_some())
    }
}

/// Appends runs and tells what became of them.
struct Load {
    app: App,
    topic: Arc<Topic>,
    request_id: Arc<str>,
    results: mpsc::Sender<Bytes>,
    accepted: u64,
    rejected: u64,
}

impl Load {
    async fn append_all(&mut self, mut runs: mpsc::Receiver<Run>) {
        while let Some(run) = runs.recv().await {
            let broken = run.broken.clone();
            let lines = self.append(run).await;
            // A client that went away wants no results; what it sent is kept.
            if self.results.send(lines.into()).await.is_err() {
                return;
            }
            if let Some(problem) = broken {
                let error = problem.to_json(&self.request_id);
                let mut line = b"{\"error\":".to_vec();
                line.extend_from_slice(&error);
                line.extend_from_slice(
                    format!(
                        ",\"accepted\":{},\"rejected\":{}}}\n",
                        self.accepted, self.rejected
                    )
                    .as_bytes(),
                );
                let _ = self.results.send(line.into()).await;
                return;
            }
        }
        let done = format!(
            "{{\"done\":true,\"accepted\":{},\"rejected\":{}}}\n",
            self.accepted, self.rejected
        );
        let _ = self.results.send(done.into()).await; // as above
    }

    /// Appends a run and answers its result lines.
    async fn append(&mut self, run: Run) -> Vec<u8> {
        let Run {
            encoded,
            record_lines,
            rejected,
            held,
            ..
        } = run;
        let mut lines = Vec::new();
        let mut rejected: VecDeque<_> = rejected.into();
        if let Some(encoded) = encoded {
            let (count, bytes) = (record_lines.len() as u64, encoded.payload_bytes as u64);
            match self
                .app
                .gateway
                .produce(&self.topic, encoded, Acks::Quorum)
                .await
            {
                Ok(written) => {
                    self.app.metrics.records_in.inc_by(count);
                    self.app.metrics.bytes_in.inc_by(bytes);
                    self.report(&written, &record_lines, &mut rejected, &mut lines);
                }
                Err(problem) => {
                    for line in record_lines {
                        rejected.push_back((line, problem.clone()));
                    }
                    rejected
                        .make_contiguous()
                        .sort_unstable_by_key(|(line, _)| *line);
                }
            }
        }
        for (line, problem) in rejected {
            self.reject(line, &problem, &mut lines);
        }
        drop(held);
        lines
    }

    /// One result for each stretch of consecutive accepted lines.
    fn report(
        &mut self,
        written: &crate::gateway::Written,
        record_lines: &[u64],
        rejected: &mut VecDeque<(u64, Problem)>,
        into: &mut Vec<u8>,
    ) {
        let parts: Vec<_> = written.partitions().collect();
        let mut taken = vec![0u64; parts.len()];
        let mut stretch: Vec<(usize, u64, u64)> = Vec::new();
        let (mut from, mut count) = (0, 0);
        for (&line, part) in record_lines.iter().zip(written.record_partitions()) {
            let nth = taken[part];
            taken[part] += 1;
            let (_, outcome, _) = parts[part];
            let follows = count > 0 && line == from + count;
            if (!follows || outcome.is_err()) && count > 0 {
                self.accept(from, count, &stretch, &parts, into);
                stretch.clear();
                count = 0;
            }
            while rejected.front().is_some_and(|(at, _)| *at < line) {
                if let Some((at, problem)) = rejected.pop_front() {
                    self.reject(at, &problem, into);
                }
            }
            match outcome {
                Ok(produced) => {
                    if count == 0 {
                        from = line;
                    }
                    count += 1;
                    match stretch.iter_mut().find(|(other, ..)| *other == part) {
                        Some((_, _, n)) => *n += 1,
                        None => stretch.push((part, produced.base_offset + nth, 1)),
                    }
                }
                Err(problem) => self.reject(line, problem, into),
            }
        }
        if count > 0 {
            self.accept(from, count, &stretch, &parts, into);
        }
    }

    fn accept(
        &mut self,
        from: u64,
        count: u64,
        stretch: &[(usize, u64, u64)],
        parts: &[(u32, &Result<headwater_broker::Produced, Problem>, usize)],
        into: &mut Vec<u8>,
    ) {
        self.accepted += count;
        let mut line = format!("{{\"from\":{from},\"n\":{count},\"partitions\":[");
        for (nth, (part, base_offset, n)) in stretch.iter().enumerate() {
            let comma = if nth == 0 { "" } else { "," };
            let partition = parts[*part].0;
            line += &format!(
                "{comma}{{\"partition\":{partition},\"base_offset\":{base_offset},\"n\":{n}}}"
            );
        }
        line += "]}\n";
        into.extend_from_slice(line.as_bytes());
    }

    fn reject(&mut self, line: u64, problem: &Problem, into: &mut Vec<u8>) {
        self.rejected += 1;
        into.extend_from_slice(format!("{{\"line\":{line},\"error\":").as_bytes());
        into.extend_from_slice(&problem.to_json(&self.request_id));
        into.extend_from_slice(b"}\n");
    }
}
